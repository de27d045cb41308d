"""MNIST and Fashion-MNIST: the IDX format and the official files.

Source: IDX as described by Y. LeCun and C. Cortes on the page of the MNIST database: two zero bytes, a type code, the
number of dimensions, each dimension as a big-endian 32-bit integer, then the values in C order.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from laxity.core.errors import DataError
from laxity.task.download import Progress, check_digest, download

_UINT8 = 0x08


@dataclass(frozen=True, slots=True)
class IdxSet:
    """One data set in four IDX files.

    Attributes:
        name: folder under the data folder.
        url: address of the folder with the official files.
        md5: checksum of the uncompressed content, by file name without ``.gz``.
    """

    name: str
    url: str
    md5: Mapping[str, str]


MNIST = IdxSet(
    "mnist",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
)
FASHION_MNIST = IdxSet(
    "fashion_mnist",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
)


@dataclass(frozen=True, slots=True, eq=False)
class ImageData:
    """Images uint8 (N, C, H, W) and labels uint8 (N,) of the official training and test parts."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    notes: str


def parse_idx(raw: bytes, what: str) -> np.ndarray:
    """Return the uint8 array that IDX content holds.

    Args:
        raw: uncompressed content.
        what: name for messages.

    Raises:
        DataError: the content is no IDX of unsigned bytes, or shorter or longer than its header says.
    """
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != _UINT8 or raw[3] == 0:
        raise DataError(
            f"{what} does not begin as an IDX file of unsigned bytes does (found {raw[:4].hex()}); get it again"
        )
    start = 4 + 4 * raw[3]
    if len(raw) < start:
        raise DataError(f"{what} ends inside its header; get it again")
    shape = struct.unpack(f">{raw[3]}I", raw[4:start])
    wanted = start + int(np.prod(shape, dtype=np.int64))
    if len(raw) != wanted:
        raise DataError(
            f"{what} has {len(raw)} bytes, but its header announces {wanted} for shape {shape}; get it again"
        )
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape).copy()


def read_idx(path: Path, md5: str | None = None) -> np.ndarray:
    """Read a file in IDX format, compressed (``.gz``) or not.

    Args:
        path: the file.
        md5: checksum of the uncompressed content, compared if given.

    Raises:
        DataError: the file cannot be read or decompressed, has another checksum, or is malformed.
    """
    try:
        raw = path.read_bytes()
        if path.suffix == ".gz":
            raw = gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error or type(error).__name__}; get the file again") from error
    if md5 is not None:
        check_digest(raw, "md5", md5, f"the content of {path}")
    return parse_idx(raw, str(path))


def read_idx_set(which: IdxSet, data_dir: Path, *, fetch: bool = False, progress: Progress | None = None) -> ImageData:
    """Read the four files of a data set from ``data_dir/<name>`` or from `data_dir` itself, and check them.

    Args:
        which: `MNIST` or `FASHION_MNIST`.
        data_dir: folder of data sets.
        fetch: download missing files into ``data_dir/<name>``.
        progress: told how far a download is.

    Raises:
        DataError: files are missing (names folders and addresses) or damaged.
    """
    found = {name: _find(name, data_dir / which.name, data_dir) for name in which.md5}
    missing = [name for name, path in found.items() if path is None]
    if missing and not fetch:
        raise DataError(_missing_message(which, missing, data_dir))
    for name in missing:
        path = data_dir / which.name / f"{name}.gz"
        download(f"{which.url}{name}.gz", path, partial(_verify, md5=which.md5[name]), progress)
        found[name] = path
    arrays = {name: read_idx(path, which.md5[name]) for name, path in found.items() if path is not None}
    return ImageData(
        arrays["train-images-idx3-ubyte"][:, None],
        arrays["train-labels-idx1-ubyte"],
        arrays["t10k-images-idx3-ubyte"][:, None],
        arrays["t10k-labels-idx1-ubyte"],
        f"data: {which.name}, official files ({which.url})",
    )


def _verify(path: Path, md5: str) -> None:
    read_idx(path, md5)


def _find(name: str, *folders: Path) -> Path | None:
    candidates = (folder / file for folder in folders for file in (f"{name}.gz", name))
    return next((path for path in candidates if path.is_file()), None)


def _missing_message(which: IdxSet, missing: list[str], data_dir: Path) -> str:
    addresses = " ".join(f"{which.url}{name}.gz" for name in missing)
    return (
        f"data set {which.name!r} is not complete: {', '.join(f'{n}.gz' for n in missing)} not found in "
        f"{data_dir / which.name} or {data_dir}; get {addresses} and put the files there, "
        "or allow the download (--download)"
    )
