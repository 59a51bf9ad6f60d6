"""The digits: what is in them, how they are split, and what a damaged file is answered with."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from gradsmith.datasets import Digits, read_digits, read_npz
from gradsmith.datasets.digits import DATA_FILE, MEMBERS, SPLITS

SIZES = {"train": 1169, "validation": 269, "test": 359}


@pytest.fixture(scope="module")
def splits():
    return {name: Digits(name) for name in SPLITS}


def npy(array, allow_pickle=False):
    """The bytes of a .npy file."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def write_npz(path, **members):
    """An .npz of given members: arrays, or bytes as they are."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content if isinstance(content, bytes) else npy(content))
    return path


def shipped():
    """The arrays of the shipped file, to be changed."""
    return {name: array.copy() for name, array in read_digits().items()}


def test_sizes(splits):
    assert {name: len(split) for name, split in splits.items()} == SIZES


def test_splits_share_no_image(splits):
    positions = np.concatenate([split.indices for split in splits.values()])
    assert sorted(positions) == list(range(1797))
    pixels = {name: {image.tobytes() for image in split.images} for name, split in splits.items()}
    assert not pixels["train"] & pixels["validation"]
    assert not pixels["train"] & pixels["test"]
    assert not pixels["validation"] & pixels["test"]


def test_splits_are_stratified(splits):
    counts = {name: np.bincount(split.labels, minlength=10) for name, split in splits.items()}
    of_digit = sum(counts.values())
    assert of_digit.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    # Each digit's share is as close to 20 % and 15 % as whole images allow.
    assert np.abs(counts["test"] - 0.20 * of_digit).max() <= 0.5
    assert np.abs(counts["validation"] - 0.15 * of_digit).max() <= 0.5


def test_split_is_the_documented_one():
    data = shipped()
    rng = np.random.default_rng(1998)
    expected = np.zeros(1797, np.uint8)
    for digit in range(10):
        order = rng.permutation(np.flatnonzero(data["labels"] == digit))
        test, validation = round(len(order) * 0.20), round(len(order) * 0.15)
        expected[order[:test]] = 2
        expected[order[test : test + validation]] = 1
    assert np.array_equal(data["split"], expected)


def test_items(splits):
    for split in splits.values():
        assert split.images.shape == (len(split), 1, 8, 8)
        assert split.images.dtype == np.float32
        assert split.labels.dtype == np.int64
        assert split.images.min() == 0.0 and split.images.max() == 1.0
        image, label = split[3]
        assert np.array_equal(image, split.images[3])
        assert type(label) is int and label == split.labels[3]
    assert repr(splits["test"]) == "Digits('test', 359 images)"


def test_index_out_of_range(splits):
    with pytest.raises(IndexError):
        splits["test"][359]


def test_each_instance_owns_its_images():
    first = Digits("test")
    first.images[:] = -1
    assert Digits("test").images.min() == 0.0
    with pytest.raises(ValueError):
        read_digits()["images"][0, 0, 0] = 1


def test_same_as_scikit_learns_copy():
    datasets = pytest.importorskip("sklearn.datasets")
    theirs, ours = datasets.load_digits(), shipped()
    assert np.array_equal(theirs.images, ours["images"])
    assert np.array_equal(theirs.target, ours["labels"])


def test_attribution_is_shipped():
    words = DATA_FILE.with_name("ATTRIBUTION.md").read_text()
    for needed in ("Alpaydin", "Kaynak", "CC BY 4.0", "10.24432/C50P49", "Changes"):
        assert needed in words


def test_unknown_split():
    with pytest.raises(ValueError, match=r"split must be one of .*'train'.*; got 'valid'"):
        Digits("valid")


@pytest.mark.parametrize("name", ["nothing.npz", "."])
def test_missing_file(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="data file expected; found (nothing|a folder)"):
        read_digits(tmp_path / name)


def test_one_changed_byte_is_found(tmp_path):
    content = bytearray(DATA_FILE.read_bytes())
    content[len(content) // 2] ^= 1
    path = tmp_path / "digits.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{path}: .*sha256 1173a11c.*; found .*45279 bytes"):
        read_digits(path)


@pytest.mark.parametrize("length", [0, 1, 100, 20_000, 45_278])
def test_truncated(tmp_path, length):
    path = tmp_path / "digits.npz"
    path.write_bytes(DATA_FILE.read_bytes()[:length])
    with pytest.raises(ValueError, match=rf"{path}: .*sha256.*; found .*, {length} bytes"):
        read_digits(path)
    with pytest.raises(ValueError, match=rf"{path}: must be a NumPy .npz archive; found {length}"):
        read_digits(path, sha256=None)


@pytest.mark.parametrize("position", range(40, 45_279, 4111))
def test_changed_bytes_without_the_hash(tmp_path, position):
    """Whatever byte is wrong: a clear error, or the right arrays (a byte that means nothing)."""
    content = bytearray(DATA_FILE.read_bytes())
    content[position] ^= 0xFF
    path = tmp_path / "digits.npz"
    path.write_bytes(content)
    try:
        arrays = read_digits(path, sha256=None)
    except ValueError as error:
        assert str(path) in str(error)
    else:
        assert all(np.array_equal(arrays[name], array) for name, array in read_digits().items())


@pytest.mark.parametrize(
    ("member", "array", "message"),
    [
        ("images", np.zeros((1797, 64), np.uint8), r"\(1797, 8, 8\) uint8 .*found \(1797, 64\)"),
        ("labels", np.zeros(1797, np.int8), "uint8 in C order; found .* int8"),
        ("labels", np.zeros(1796, np.uint8), "found .*1796|found a declared size"),
        ("labels", np.zeros(10**6, np.uint8), "found a declared size of 1000128 bytes"),
        ("images", np.full((1797, 8, 8), 17, np.uint8), r"images must be in 0\.\.16; found 17"),
        ("labels", np.full(1797, 10, np.uint8), r"labels must be in 0\.\.9; found 10"),
        ("split", np.full(1797, 3, np.uint8), r"split must be in 0\.\.2; found 3"),
        ("images", np.zeros((1797, 8, 8), np.uint8, order="F"), "found .* in Fortran order"),
        ("labels", b"\x00" * 2000, "labels must be a .npy array"),
        ("labels", b"\x93NUMPY\x03\x00" + b"\x00" * 2000, r"version must be \(1, 0\)"),
    ],
)
def test_wrong_contents(tmp_path, member, array, message):
    path = write_npz(tmp_path / "digits.npz", **{**shipped(), member: array})
    with pytest.raises(ValueError, match=message) as raised:
        read_digits(path, sha256=None)
    assert str(path) in str(raised.value)


def test_members_must_be_the_expected_ones(tmp_path):
    arrays = shipped()
    more = write_npz(tmp_path / "more.npz", **arrays, extra=np.zeros(3))
    with pytest.raises(ValueError, match=r"must hold \['images.npy', .*\]; found \['extra.npy'"):
        read_digits(more, sha256=None)
    del arrays["split"]
    with pytest.raises(ValueError, match="must hold .*'split.npy'.*; found"):
        read_digits(write_npz(tmp_path / "fewer.npz", **arrays), sha256=None)


def test_a_small_file_that_asks_for_32_gib(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (2**35,)}
    )
    path = write_npz(tmp_path / "bomb.npz", x=header.getvalue())
    with pytest.raises(ValueError, match="found a declared size of 128 bytes"):
        read_npz(path, {"x": ((2**35,), "uint8")})
    with pytest.raises(ValueError, match=r"x must be \(2,\) uint8 .*found \(34359738368,\)"):
        read_npz(path, {"x": ((2,), "uint8")})


def test_a_member_that_unpacks_to_more_than_it_says(tmp_path):
    path = write_npz(tmp_path / "long.npz", x=npy(np.zeros(4, np.uint8)) + b"\x00" * 50)
    with pytest.raises(ValueError, match="x must hold 4 bytes; found 54"):
        read_npz(path, {"x": ((4,), "uint8")})


class Tripwire:
    """Unpickling it writes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_nothing_is_unpickled(tmp_path):
    touched = tmp_path / "touched"
    array = np.array([Tripwire(touched)] * 1797, dtype=object)
    members = {**shipped(), "labels": npy(array, allow_pickle=True)}
    path = write_npz(tmp_path / "pickle.npz", **members)
    with pytest.raises(ValueError, match="labels must"):
        read_digits(path, sha256=None)
    assert not touched.exists()


def test_read_npz_gives_what_was_written(tmp_path):
    arrays = {"a": np.arange(6, dtype="<f4").reshape(2, 3), "b": np.array(7, np.int64)}
    path = write_npz(tmp_path / "plain.npz", **arrays)
    found = read_npz(path, {"a": ((2, 3), "float32"), "b": ((), "int64")})
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


def test_the_members_table_is_the_files(tmp_path):
    with np.load(DATA_FILE, allow_pickle=False) as archive:
        assert {n: (archive[n].shape, str(archive[n].dtype)) for n in archive.files} == MEMBERS
