"""How operands are distributed: uniformly, by a histogram of each, by a joint histogram, or as a list of pairs."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from laxity.circuits.error_sums import FloatArray, IntArray, Weight
from laxity.core.errors import CircuitError

_MAX_FILE_BYTES = 256 << 20
_DAMAGE = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, SyntaxError, OverflowError, MemoryError),
    *(RuntimeError, zipfile.BadZipFile, zlib.error, struct.error),
)
"""What numpy and zipfile raise on damaged archives."""


class Operands:
    """A distribution of operand pairs by code (unsigned bit pattern).

    Args:
        a: non-negative weights (2**a_bits,) of operand a; uniform if not given.
        b: likewise for b.
        joint: weights (2**a_bits, 2**b_bits) of the pairs, instead of both.
        pairs: int64 (3, pairs): codes of a, codes of b and how often they occur, instead of all these; for operands too
            wide for a histogram. `of_pairs` makes it from a list of pairs.

    Raises:
        CircuitError: a histogram has no weights that are finite and non-negative, or two ways are mixed.
    """

    def __init__(
        self,
        a: npt.ArrayLike | None = None,
        b: npt.ArrayLike | None = None,
        joint: npt.ArrayLike | None = None,
        pairs: IntArray | None = None,
    ) -> None:
        ways = [a is not None or b is not None, joint is not None, pairs is not None]
        if sum(ways) > 1:
            raise CircuitError("operands have one distribution: give histograms of a and b, a joint one, or pairs")
        self.a = None if a is None else _weights(a, 1, "histogram of operand a")
        self.b = None if b is None else _weights(b, 1, "histogram of operand b")
        self.joint = None if joint is None else _weights(joint, 2, "joint histogram of operands a and b")
        self.pairs = pairs

    @staticmethod
    def of_pairs(a: npt.ArrayLike, b: npt.ArrayLike) -> Operands:
        """The distribution of pairs that occurred, for example in a layer.

        Args:
            a: codes of operand a, integers >= 0 of any shape.
            b: codes of operand b, of the same shape.

        Raises:
            CircuitError: the shapes differ, there are none, or they are no integers >= 0.
        """
        codes = [np.asarray(a), np.asarray(b)]
        if codes[0].shape != codes[1].shape or not codes[0].size or any(c.dtype.kind not in "iu" for c in codes):
            shapes = " and ".join(f"{c.dtype} {c.shape}" for c in codes)
            raise CircuitError(f"operand pairs are {shapes}; give integers of one shape")
        both = np.stack([c.ravel().astype(np.int64) for c in codes])
        if both.min() < 0:
            raise CircuitError("operand pairs hold negative numbers; give the codes, unsigned bit patterns")
        distinct, counts = np.unique(both, axis=1, return_counts=True)
        return Operands(pairs=np.vstack([distinct, counts]))

    @property
    def uniform(self) -> bool:
        """All pairs are equally likely."""
        return all(part is None for part in (self.a, self.b, self.joint, self.pairs))

    def check(self, rows: int, columns: int) -> None:
        """Check that the distribution fits operands with so many codes of a and of b.

        Raises:
            CircuitError: it does not; says what would.
        """
        if self.pairs is not None:
            for name, codes, size in (("a", self.pairs[0], rows), ("b", self.pairs[1], columns)):
                if int(codes.max()) >= size:
                    raise CircuitError(f"operand {name} takes codes 0..{size - 1}, the pairs hold {int(codes.max())}")
        if self.joint is not None and self.joint.shape != (rows, columns):
            raise CircuitError(
                f"joint histogram has shape {self.joint.shape}; give {rows} x {columns} weights by code, a first"
            )
        for name, histogram, size in (("a", self.a, rows), ("b", self.b, columns)):
            if histogram is not None and histogram.shape != (size,):
                raise CircuitError(
                    f"histogram of operand {name} has shape {histogram.shape}; give {size} weights by code"
                )

    def block(self, start: int, stop: int, columns: int) -> Weight:
        """Weights of the pairs of codes start..stop - 1 of a with all codes of b, of a distribution that is no list."""
        if self.joint is not None:
            return self.joint[start:stop]
        if self.a is None and self.b is None:
            return 1.0
        rows = np.ones(stop - start) if self.a is None else self.a[start:stop]
        return rows, np.ones(columns) / columns if self.b is None else self.b

    def draw(self, generator: np.random.Generator, count: int, a_bits: int, b_bits: int) -> tuple[IntArray, IntArray]:
        """Codes of a and b, int64 (count,), drawn independently of each other in time."""
        if self.pairs is not None:
            chosen = _draw(generator, count, self.pairs[2].astype(np.float64))
            return self.pairs[0][chosen], self.pairs[1][chosen]
        if self.joint is not None:
            flat = _draw(generator, count, self.joint.ravel())
            return flat >> b_bits, flat & ((1 << b_bits) - 1)
        sides = ((self.a, a_bits), (self.b, b_bits))
        a, b = (generator.integers(0, 1 << n, count) if h is None else _draw(generator, count, h) for h, n in sides)
        return a, b


UNIFORM = Operands()
"""All operand pairs are equally likely."""


def load_operands(path: Path) -> Operands:
    """Read a distribution from a file of numpy.

    Args:
        path: an .npy file with a joint histogram, or an .npz file with the arrays ``a_histogram`` or ``b_histogram`` or
            both, or ``joint_histogram``, or with operands ``a`` and ``b`` one by one, as a layer saw them: integers of
            equal shapes, codes of 0 and more.

    Raises:
        CircuitError: the file cannot be read, holds something else, or weights that are no weights.
    """
    try:
        content = path.read_bytes()
        if len(content) > _MAX_FILE_BYTES:
            raise CircuitError(f"{path} has more than {_MAX_FILE_BYTES >> 20} MiB; give a smaller file")
        opened = np.load(io.BytesIO(content), allow_pickle=False)
        if isinstance(opened, np.ndarray):
            return Operands(joint=opened)
        with opened as loaded:
            if sum(entry.file_size for entry in loaded.zip.infolist()) > _MAX_FILE_BYTES:
                raise CircuitError(f"{path} holds more than {_MAX_FILE_BYTES >> 20} MiB; give fewer operands")
            arrays = {name: loaded[name] for name in loaded.files}
    except _DAMAGE as error:
        raise CircuitError(f"{path} is no .npy or .npz file of operands ({error}); write it with numpy") from error
    return _from_arrays(path, arrays)


def _from_arrays(path: Path, arrays: dict[str, npt.NDArray[np.generic]]) -> Operands:
    if {"a", "b"} <= set(arrays):
        return Operands.of_pairs(arrays["a"], arrays["b"])
    known = {name: arrays[name] for name in ("a_histogram", "b_histogram", "joint_histogram") if name in arrays}
    if not known:
        raise CircuitError(
            f"{path} has arrays {', '.join(sorted(arrays)) or 'none'}; name them a_histogram, b_histogram or "
            "joint_histogram (weights by code), or a and b (operands one by one)"
        )
    return Operands(known.get("a_histogram"), known.get("b_histogram"), known.get("joint_histogram"))


def _weights(values: npt.ArrayLike, dimensions: int, what: str) -> FloatArray:
    try:
        weights = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CircuitError(f"{what} holds no numbers: {error}") from error
    if weights.ndim != dimensions or not weights.size:
        raise CircuitError(f"{what} has shape {weights.shape}; give an array of {dimensions} dimension(s), by code")
    total = float(weights.sum())
    if not np.isfinite(total) or weights.min() < 0 or total <= 0:
        raise CircuitError(f"{what} needs finite weights >= 0 with a positive sum")
    return weights / total


def _draw(generator: np.random.Generator, count: int, weights: FloatArray) -> IntArray:
    """Indices drawn by weight; those of weight 0 never are."""
    steps = np.cumsum(weights)
    found = np.searchsorted(steps, generator.random(count) * steps[-1], side="right")
    return np.minimum(found, np.flatnonzero(weights)[-1]).astype(np.int64)
