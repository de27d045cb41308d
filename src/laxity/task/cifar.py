"""CIFAR-10: the official binary version, and lossless WebP sheets of the same images.

The python version of the data set holds pickles and is never read. Every batch is checked against the SHA-256 of its
10000 records (label byte and 3072 pixel bytes) with the pixels of the images in `SUBSTITUTED` set to zero; that value
is the same for the official files and for the WebP sheets, where those 104 images are JPEG copies of the originals.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; the record layout is given at
https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from laxity.core.errors import DataError, ToolError
from laxity.task.download import Progress, download
from laxity.task.idx import ImageData

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
"""Published on the page of the data set."""

BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
RECORDS_SHA256 = {
    "data_batch_1": "2ca2bba77464ac458e46c0207ea113f9e24b1c5ea735d5563eb2508e23562ad7",
    "data_batch_2": "62fab354dd8e48d4db1ca7d36dd046620b6808508420988230467d9e0e26b711",
    "data_batch_3": "e0faaaad10af81d5aa07083664da8305365302038faeaa6daaf5c1e7e1b75281",
    "data_batch_4": "8b9a3f12c6491bf9406be6f96f3acf72bf3eca61c708bdf2360cd0fc2020abcc",
    "data_batch_5": "9dc9a4a6301eaa1dc4f7e2d7d3b6df7d267ec49c32ab17bf5dec801a80a4e1d2",
    "test_batch": "84f4faa5482fcb0b0ef827825a37783f7ce60c8ce8b7db1209ca25ebdd5c6668",
}
SUBSTITUTED = {
    "data_batch_1": (4298, 5949, 7066, 7237, 7248, 7630, 8006, 8831, 8968, 9415),
    "data_batch_2": (1027, 2762, 2834, 3546),
    "data_batch_3": (1493, 5728, 6098, 6927, 7621, 8435, 8670, 8728, 9694, 9747),
    "data_batch_4": (
        *(1066, 1367, 1462, 1625, 1663, 2777, 3446, 3641, 3661, 4067, 4276, 4387, 4471, 4825, 5160, 5646),
        *(6733, 7329, 7474, 7567, 8089, 8384, 8925, 9069, 9358, 9385, 9613, 9840, 9888, 9971),
    ),
    "data_batch_5": (
        *(1761, 1779, 2004, 2389, 2611, 3357, 3883, 4420, 4882, 5168, 5240, 6175, 6435, 6538, 6624, 7393),
        *(7597, 8081, 8124, 8333, 8821, 8836, 9321, 9429, 9631, 9830, 9857),
    ),
    "test_batch": (
        *(1259, 1369, 1422, 1556, 2245, 2737, 2935, 3630, 3695, 3718, 4085, 4496),
        *(5791, 5896, 6286, 7580, 7707, 7724, 7832, 8117, 8541, 8551, 9254),
    ),
}
"""Positions, in each batch, of images that the WebP sheets hold as JPEG copies."""

_RECORD = 1 + 3072
_COUNT = 10000


def read_cifar10(data_dir: Path, *, fetch: bool = False, progress: Progress | None = None) -> ImageData:
    """Read CIFAR-10 from ``data_dir/cifar10`` or `data_dir`, in the first of three layouts that is complete.

    The layouts are the folder ``cifar-10-batches-bin`` (or its files directly), the archive
    ``cifar-10-binary.tar.gz``, and the sheets ``data_batch_1.webp`` ... with ``labels_and_flags.npz``.

    Args:
        data_dir: folder of data sets.
        fetch: download the archive into ``data_dir/cifar10`` if nothing is there.
        progress: told how far a download is.

    Raises:
        DataError: the data is missing (names folders and address) or damaged.
        ToolError: the WebP layout is there, but Pillow is not.
    """
    folders = (data_dir / "cifar10", data_dir)
    reader = _reader(folders)
    if reader is None and fetch:
        download(URL, folders[0] / ARCHIVE, _verify_archive, progress)
        reader = _reader(folders)
    if reader is None:
        raise DataError(
            f"CIFAR-10 not found in {folders[0]} or {folders[1]}: no cifar-10-batches-bin, {ARCHIVE} or WebP sheets; "
            f"get {URL} and put it there, or allow the download (--download)"
        )
    notes, read = reader
    records = [check_records(read(name), name) for name in BATCHES]
    labels = [part[:, 0] for part in records]
    images = [part[:, 1:].reshape(-1, 3, 32, 32) for part in records]
    return ImageData(np.concatenate(images[:5]), np.concatenate(labels[:5]), images[5].copy(), labels[5].copy(), notes)


def _reader(folders: tuple[Path, ...]) -> tuple[str, Callable[[str], bytes]] | None:
    """The provenance and the function that gives the records of a batch, for the first complete layout."""
    official = f"data: CIFAR-10, official binary version ({URL})"
    for folder in (f for parent in folders for f in (parent / "cifar-10-batches-bin", parent)):
        if all((folder / f"{name}.bin").is_file() for name in BATCHES):
            return official, partial(_binary, folder)
    for folder in folders:
        if (folder / ARCHIVE).is_file():
            return official, _archive_members(folder / ARCHIVE).__getitem__
        if (folder / "labels_and_flags.npz").is_file():
            notes = "data: CIFAR-10, original order, 59896 images exact, 81 training and 23 test images as JPEG copies"
            return notes, partial(_sheet, folder, _sheet_labels(folder / "labels_and_flags.npz"))
    return None


def _binary(folder: Path, name: str) -> bytes:
    return (folder / f"{name}.bin").read_bytes()


def _sheet(folder: Path, labels: dict[str, np.ndarray], name: str) -> bytes:
    return sheet_records(folder / f"{name}.webp", labels[name])


def check_records(raw: bytes, name: str) -> np.ndarray:
    """Return the records of a batch, uint8 (10000, 3073), after checking size, labels and checksum.

    Raises:
        DataError: the batch is not what was published; names the batch, what was expected and what was found.
    """
    if len(raw) != _RECORD * _COUNT:
        raise DataError(f"CIFAR-10 {name} has {len(raw)} bytes, expected {_RECORD * _COUNT}; get the file again")
    records = np.frombuffer(raw, np.uint8).reshape(_COUNT, _RECORD)
    masked = records.copy()
    masked[list(SUBSTITUTED[name]), 1:] = 0
    found = hashlib.sha256(masked.tobytes()).hexdigest()
    if found != RECORDS_SHA256[name]:
        raise DataError(
            f"CIFAR-10 {name} has records with sha256 {found}, expected {RECORDS_SHA256[name]}; "
            "the file is damaged or another version, get it again"
        )
    return records


def _archive_members(path: Path) -> dict[str, bytes]:
    wanted = {f"cifar-10-batches-bin/{name}.bin": name for name in BATCHES}
    members = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.name in wanted else None
                if file is not None:
                    members[wanted[member.name]] = file.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}; get {URL} again") from error
    absent = sorted(set(BATCHES) - set(members))
    if absent:
        raise DataError(f"{path} holds no {', '.join(absent)}; get {URL} again")
    return members


def _verify_archive(path: Path) -> None:
    with path.open("rb") as handle:
        found = hashlib.file_digest(handle, "md5").hexdigest()
    if found != ARCHIVE_MD5:
        raise DataError(f"download of {URL} has md5 {found}, expected {ARCHIVE_MD5}; try again")


def _sheet_labels(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as handle:
            archive = np.load(handle, allow_pickle=False)
            parts = [*archive["train_labels"].reshape(5, _COUNT), archive["test_labels"].reshape(_COUNT)]
    except Exception as error:  # a damaged archive can make numpy and zipfile fail in any way
        raise DataError(f"cannot read the labels of CIFAR-10 from {path}: {error}; get the file again") from error
    return dict(zip(BATCHES, parts, strict=True))


def sheet_records(path: Path, labels: np.ndarray) -> bytes:
    """Return the binary records of a batch stored as a lossless WebP of 100 x 100 tiles of 32 x 32 pixels.

    Raises:
        DataError: the sheet is missing or damaged, or has another size.
        ToolError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ToolError(
            "the WebP layout of CIFAR-10 needs Pillow; install it with: pip install 'laxity[images]'"
        ) from error
    try:
        with Image.open(io.BytesIO(path.read_bytes()), formats=["WEBP"]) as sheet:
            if sheet.size != (3200, 3200):
                raise DataError(f"{path} has {sheet.size} pixels, expected (3200, 3200); get the file again")
            pixels = np.asarray(sheet.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}; get the file again") from error
    images = pixels.reshape(100, 32, 100, 32, 3).transpose(0, 2, 4, 1, 3).reshape(_COUNT, 3072)
    return np.concatenate([labels[:, None].astype(np.uint8), images], axis=1).tobytes()
