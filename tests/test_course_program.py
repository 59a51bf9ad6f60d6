"""The program that every course shows, unchanged but for its imports; its losses are PyTorch's."""

from __future__ import annotations

import subprocess
import sys

import gradsmith as gs
import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")

IMPORTS = {
    "gradsmith": """
import gradsmith as torch
import gradsmith.nn as nn
import gradsmith.nn.functional as F
from gradsmith.utils.data import Dataset, DataLoader
""",
    "torch": """
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import Dataset, DataLoader
""",
}

PROGRAM = """
import os
import sys

import numpy as np
from PIL import Image


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, 1)
        self.conv2 = nn.Conv2d(32, 64, 3, 1)
        self.fc1 = nn.Linear(9216, 10)

    def forward(self, x):
        x = self.conv1(x)
        x = F.relu(x)
        x = self.conv2(x)
        x = F.relu(x)
        x = F.max_pool2d(x, 2)
        x = torch.flatten(x, 1)
        x = self.fc1(x)
        output = F.log_softmax(x, dim=1)
        return output


class CustomImageDataset(Dataset):
    def __init__(self, img_dir, transform=None, target_transform=None):
        self.img_dir = img_dir
        self.img_names = sorted(os.listdir(img_dir))
        self.transform = transform
        self.target_transform = target_transform

    def __len__(self):
        return len(self.img_names)

    def __getitem__(self, idx):
        name = self.img_names[idx]
        image = Image.open(os.path.join(self.img_dir, name)).convert("L")
        label = name.split("_")[1][0]
        if self.transform:
            image = self.transform(image)
        if self.target_transform:
            label = self.target_transform(label)
        return image, label


def to_tensor(image):
    return torch.from_numpy(np.array(image, dtype=np.float32) / 255.0).unsqueeze(0)


def train(model, device, train_loader, optimizer, epoch, losses):
    model.train()
    for batch_idx, (data, target) in enumerate(train_loader):
        data, target = data.to(device), target.to(device)
        optimizer.zero_grad()
        output = model(data)
        loss = F.nll_loss(output, target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if batch_idx % 10 == 0:
            print("Train Epoch: {} [{}/{} ({:.0f}%)]\\tLoss: {:.6f}".format(
                epoch, batch_idx * len(data), len(train_loader.dataset),
                100. * batch_idx / len(train_loader), loss.item()))


def test(model, device, test_loader):
    model.eval()
    test_loss = 0
    correct = 0
    with torch.no_grad():
        for data, target in test_loader:
            data, target = data.to(device), target.to(device)
            output = model(data)
            test_loss += F.nll_loss(output, target, reduction="sum").item()
            pred = output.argmax(dim=1, keepdim=True)
            correct += pred.eq(target.view_as(pred)).sum().item()
    test_loss /= len(test_loader.dataset)
    print("Test set: Average loss: {:.4f}, Accuracy: {}/{} ({:.0f}%)".format(
        test_loss, correct, len(test_loader.dataset),
        100. * correct / len(test_loader.dataset)))
    return test_loss, correct


def main(folder):
    torch.manual_seed(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dataset = CustomImageDataset(folder, transform=to_tensor, target_transform=int)
    train_loader = DataLoader(dataset, batch_size=16, shuffle=True)
    test_loader = DataLoader(dataset, batch_size=32)
    model = Net().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    losses = []
    for epoch in range(1, 4):
        train(model, device, train_loader, optimizer, epoch, losses)
        test(model, device, test_loader)
    return losses


if __name__ == "__main__":
    main(sys.argv[1])
"""

OPTIMIZERS = [
    ("SGD", {"lr": 0.01}),
    ("SGD", {"lr": 0.02, "momentum": 0.9}),
    ("SGD", {"lr": 0.02, "momentum": 0.9, "nesterov": True}),
    ("Adagrad", {"lr": 3e-4}),
    ("Adadelta", {"lr": 0.05}),
    # With 1e-4 PyTorch itself, started one unit in the last place apart, can end 5e-4 apart.
    ("RMSprop", {"lr": 5e-5}),
    ("Adam", {"lr": 2e-4}),
    ("AdamW", {"lr": 2e-4, "weight_decay": 0.1}),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Image files of the embedded digits, 28 x 28, the label in the name."""
    from gradsmith.datasets import Digits

    data = Digits("train")
    made = tmp_path_factory.mktemp("digits")
    for i in range(320):
        pixels = (data.images[i, 0] * 255).astype(np.uint8)
        image = Image.fromarray(pixels).resize((28, 28), Image.Resampling.BILINEAR)
        image.save(made / f"{i:03}_{data.labels[i]}.png")
    return made


def program(library):
    """The program's names."""
    names = {"__name__": f"course_program_{library}"}
    exec(compile(IMPORTS[library] + PROGRAM, f"<{library}>", "exec"), names)
    return names


def test_the_program_runs_and_learns(folder, tmp_path):
    """As a program of its own, in a fresh process."""
    path = tmp_path / "main.py"
    path.write_text(IMPORTS["gradsmith"] + PROGRAM)
    run = subprocess.run(
        [sys.executable, path, folder], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert lines[0].startswith("Train Epoch: 1 [0/320 (0%)]\tLoss: 2.")
    tests = [line for line in lines if line.startswith("Test set")]
    assert len(tests) == 3
    assert int(tests[-1].split("Accuracy: ")[1].split("/")[0]) > 280


@pytest.mark.parametrize("name,options", OPTIMIZERS, ids=lambda v: v if isinstance(v, str) else "")
def test_twenty_steps_follow_torch(name, options, folder):
    torch = pytest.importorskip("torch")
    if not hasattr(gs.optim, name):
        pytest.skip(f"no optimizer {name}")
    torch.set_num_threads(2)
    runs = {}
    torch.manual_seed(0)
    initial = {k: v.numpy().copy() for k, v in program("torch")["Net"]().state_dict().items()}
    for library, lib in (("torch", torch), ("gradsmith", gs)):
        names = program(library)
        model = names["Net"]()
        model.load_state_dict({k: lib.from_numpy(v.copy()) for k, v in initial.items()})
        data = names["CustomImageDataset"](folder, names["to_tensor"], int)
        loader = names["DataLoader"](data, batch_size=16)  # in the files' order
        optimizer = getattr(lib.optim, name)(model.parameters(), **options)
        losses = []
        names["train"](model, lib.device("cpu"), loader, optimizer, 1, losses)
        few = lib.utils.data.Subset(data, range(64))
        measured = names["test"](model, lib.device("cpu"), names["DataLoader"](few, batch_size=32))
        runs[library] = (losses, measured)
    (ours, our_test), (theirs, their_test) = runs["gradsmith"], runs["torch"]
    assert len(ours) == len(theirs) == 20
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
    assert ours[-1] < ours[0]
    assert abs(our_test[0] - their_test[0]) < 1e-4 and our_test[1] == their_test[1]


def test_only_the_imports_differ():
    ours, theirs = (IMPORTS[library].strip().splitlines() for library in ("gradsmith", "torch"))
    assert len(ours) == len(theirs) == 4
    assert ours[1:] == [line.replace("torch", "gradsmith") for line in theirs[1:]]
