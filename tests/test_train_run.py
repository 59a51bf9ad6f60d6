"""Checkpoints, resuming to the same bits, early stopping, curves, search, and `gradsmith train`."""

from __future__ import annotations

import csv
import json
import math

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import nn, optim
from gradsmith.cli.main import main
from gradsmith.nn import functional as F
from gradsmith.train import (
    Checkpoint,
    EarlyStopping,
    Epoch,
    History,
    Trial,
    fit,
    grid,
    integers,
    log_uniform,
    overfit_one_batch,
    random_points,
    search,
    uniform,
    warmup_cosine,
    write_csv,
    write_html,
    write_png,
)
from gradsmith.utils.data import DataLoader, TensorDataset

pytest.importorskip("safetensors")


def points(n=96):
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (n, 4)).astype(np.float32)
    return TensorDataset(gs.from_numpy(x), gs.from_numpy((x.sum(axis=1) > 0).astype(np.int64)))


def made(folder, optimizer="Adam", scheduler=False, generator=None):
    """A model with dropout, what trains it, and its checkpoint."""
    gs.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 2))
    options = {"momentum": 0.9, "nesterov": True} if optimizer == "SGD" else {}
    steps = getattr(optim, optimizer)(model.parameters(), lr=0.05, **options)
    rates = None
    if scheduler:
        rates = optim.lr_scheduler.StepLR(steps, 1, 0.5)
    loader = DataLoader(points(), 16, shuffle=True, generator=generator)
    streams = {} if generator is None else {"order": generator}
    stopping = EarlyStopping(50)
    checkpoint = Checkpoint(folder, model, steps, rates, stopping, streams, options={"a": (1, 2)})
    return model, loader, steps, checkpoint, rates, stopping


def trained(folder, epochs, history=None, resume=False, schedule=None, progress=None, **options):
    model, loader, steps, checkpoint, rates, stopping = made(folder, **options)
    if resume:
        gs.manual_seed(99)  # what stands in the checkpoint counts
        history = checkpoint.restore()
        assert history is not None and checkpoint.options == {"a": (1, 2)}
    history = fit(
        model,
        loader,
        F.cross_entropy,
        steps,
        epochs=epochs,
        schedule=schedule,
        validation=DataLoader(points(20), 20),
        scheduler=rates,
        early_stopping=stopping,
        after_epoch=checkpoint.save,
        history=history,
        progress=progress,
    )
    return model, history


def assert_same_bits(one, other):
    (model, history), (twin, again) = one, other
    for a, b in zip(model.state_dict().values(), twin.state_dict().values(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert history.losses == again.losses
    for a, b in zip(history.epochs, again.epochs, strict=True):
        assert (a.number, a.train_loss, a.validation_loss, a.lr) == (
            b.number,
            b.train_loss,
            b.validation_loss,
            b.lr,
        )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer": "SGD"},
        {"optimizer": "AdamW"},
        pytest.param(
            {"scheduler": True},
            marks=pytest.mark.skipif(not hasattr(optim, "lr_scheduler"), reason="no schedulers"),
        ),
    ],
)
def test_two_epochs_and_two_more_are_four_to_the_bit(options, tmp_path):
    whole = trained(tmp_path / "whole", 4, **options)
    trained(tmp_path / "parts", 2, **options)
    assert_same_bits(whole, trained(tmp_path / "parts", 4, resume=True, **options))


def test_a_loader_with_its_own_generator_resumes_too(tmp_path):
    def stream():
        return gs.Generator().manual_seed(5)

    whole = trained(tmp_path / "whole", 3, generator=stream())
    trained(tmp_path / "parts", 1, generator=stream())
    assert_same_bits(whole, trained(tmp_path / "parts", 3, resume=True, generator=stream()))


class StopAt:
    """Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch, step):
        self.at = (epoch, step)

    def started(self, epochs, steps):
        pass

    def stepped(self, epoch, step, loss):
        if (epoch, step) == self.at:
            raise KeyboardInterrupt

    def finished_epoch(self, epoch):
        pass


def test_an_interrupted_epoch_is_done_anew(tmp_path):
    whole = trained(tmp_path / "whole", 4, schedule=warmup_cosine)
    _, history = trained(tmp_path / "parts", 4, schedule=warmup_cosine, progress=StopAt(3, 4))
    assert history.interrupted and len(history.epochs) == 2
    assert_same_bits(whole, trained(tmp_path / "parts", 4, resume=True, schedule=warmup_cosine))


def test_the_best_epochs_model_is_kept(tmp_path):
    model, history = trained(tmp_path, 6)
    best = history.best()
    assert best.validation_loss == min(e.validation_loss for e in history.epochs)
    state = gs.load(tmp_path / "best.safetensors")
    assert list(state) == list(model.state_dict())
    model.load_state_dict(state)
    x, y = points(20).tensors
    found = F.cross_entropy(model.eval()(x), y).item()
    assert found == pytest.approx(best.validation_loss, rel=1e-6)


def test_wrong_checkpoints(tmp_path):
    _, _, _, checkpoint, _, _ = made(tmp_path)
    assert checkpoint.restore() is None
    gs.save({"model": {}}, checkpoint.last)
    with pytest.raises(ValueError, match="is no checkpoint"):
        checkpoint.restore()
    checkpoint.last.write_bytes(b"x" * 100)
    with pytest.raises(ValueError, match="must be a safetensors file"):
        checkpoint.restore()


# ---- early stopping, overfitting, search ----


def epoch(number, loss, accuracy=0.5):
    return Epoch(number, loss, accuracy, loss, accuracy, 0.1, 0.0)


def test_early_stopping():
    stopping = EarlyStopping(2, min_delta=0.1)
    losses = [1.0, 0.8, 0.75, 0.6, 0.55, math.nan, 0.1]
    stops = [stopping.update(epoch(i, loss)) for i, loss in enumerate(losses, 1)]
    assert stops == [False, False, False, False, False, True, False]
    other = EarlyStopping(2)
    other.load_state_dict(stopping.state_dict())
    assert other.best == 0.1
    up = EarlyStopping(1, metric="validation_accuracy", mode="max")
    assert [up.update(epoch(1, 1.0, a)) for a in (0.5, 0.6, 0.6)] == [False, False, True]
    with pytest.raises(ValueError, match="needs validation_loss; got None"):
        EarlyStopping().update(Epoch(1, 1.0, 0.5, None, None, 0.1, 0.0))
    with pytest.raises(ValueError, match="patience >= 1"):
        EarlyStopping(0)


def test_fit_stops_early():
    gs.manual_seed(0)
    model = nn.Linear(4, 2)
    history = fit(
        model,
        DataLoader(points(), 16),
        F.cross_entropy,
        optim.SGD(model.parameters(), lr=0.0),
        epochs=9,
        validation=DataLoader(points(20), 20),
        early_stopping=EarlyStopping(2),
    )
    assert history.stopped_early and len(history.epochs) == 3


def test_one_batch_is_learned_by_heart_or_not():
    gs.manual_seed(0)
    x, y = points(8).tensors
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2))
    good = overfit_one_batch(model, F.cross_entropy, optim.Adam(model.parameters(), lr=0.05), x, y)
    assert good and good.losses[-1] < good.target == 0.05 * good.losses[0]
    bad = overfit_one_batch(
        model, F.cross_entropy, optim.SGD(model.parameters(), lr=0.0), x, y, steps=3
    )
    assert not bad and bad.steps == 3 and len(bad.losses) == 3
    with pytest.raises(ValueError, match="at least 1"):
        overfit_one_batch(model, F.cross_entropy, optim.SGD(model.parameters(), lr=1.0), x, y, 0)


def test_search():
    space = {"lr": [0.1, 0.01], "width": [1, 2, 3]}
    assert len(list(grid(space))) == 6 and next(grid(space)) == {"lr": 0.1, "width": 1}
    with pytest.raises(TypeError, match=r"lr must be a list of values; got uniform\(0, 1\)"):
        list(grid({"lr": uniform(0, 1)}))
    drawn = list(
        random_points(
            {
                "a": log_uniform(1e-4, 1e-1),
                "b": integers(2, 4),
                "c": ["x", "y"],
                "d": uniform(5, 6),
            },
            200,
            gs.Generator().manual_seed(0),
        )
    )
    assert {p["b"] for p in drawn} == {2, 3, 4} and {p["c"] for p in drawn} == {"x", "y"}
    assert all(1e-4 <= p["a"] < 1e-1 and 5 <= p["d"] < 6 for p in drawn)
    assert 60 < sum(p["a"] < 1e-3 for p in drawn) < 75

    def run(lr, width):
        if width == 2:
            raise FloatingPointError("lost")
        return math.nan if width == 3 else lr

    told = []
    trials = search(run, grid(space), report=told.append)
    assert trials[0] == Trial({"lr": 0.01, "width": 1}, 0.01) and len(told) == 6
    assert [t.error for t in trials if t.options["width"] == 2] == ["FloatingPointError: lost"] * 2
    assert search(run, grid(space), "max")[0].value == 0.1
    with pytest.raises(ValueError, match="mode must be"):
        search(run, [], "best")
    for wrong in (lambda: uniform(1, 1), lambda: log_uniform(0, 1), lambda: integers(2, 1)):
        with pytest.raises(ValueError):
            wrong()


# ---- curves ----


def test_curves(tmp_path):
    pytest.importorskip("matplotlib")
    history = History([epoch(i, 1 / i, 1 - 1 / (i + 1)) for i in range(1, 6)])
    history.epochs[2].validation_loss = None
    write_csv(history, tmp_path / "c.csv")
    rows = list(csv.DictReader((tmp_path / "c.csv").open()))
    assert [r["number"] for r in rows] == list("12345") and rows[2]["validation_loss"] == ""
    assert float(rows[1]["train_loss"]) == 0.5
    write_png(history, tmp_path / "c.png", "title")
    assert (tmp_path / "c.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    write_html(history, tmp_path / "c.html", "a < b")
    page = (tmp_path / "c.html").read_text()
    assert "a &lt; b" in page and "data:image/png;base64," in page and "<td>5</td>" in page
    with pytest.raises(ValueError, match="at least one epoch"):
        write_png(History(), tmp_path / "d.png")


# ---- the command ----


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def command(*arguments):
    return main(["train", "--model", "mlp", "--batch-size", "256", *arguments])


def test_train_and_resume_from_the_command_line(capsys, tmp_path):
    assert command("--epochs", "3", "--out", "whole") == 0
    text = capsys.readouterr().out
    assert "epoch 3/3" in text and "best epoch" in text and "test:" in text
    assert "data" in text and "backward" in text and "images a second" in text
    files = {p.name for p in (tmp_path / "whole").iterdir()}
    assert {"last.safetensors", "best.safetensors", "curves.csv", "result.json"} <= files
    assert command("--epochs", "1", "--out", "parts") == 0
    assert command("--epochs", "3", "--out", "parts", "--resume", "--json") == 0
    out = capsys.readouterr().out
    result = json.loads(out[out.index("{") :])
    assert len(result["epochs"]) == 3 and result["test"]["accuracy"] > 0.3
    one, two = (gs.load(f"{name}/last.safetensors") for name in ("whole", "parts"))
    assert one["history"]["losses"] == two["history"]["losses"]
    for name, t in one["model"].items():
        np.testing.assert_array_equal(t.numpy(), two["model"][name].numpy())
    assert json.loads((tmp_path / "parts/result.json").read_text())["settings"]["model"] == "mlp"
    assert command("--epochs", "1", "--weights", "parts/best.safetensors", "--out", "more") == 0


def test_train_checks_before_it_works(capsys, tmp_path):
    assert command("--epochs", "1", "--out", "run") == 0
    capsys.readouterr()
    for arguments, status, words in (
        (["--out", "run"], 2, "has a checkpoint already"),
        (["--out", "new", "--resume"], 2, "new has no checkpoint"),
        (["--out", "run", "--resume", "--epochs", "1"], 2, "leaves nothing to do"),
        (["--out", "run", "--resume", "--lr", "1"], 2, "--lr was 0.001, is 1.0"),
        (["--out", "x", "--data", "nowhere"], 1, "'digits' or a folder expected"),
        (["--out", "x", "--weights", "none.safetensors"], 1, "a file expected"),
        (["--out", "run/result.json"], 2, "is a file"),
    ):
        assert command(*arguments) == status
        assert words in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert command("--data", "empty", "--out", "y") == 1
    assert "a folder for each class expected" in capsys.readouterr().err


def test_overfit_one_batch_from_the_command_line(capsys):
    assert command("--overfit-one-batch") == 0
    assert "16 images learned by heart" in capsys.readouterr().out
    assert command("--overfit-one-batch", "--lr", "1e-9", "--json") == 1
    assert json.loads(capsys.readouterr().out)["passed"] is False


def test_train_on_files(capsys, tmp_path):
    Image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for part, n in (("train", 12), ("val", 4)):
        for name, level in (("dark", 40), ("light", 200)):
            folder = tmp_path / "images" / part / name
            folder.mkdir(parents=True)
            for i in range(n):
                noise = rng.integers(-30, 30, (9, 8, 3)) + level
                Image.fromarray(noise.astype(np.uint8)).save(folder / f"{i}.png")
    arguments = ["--data", "images", "--size", "8", "--epochs", "8", "--lr", "0.003"]
    assert command(*arguments, "--augment", "--out", "a", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["classes"] == ["dark", "light"] and result["test"] is None
    assert result["epochs"][-1]["validation_accuracy"] > 0.9
    assert command(*arguments, "--epochs", "1", "--workers", "1", "--out", "b") == 0
    labels = rng.integers(0, 10, 60).astype(np.uint8)
    mnist = tmp_path / "mnist"
    mnist.mkdir()
    head = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (60, 28, 28))
    pixels = rng.integers(0, 255, (60, 28, 28)).astype(np.uint8)
    (mnist / "train-images-idx3-ubyte").write_bytes(head + pixels.tobytes())
    head = bytes([0, 0, 8, 1]) + (60).to_bytes(4, "big")
    (mnist / "train-labels-idx1-ubyte").write_bytes(head + labels.tobytes())
    assert command("--data", "mnist", "--epochs", "1", "--augment", "--out", "c") == 0
    assert "54 training and 6 validation images of [1, 28, 28]" in capsys.readouterr().out
    cifar = tmp_path / "cifar"
    cifar.mkdir()
    row = np.concatenate([labels[:20, None], rng.integers(0, 255, (20, 3072))], 1)
    for i in range(1, 6):
        (cifar / f"data_batch_{i}.bin").write_bytes(row.astype(np.uint8).tobytes())
    (cifar / "test_batch.bin").write_bytes(row.astype(np.uint8).tobytes())
    assert command("--data", "cifar", "--epochs", "1", "--out", "d") == 0
    assert "90 training and 10 validation images of [1, 32, 32]" in capsys.readouterr().out
    (mnist / "train-labels-idx1-ubyte").write_bytes(b"junk")
    assert command("--data", "mnist", "--out", "e") == 1
    assert "train-labels-idx1-ubyte: an IDX file begins with" in capsys.readouterr().err


def _optimizers():
    kinds = [getattr(optim, name) for name in dir(optim)]
    kinds = [k for k in kinds if isinstance(k, type) and issubclass(k, optim.Optimizer)]
    return [k for k in kinds if k is not optim.Optimizer]


@pytest.mark.parametrize("kind", _optimizers(), ids=lambda k: k.__name__)
def test_every_optimizers_state_goes_through_a_file(kind, tmp_path):
    x, y = points(8).tensors

    def made():
        gs.manual_seed(0)
        model = nn.Linear(4, 2, bias=False)  # Muon takes matrices only
        return model, kind(model.parameters(), lr=0.01)

    def steps(model, optimizer, count):
        def loss():
            optimizer.zero_grad()
            value = F.cross_entropy(model(x), y)
            value.backward()
            return value

        for _ in range(count):
            optimizer.step(loss)

    whole, optimizer = made()
    steps(whole, optimizer, 4)
    part, optimizer = made()
    steps(part, optimizer, 2)
    gs.save([part.state_dict(), optimizer.state_dict()], tmp_path / "s")
    again, optimizer = made()
    weights, state = gs.load(tmp_path / "s")
    again.load_state_dict(weights)
    optimizer.load_state_dict(state)
    steps(again, optimizer, 2)
    np.testing.assert_array_equal(again.weight.detach().numpy(), whole.weight.detach().numpy())
