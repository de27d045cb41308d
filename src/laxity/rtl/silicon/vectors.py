"""The vectors of a written accelerator as bit planes: what is sent, and every integer that is expected."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from laxity.circuits.simulate import Words
from laxity.core.errors import DataError, RunError
from laxity.rtl.accelerator.write import REPORT

_CHUNK = 1024
_DIGIT = np.full(256, 255, np.uint8)
_DIGIT[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)


@dataclass(frozen=True, slots=True)
class Planned:
    """A step of the program.

    Attributes:
        name, kind: of the step.
        cycles: that it takes.
        base: first word of its value in the memory of activations.
        words: so many words are compared; 0 for the step that makes the result.
    """

    name: str
    kind: str
    cycles: int
    base: int
    words: int


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """Bit planes: (words of one image, bits, image words), uint64; image i is bit i % 64 of image word i // 64.

    Attributes:
        images: how many; planes are filled up with copies of the last image.
        mask: the images, uint64 (image words,).
        inputs: beats of the input stream.
        codes: words of activations after every step, one step after the other.
        sums: words of sums before requantisation in the order in which they are made, above them a bit for each lane:
            compare it.
        results: beats of the output stream.
        steps: of the program.
        parameters: of the top module.
    """

    images: int
    mask: Words
    inputs: Words
    codes: Words
    sums: Words
    results: Words
    steps: tuple[Planned, ...]
    parameters: Mapping[str, int]


def read_vectors(folder: Path, images: int | None = None) -> Vectors:
    """Read the vectors of an accelerator.

    Args:
        folder: from `laxity.rtl.accelerator.write_accelerator`.
        images: the first so many; all if None.

    Raises:
        RunError: the folder holds no accelerator.
        DataError: it has no such images, or vectors that do not fit it.
    """
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        steps = tuple(Planned(s["name"], s["kind"], s["cycles"], s["base"], s["words"]) for s in report["steps"])
        texts = {name: (folder / "memory" / f"{name}.hex").read_bytes() for name in _FILES}
        there, parameters = int(report["images"]), {str(k): int(v) for k, v in report["parameters"].items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{folder} holds no accelerator with vectors ({type(error).__name__}: {error}); write it with "
            "write_accelerator of this version of laxity"
        ) from error
    wanted = there if images is None else images
    if not 1 <= wanted <= there:
        raise DataError(f"{folder} has vectors of {there} images, not {wanted}; ask for 1 to {there}")
    rows, code_words = parameters["ROWS"], sum(s.words for s in steps)
    widths = {
        "input": (rows * parameters["BEAT_BITS"], parameters["IN_WORDS"]),
        "codes": (rows * parameters["CODE_BITS"], code_words),
        "sums": (rows * 33, None),
        "result": (32, None),
    }
    planes = {name: _planes(texts[name], name, there, wanted, *widths[name]) for name in _FILES}
    lanes = planes["input"].shape[2] * 64
    mask = np.packbits(np.arange(lanes) < wanted, bitorder="little").view(np.uint64)
    return Vectors(wanted, mask, planes["input"], planes["codes"], planes["sums"], planes["result"], steps, parameters)


_FILES = ("input", "codes", "sums", "result")


def _planes(text: bytes, name: str, there: int, wanted: int, bits: int, count: int | None) -> Words:
    """Lines of all images, one after the other, as planes of the first `wanted` images."""
    lanes = -(-wanted // 64) * 64
    if count == 0:
        return np.zeros((0, bits, lanes // 64), np.uint64)
    lines = _lines(text, name, bits)
    if len(lines) % there or count not in (None, len(lines) // there):
        raise DataError(f"{name}.hex has {len(lines)} lines for {there} images; write the accelerator again")
    of_image = lines.reshape(there, -1, lines.shape[1])[np.minimum(np.arange(lanes), wanted - 1)]
    planes = np.empty((of_image.shape[1], bits, lanes // 64), np.uint64)
    for first in range(0, len(planes), _CHUNK):
        part = of_image[:, first : first + _CHUNK]
        single = np.unpackbits(part, axis=2, bitorder="little", count=bits)
        packed = np.packbits(single.transpose(1, 2, 0), axis=2, bitorder="little")
        planes[first : first + _CHUNK] = np.ascontiguousarray(packed).view(np.uint64)
    return planes


def _lines(text: bytes, name: str, bits: int) -> npt.NDArray[np.uint8]:
    """Hexadecimal words, one in a line, as bytes (lines, bytes), least significant first."""
    digits = -(-bits // 4)
    raw = np.frombuffer(text, np.uint8)
    if raw.size == 0 or raw.size % (digits + 1) or (raw[digits :: digits + 1] != ord("\n")).any():
        raise DataError(f"{name}.hex has lines of other than {digits} digits; write the accelerator again")
    values = _DIGIT[raw.reshape(-1, digits + 1)[:, digits - 1 :: -1]]
    if (values > 15).any():
        raise DataError(f"{name}.hex has digits that are not hexadecimal; write the accelerator again")
    if digits % 2:
        values = np.concatenate([values, np.zeros((len(values), 1), np.uint8)], 1)
    joined: npt.NDArray[np.uint8] = (values[:, 0::2] | values[:, 1::2] << np.uint8(4)).astype(np.uint8)
    return joined
