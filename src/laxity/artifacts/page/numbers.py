"""Numbers as people read them."""

from __future__ import annotations

import math

THIN = "\u202f"
MINUS = "\u2212"
_PREFIXES = {
    "pJ": ("pJ", "nJ", "µJ", "mJ", "J"),
    "um2": ("µm²", "mm²"),
    "bit": ("bit", "kbit", "Mbit", "Gbit"),
}
_STEPS = {"pJ": 1e3, "um2": 1e6, "bit": 1e3}
_UNITS = {"um2": "µm²", "um^2": "µm²", "us": "µs"}


def number(value: float | None, digits: int = 4) -> str:
    """A number with `digits` significant digits, thin spaces between thousands; a dash for None."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size >= 12 or size < -4:
        mantissa, exponent = f"{value:.{max(digits - 2, 0)}e}".split("e")
        return f"{mantissa}·10{_superscript(int(exponent))}".replace("-", MINUS)
    places = max(0, digits - 1 - size)
    text = f"{value:,.{places}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace(",", THIN).replace("-", MINUS)


def percent(value: float, places: int = 1) -> str:
    """A fraction as percent."""
    return f"{value * 100:.{places}f}{THIN}%".replace("-", MINUS)


def points(value: float) -> str:
    """A difference of fractions as percentage points, without sign."""
    amount = round(abs(value) * 100, 2)
    text = f"{amount:.2f}".rstrip("0").rstrip(".")
    return f"{text} {'point' if text == '1' else 'points'}"


def signed_points(value: float) -> str:
    """A difference of fractions in percentage points, with sign, without unit."""
    return f"{value * 100:+.2f}".replace("-", MINUS)


def quantity(value: float, unit: str) -> str:
    """A value with its unit, in the SI prefix that keeps it short."""
    step, names = _STEPS.get(unit), _PREFIXES.get(unit, (_UNITS.get(unit, unit),))
    index = 0
    while step and abs(value) >= step and index + 1 < len(names):
        value, index = value / step, index + 1
    return f"{number(value)}{THIN}{names[index]}"


def duration(seconds: float) -> str:
    """Wall time in the two largest units."""
    if seconds < 60:
        return f"{number(seconds, 3)}{THIN}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{THIN}min {rest}{THIN}s"
    return f"{minutes // 60}{THIN}h {minutes % 60}{THIN}min"


def _superscript(value: int) -> str:
    return str(value).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
