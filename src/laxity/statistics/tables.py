"""Whether a table of fault outcomes can be right: identities, counts, and the bits that do the damage.

Published campaigns contain tables whose outcomes do not belong to their fault rows. Nothing in such a table is out of
range, but harm no longer depends on the bit that was struck. The audit therefore asks whether outcomes rise with the
significance of the bit, and, where they do not, whether moving them by some rows mends that.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erfc
from scipy.stats import rankdata

from laxity.core.errors import ConfigError, DataError
from laxity.statistics.interval import Values

UNRELATED = 1e-3
"""p-value of independence above which harm is said not to depend on the bit."""

LIFT = 0.1
"""By which another alignment must raise the correlation to be named. A chance maximum over all shifts of n unrelated
rows is about ``sqrt(2 ln(n) / n)``, 0.03 for 16 000."""

FP32_SIGN, FP32_EXPONENT = 31, 23
"""Sign bit, and first bit of the exponent. Source: IEEE 754-2019, binary32."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        rule: name of the rule that was broken.
        rows: number of rows concerned.
        message: what is wrong, in words.
    """

    rule: str
    rows: int
    message: str


@dataclass(frozen=True, slots=True)
class TableAudit:
    """Result of an audit.

    Attributes:
        findings: what is wrong; empty where nothing is.
        correlation: rank correlation of harm with the significance of the bit.
        p_value: probability of so large a correlation if harm does not depend on the bit.
        shift: rows by which outcomes must be moved for the largest correlation; 0 where they are aligned.
        shifted_correlation: the correlation then.
    """

    findings: tuple[Finding, ...]
    correlation: float
    p_value: float
    shift: int
    shifted_correlation: float

    @property
    def plausible(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def fp32_significance() -> dict[int, float]:
    """Bits of a binary32 word in the order of the relative change that a flip of 0 to 1 makes.

    Mantissa bits change a value by up to one half, the sign changes it by 2, exponent bit k multiplies it by
    ``2 ** (2 ** (k - 23))``.
    """
    order = [*range(FP32_EXPONENT + 1), FP32_SIGN, *range(FP32_EXPONENT + 1, FP32_SIGN)]
    return {bit: float(rank) for rank, bit in enumerate(order)}


def integer_significance(bits: int) -> dict[int, float]:
    """Bits of an integer code: the higher, the larger the change.

    Raises:
        ConfigError: fewer than 1 bit.
    """
    if bits < 1:
        raise ConfigError(f"a code has at least 1 bit, not {bits}")
    return {bit: float(bit) for bit in range(bits)}


def audit_table(
    identities: Sequence[Hashable],
    bits: ArrayLike,
    changed: ArrayLike,
    images: ArrayLike,
    significance: Mapping[int, float],
    *,
    expected_images: int | None = None,
    counted: ArrayLike | None = None,
) -> TableAudit:
    """Check a table with one row per fault.

    Args:
        identities: what was struck in each row, for example (layer, index, bit).
        bits: that was struck, integers (rows,).
        changed: images whose prediction changed, (rows,).
        images: images evaluated, (rows,).
        significance: of every bit of the number format (`fp32_significance`, `integer_significance`).
        expected_images: that each row must have; None to compare rows with each other only.
        counted: images in all categories together (masked, not critical, critical), (rows,); must equal `images`.

    Raises:
        DataError: rows of different lengths, fewer than 3 rows, or a bit that the format does not have.
    """
    bit, hit, n = np.asarray(bits, np.int64), np.asarray(changed, np.float64), np.asarray(images, np.float64)
    if not (bit.ndim == 1 and bit.size == hit.size == n.size == len(identities)) or bit.size < 3:
        raise DataError("a table of faults needs at least 3 rows, and all columns need the same length")
    unknown = set(bit.tolist()) - significance.keys()
    if unknown:
        raise DataError(f"bit {min(unknown)} is not a bit of the number format, which has {len(significance)}")
    findings = _rows(identities, hit, n, expected_images, counted)
    harm = hit / np.maximum(n, 1)
    correlations = _correlations(np.array([significance[b] for b in bit.tolist()]), harm)
    own, shift = float(correlations[0]), int(correlations.argmax())
    best = float(correlations[shift])
    # Spearman's correlation of independent rows is about normal with variance 1 / (rows - 1).
    p_value = 0.5 * float(erfc(own * math.sqrt((bit.size - 1) / 2)))
    findings += _alignment(own, best, shift, p_value, bit.size, bool(np.ptp(harm) > 0))
    moved = bool(best - own > LIFT)
    return TableAudit(tuple(findings), own, p_value, shift if moved else 0, best if moved else own)


def _rows(
    identities: Sequence[Hashable], hit: Values, n: Values, expected: int | None, counted: ArrayLike | None
) -> list[Finding]:
    rules = [
        ("identity", len(identities) - len(set(identities)), "strike a fault that an earlier row struck already"),
        ("range", int(((hit < 0) | (hit > n) | (n <= 0)).sum()), "count more changed images than images, or none"),
    ]
    usual = float(np.median(n)) if expected is None else float(expected)
    rules.append(("images", int((n != usual).sum()), f"do not have {usual:g} images"))
    if counted is not None:
        rules.append(("sum", int((np.asarray(counted) != n).sum()), "have categories that do not add up to the images"))
    return [Finding(rule, rows, f"{rows} rows {text}") for rule, rows, text in rules if rows]


def _alignment(own: float, best: float, shift: int, p_value: float, rows: int, varies: bool) -> list[Finding]:
    if not varies:
        return []
    findings = []
    if p_value > UNRELATED:
        text = f"harm does not rise with the significance of the bit: rank correlation {own:.3f}"
        findings.append(Finding("significance", rows, text))
    if best - own > LIFT:
        text = f"moving outcomes by {shift} rows raises the rank correlation with the bit from {own:.3f} to {best:.3f}"
        findings.append(Finding("alignment", rows, text))
    return findings


def _correlations(significance: Values, harm: Values) -> Values:
    """Rank correlation of row i's significance with the harm in row i + shift, for every shift (cyclic)."""
    a, b = rankdata(significance), rankdata(harm)
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    if scale == 0:
        return np.zeros(a.size)
    products = np.fft.irfft(np.conj(np.fft.rfft(a)) * np.fft.rfft(b), a.size)
    return np.asarray(products / scale, dtype=np.float64)
