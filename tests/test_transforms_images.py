"""Transforms of single images: PIL images and tensors alike, against PIL, torch and properties."""

from __future__ import annotations

import subprocess
import sys

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import transforms as T
from gradsmith.transforms import functional as F
from gradsmith.utils.data import DataLoader, Dataset

Image = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (13, 17, 3), np.uint8)
SMOOTH = np.stack(np.meshgrid(np.arange(40) * 5, np.arange(30) * 6, indexing="xy"), -1)
SMOOTH = np.concatenate([SMOOTH, 255 - SMOOTH[:, :, :1]], -1).astype(np.uint8)


@pytest.fixture
def torch():
    module = pytest.importorskip("torch")
    module.set_num_threads(1)
    return module


def both(array):
    """The same picture as a PIL image and as a tensor."""
    return Image.fromarray(array), gs.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))


def rows(image):
    """Any image as (H, W, C) numbers."""
    if isinstance(image, Image.Image):
        array = np.asarray(image)
        return (array if array.ndim == 3 else array[:, :, None]).astype(float)
    return image.numpy().transpose(1, 2, 0).astype(float)


def alike(function, picture=COLOUR, within=0.0):
    pil, tensor = both(picture)
    a, b = rows(function(pil)), rows(function(tensor))
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= within


# ---- conversions ----


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16", "F", "CMYK"])
def test_to_tensor_of_every_mode(mode):
    base = Image.fromarray(COLOUR)
    image = base.convert("L").convert("I").convert(mode) if mode == "I;16" else base.convert(mode)
    x = F.to_tensor(image)
    channels = len(image.getbands())
    assert x.shape == (channels, 13, 17)
    expected = np.asarray(image).reshape(13, 17, channels).transpose(2, 0, 1)
    wide = mode in ("I", "I;16", "F")
    assert x.dtype is {"I": gs.int32, "I;16": gs.int16}.get(mode, gs.float32)
    scale = 1 if wide or mode == "1" else 255
    np.testing.assert_allclose(x.numpy(), expected.astype(np.float64) / scale, rtol=1e-5)
    if not wide:
        assert F.pil_to_tensor(image).dtype is gs.uint8


def test_to_tensor_of_arrays_and_back():
    assert F.to_tensor(np.full((2, 3), 255, np.uint8)).tolist() == [[[1.0] * 3] * 2]
    assert F.to_tensor(np.ones((2, 3, 4), np.float64)).dtype is gs.float64
    for array in (COLOUR, COLOUR[:, :, :1], np.dstack([COLOUR, COLOUR[:, :, :1]])):
        x = F.to_tensor(array)
        np.testing.assert_array_equal(rows(F.to_pil_image(x)), array)
        picture = np.ascontiguousarray(array[:, :, 0] if array.shape[2] == 1 else array)
        np.testing.assert_array_equal(rows(F.to_pil_image(picture)), array)
    assert F.to_pil_image(gs.zeros(3, 2, 2), "HSV").mode == "HSV"
    assert F.to_pil_image(gs.zeros(2, 2, dtype=gs.int32)).mode == "I"
    assert F.to_pil_image(gs.ones(1, 2, 2), "F").mode == "F"
    with pytest.raises(TypeError, match="no mode for 5 channels"):
        F.to_pil_image(gs.zeros(5, 2, 2))
    with pytest.raises(ValueError, match="must be one of RGB, YCbCr, HSV"):
        F.to_pil_image(gs.zeros(3, 2, 2), "L")
    with pytest.raises(TypeError, match="got list"):
        F.to_tensor([1])
    with pytest.raises(ValueError, match=r"\(H, W\) or \(H, W, C\); got \(2,\)"):
        F.to_tensor(np.zeros(2))


def test_dtypes_are_scaled():
    x = gs.tensor([0.0, 0.5, 1.0])
    assert F.convert_image_dtype(x, gs.uint8).tolist() == [0, 127, 255]
    assert F.convert_image_dtype(gs.tensor([0, 255], dtype=gs.uint8), gs.float64).tolist() == [0, 1]
    wide = F.convert_image_dtype(gs.tensor([0, 255], dtype=gs.uint8), gs.int16)
    assert wide.tolist() == [0, 255 * 128]
    assert F.convert_image_dtype(wide, gs.uint8).tolist() == [0, 255]
    assert F.convert_image_dtype(x, gs.float32).tolist() == x.tolist()
    with pytest.raises(RuntimeError, match="cannot hold the values"):
        T.ConvertImageDtype(gs.int32)(x)


# ---- geometry ----


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
@pytest.mark.parametrize("padding", [2, (1, 3), (0, 1, 2, 3)])
def test_pads_and_crops_alike(mode, padding):
    alike(T.Pad(padding, 0, mode))
    alike(T.Pad(padding, 7))


def test_flips_and_crops_alike():
    for function in (F.hflip, F.vflip, T.Grayscale(), T.Grayscale(3)):
        alike(function, within=1.0)
    for size in (5, (6, 9), 30, (8, 40)):
        alike(T.CenterCrop(size))
    alike(lambda x: F.crop(x, -2, -3, 8, 30))
    alike(lambda x: F.crop(x, 3, 4, 5, 6))
    np.testing.assert_array_equal(rows(F.hflip(both(COLOUR)[1])), COLOUR[:, ::-1])


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [7, (5, 30), 40, (26, 34)])
def test_resizes_as_pil(mode, size):
    # PIL clips between its two passes, so that cubic overshoots show in noise.
    alike(T.Resize(size, mode), COLOUR if mode == "bilinear" else SMOOTH, within=2.0)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False])
def test_resizes_as_torch(mode, antialias, torch):
    if mode == "nearest" and antialias:
        return
    x = RNG.random((2, 3, 13, 17)).astype(np.float32)
    for size in ((5, 30), (20, 8)):
        options = {} if mode == "nearest" else {"align_corners": False, "antialias": antialias}
        expected = torch.nn.functional.interpolate(torch.from_numpy(x), size, mode=mode, **options)
        found = F.resize(gs.from_numpy(x), size, mode, antialias=antialias)
        np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=3e-6)


def test_resize_keeps_proportions():
    for x in both(COLOUR):
        assert rows(F.resize(x, 26)).shape == (26, 34, 3)
        assert rows(F.resize(x, 26, max_size=30)).shape == (22, 30, 3)
    with pytest.raises(ValueError, match="max_size must be above size"):
        F.resize(x, 26, max_size=20)
    with pytest.raises(ValueError, match="one or two ints > 0; got 0"):
        T.Resize(0)
    with pytest.raises(ValueError, match="interpolation must be one of"):
        T.Resize(3, "lanczos")
    assert T.Resize(3, 2).interpolation == "bilinear"  # PIL's number


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_turns_as_pil(mode):
    for angle in (0, 180, 360):
        alike(lambda x, a=angle: F.rotate(x, a, mode))
    inner = (slice(9, 21), slice(12, 28))
    pil, tensor = both(SMOOTH)
    for function in (
        lambda x: F.rotate(x, 25, "bilinear"),
        lambda x: F.affine(x, 20, (2, -1), 1.3, (10, 5), "bilinear"),
        lambda x: F.affine(x, -20, (0, 0), 1.1, 5, "bilinear", center=(20, 15)),
    ):
        assert np.abs(rows(function(pil))[inner] - rows(function(tensor))[inner]).max() <= 1.0


def test_quarter_turns_are_exact():
    x = gs.from_numpy(RNG.random((3, 9, 9)).astype(np.float32))
    for k in range(4):
        turned = F.rotate(x, 90 * k, "bilinear").numpy()
        np.testing.assert_allclose(turned, np.rot90(x.numpy(), k, (1, 2)), atol=1e-5)
    wide = F.rotate(gs.ones(1, 4, 8), 90, expand=True)
    assert wide.shape == (1, 8, 4) and wide.numpy().min() == 1.0
    assert F.rotate(gs.zeros(1, 9, 9), 45, fill=3.0).numpy()[0, 0, 0] == 3.0
    with pytest.raises(ValueError, match="'nearest' or 'bilinear'"):
        F.rotate(x, 10, "bicubic")
    with pytest.raises(ValueError, match="one for each of 3 channels; got 2"):
        F.rotate(x, 10, fill=(1, 2))


def test_affine_is_grid_sample(torch):
    x = RNG.random((1, 2, 11, 14)).astype(np.float32)
    turn = np.deg2rad(30)
    inverse = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) / 1.2
    theta = np.zeros((1, 2, 3), np.float32)
    theta[0, :, :2] = inverse * np.array([[1, 11 / 14], [14 / 11, 1]])
    grid = torch.nn.functional.affine_grid(torch.from_numpy(theta), x.shape, align_corners=False)
    expected = torch.nn.functional.grid_sample(torch.from_numpy(x), grid, align_corners=False)
    found = F.affine(gs.from_numpy(x), 30, (0, 0), 1.2, 0, "bilinear")
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-5)


# ---- colours ----


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
def test_colours_as_pil(factor):
    alike(lambda x: F.adjust_brightness(x, factor), within=1.0)
    alike(lambda x: F.adjust_contrast(x, factor), within=2.0)
    alike(lambda x: F.adjust_saturation(x, factor), within=2.0)
    alike(lambda x: F.adjust_hue(x, factor / 4), SMOOTH, within=20.0)  # PIL's HSV has 8 bits


def test_hues_turn_around():
    red = gs.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1)
    assert F.adjust_hue(red, 1 / 3).numpy().ravel().round(5).tolist() == [0.0, 1.0, 0.0]
    assert F.adjust_hue(red, -1 / 3).numpy().ravel().round(5).tolist() == [0.0, 0.0, 1.0]
    x = gs.from_numpy(RNG.random((3, 4, 4)))
    np.testing.assert_allclose(F.adjust_hue(F.adjust_hue(x, 0.3), -0.3).numpy(), x.numpy())
    with pytest.raises(ValueError, match=r"in \[-0.5, 0.5\]; got 0.6"):
        F.adjust_hue(x, 0.6)
    with pytest.raises(ValueError, match="must have 1 or 3 channels"):
        F.adjust_contrast(gs.zeros(2, 3, 3), 1)


def test_normalize():
    x = gs.from_numpy(RNG.random((3, 4, 5)).astype(np.float32))
    mean, std = np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.6, 0.7])
    expected = (x.numpy() - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_allclose(F.normalize(x, mean, std).numpy(), expected, rtol=1e-5)
    same = x.clone()
    assert F.normalize(same, mean, std, inplace=True) is same
    np.testing.assert_allclose(same.numpy(), expected, rtol=1e-5)
    assert F.normalize(x, (0.5,), (2.0,)).shape == (3, 4, 5)
    with pytest.raises(ValueError, match="std must not be 0"):
        F.normalize(x, 0.0, 0.0)
    with pytest.raises(ValueError, match="mean must have 1 or 3 values"):
        F.normalize(x, (1.0, 2.0), 1.0)
    with pytest.raises(TypeError, match="got uint8"):
        F.normalize(both(COLOUR)[1], 0.0, 1.0)
    with pytest.raises(TypeError, match="use ToTensor before"):
        T.Normalize(0.0, 1.0)(both(COLOUR)[0])


# ---- chance ----

RANDOM = [
    T.RandomHorizontalFlip(),
    T.RandomVerticalFlip(0.3),
    T.RandomCrop(8, padding=2),
    T.RandomCrop((20, 9), pad_if_needed=True),
    T.RandomResizedCrop(7),
    T.RandomRotation(30),
    T.RandomAffine(20, (0.1, 0.2), (0.5, 1.5), (-5, 5, -3, 3)),
    T.ColorJitter(0.4, 0.4, 0.4, 0.1),
    T.RandomGrayscale(0.5),
    T.RandomApply([T.RandomRotation(5)], 0.5),
]


@pytest.mark.parametrize("transform", RANDOM, ids=lambda t: type(t).__name__)
def test_the_seed_decides(transform):
    for x in both(COLOUR):
        gs.manual_seed(3)
        first = [rows(transform(x)) for _ in range(12)]
        gs.manual_seed(3)
        again = [rows(transform(x)) for _ in range(12)]
        for a, b in zip(first, again, strict=True):
            np.testing.assert_array_equal(a, b)
        assert len({a.tobytes() for a in first}) > 1
        assert type(transform(x)) is type(x)
    transform.generator = gs.Generator().manual_seed(3)
    if not isinstance(transform, T.RandomApply):
        np.testing.assert_array_equal(rows(transform(x)), first[0])
    transform.generator = None
    assert type(transform).__name__ in repr(transform)


class Pictures(Dataset):
    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return self.transform(Image.fromarray(COLOUR))


def test_workers_draw_streams_of_their_own():
    data = Pictures(T.Compose([T.RandomCrop(4), T.ToTensor()]))
    gs.manual_seed(0)
    first = [b.numpy() for b in DataLoader(data, batch_size=2, num_workers=2)]
    gs.manual_seed(0)
    again = [b.numpy() for b in DataLoader(data, batch_size=2, num_workers=2)]
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[1])


def test_random_amounts_stay_within_their_limits():
    gs.manual_seed(0)
    crop = T.RandomResizedCrop(4, (0.2, 0.5), (0.5, 2.0))
    for _ in range(200):
        top, left, height, width = crop.box(30, 40)
        assert top >= 0 and left >= 0 and top + height <= 30 and left + width <= 40
        assert 0.15 < height * width / 1200 < 0.56 and 0.45 < width / height < 2.2
    assert T.RandomResizedCrop(4, (1, 1), (9, 10)).box(10, 10) == (4, 0, 1, 10)
    flips = sum(
        rows(T.RandomHorizontalFlip(0.3)(x))[0, 0, 0] != COLOUR[0, 0, 0]
        for x in [both(COLOUR)[1]] * 300
    )
    assert 60 < flips < 120
    erased = T.RandomErasing(1.0, (0.1, 0.2))(gs.ones(3, 40, 40)).numpy()
    assert 0.08 < (erased == 0).mean() < 0.22


def test_erasing():
    gs.manual_seed(0)
    x = gs.ones(3, 20, 20)
    y = T.RandomErasing(1.0, value=(5, 6, 7))(x).numpy()
    assert sorted(set(y[1].ravel())) == [1.0, 6.0] and x.numpy().min() == 1.0
    noise = T.RandomErasing(1.0, (0.3, 0.33), value="random")(gs.full((3, 90, 90), 9.0)).numpy()
    drawn = noise[noise != 9.0]
    assert abs(drawn.mean()) < 0.1 and abs(drawn.std() - 1) < 0.1
    assert T.RandomErasing(1.0, inplace=True)(x) is x and x.numpy().min() == 0.0
    assert T.RandomErasing(0.0)(x) is x
    with pytest.raises(TypeError, match="use ToTensor before"):
        T.RandomErasing(1.0)(both(COLOUR)[0])
    with pytest.raises(ValueError, match="one number, or 3; got 2"):
        T.RandomErasing(1.0, value=(1, 2))(gs.ones(3, 9, 9))


def test_mixup():
    gs.manual_seed(0)
    x, y = gs.from_numpy(RNG.random((4, 1, 2, 2)).astype(np.float32)), gs.tensor([0, 1, 2, 0])
    mixed, labels = T.MixUp(0.5, num_classes=3)(x, y)
    share = labels.numpy()[0, 0] - 0.0
    np.testing.assert_allclose(labels.numpy().sum(1), 1.0, rtol=1e-5)
    share = labels.numpy()[1, 1]
    expected = share * x.numpy() + (1 - share) * np.roll(x.numpy(), 1, 0)
    np.testing.assert_allclose(mixed.numpy(), expected, rtol=1e-5)
    again, same = T.MixUp(1.0)(x, labels)
    assert same.shape == (4, 3)
    with pytest.raises(ValueError, match="num_classes must be given"):
        T.MixUp()(x, y)
    with pytest.raises(ValueError, match=r"ints in \[0, 2\)"):
        T.MixUp(num_classes=2)(x, y)
    with pytest.raises(TypeError, match="floating point; got uint8"):
        T.MixUp(num_classes=3)(x.to(gs.uint8), y)


@pytest.mark.parametrize(
    "make,message",
    [
        (lambda: T.RandomHorizontalFlip(1.5), r"p must be in \[0, 1\]; got 1.5"),
        (lambda: T.RandomCrop((1, 2, 3)), "one or two ints"),
        (lambda: T.Pad(1, 0, "wrap"), "padding_mode must be one of"),
        (lambda: T.Pad((1, 2, 3)), "1, 2 or 4 ints"),
        (lambda: T.RandomRotation(-1), "degrees must be >= 0"),
        (lambda: T.RandomRotation((3, 1)), "low <= high"),
        (lambda: T.RandomAffine(1, (2, 0)), r"two shares in \[0, 1\]"),
        (lambda: T.RandomAffine(1, None, (0, 1)), "0 < low <= high"),
        (lambda: T.ColorJitter(brightness=-1), "brightness must be >= 0"),
        (lambda: T.ColorJitter(hue=0.7), "hue must be within"),
        (lambda: T.RandomResizedCrop(3, (1, 0.5)), "0 < low <= high"),
        (lambda: T.RandomErasing(scale=(0.5, 2)), r"within \[0, 1\]"),
        (lambda: T.RandomErasing(value="x"), "numbers or 'random'"),
        (lambda: T.Grayscale(2), "must be 1 or 3"),
        (lambda: T.MixUp(0), "alpha must be > 0"),
        (lambda: T.RandomCrop(30)(both(COLOUR)[0]), "at least 30 x 30; got 13 x 17"),
        (lambda: F.pad(gs.zeros(1, 3, 3), 3, 0, "reflect"), "at most 2 rows and 2 columns"),
        (lambda: F.hflip(gs.zeros(3)), r"must be \(..., H, W\); got shape \(3,\)"),
    ],
)
def test_wrong_options_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_is_no_image():
    with pytest.raises(TypeError, match="must be a PIL image, a tensor or an array; got str"):
        F.hflip("x")
    with pytest.raises(TypeError, match="must be callable"):
        T.Lambda(3)
    assert T.Lambda(lambda x: x + 1)(1) == 2


def test_reprs_are_torchvisions():
    text = repr(T.Compose([T.ToTensor(), T.Normalize((0.1307,), (0.3081,))]))
    assert text == "Compose(\n    ToTensor()\n    Normalize(mean=(0.1307,), std=(0.3081,))\n)"
    assert repr(T.RandomAffine(10, (0.1, 0.1), (0.5, 2), 5)) == (
        "RandomAffine(degrees=[-10.0, 10.0], translate=(0.1, 0.1), scale=(0.5, 2), "
        "shear=[-5.0, 5.0])"
    )
    assert repr(T.RandomCrop(4, 2)) == "RandomCrop(size=(4, 4), padding=2)"


def test_without_pillow():
    code = (
        "import sys; sys.modules['PIL'] = None\n"
        "import numpy as np; from gradsmith import transforms as T\n"
        "x = T.Compose([T.ToTensor(), T.Resize(3), T.RandomCrop(2)])(np.zeros((9, 9), np.uint8))\n"
        "print(tuple(x.shape))\n"
        "try: T.ToPILImage()(x)\nexcept ImportError as e: print(e)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [
        "(1, 2, 2)",
        "images: need Pillow (pip install 'gradsmith[io]')",
    ]
