"""Look-up tables of Liberty files, read at one slew and as a straight line over the load."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from laxity.circuits.liberty.syntax import Group

_LOADS = ("total_output_net_capacitance", "equal_or_opposite_output_net_capacitance")
_SLEWS = ("input_net_transition", "input_transition_time", "related_pin_transition", "constrained_pin_transition")


class TableError(ValueError):
    """A table that cannot be read.

    Attributes:
        line: where it stands.
    """

    def __init__(self, line: int, problem: str) -> None:
        self.line = line
        super().__init__(problem)


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line over the load, in the units of the file.

    Attributes:
        at_load: value at the stated load.
        slope: per unit of load.
    """

    at_load: float
    slope: float


@dataclass(frozen=True, slots=True)
class Point:
    """Where tables are read, in the units of the file.

    Attributes:
        slew: transition time at the input.
        load: capacitance at the output.
    """

    slew: float
    load: float


def number(text: str) -> float:
    """A finite number.

    Raises:
        ValueError: it is none.
    """
    value = float(text)
    if not math.isfinite(value) or "_" in text:
        raise ValueError(f"{text!r} is not a finite number")
    return value


def line_at(table: Group, templates: Mapping[str, Group], point: Point) -> Line:
    """Read a table at a slew as a line over the load, through the two entries around (or nearest to) the load.

    Args:
        table: a group such as ``cell_rise (template) { ... }``.
        templates: the groups ``lu_table_template`` and ``power_lut_template`` by name.
        point: where to read.

    Raises:
        TableError: its template is missing, or indices and values are malformed or do not fit each other.
    """
    axes, values = _axes(table, templates), _values(table)
    if math.prod(len(indices) for _, indices in axes) != len(values):
        shape = " x ".join(str(len(indices)) for _, indices in axes) or "1"
        raise TableError(table.line, f"has {len(values)} values for {shape} indices")
    return _read(axes, values, point)


def _read(axes: list[tuple[str, list[float]]], values: list[float], point: Point) -> Line:
    """Interpolate along all axes but the load's."""

    def value(load: float) -> float:
        block = values
        for kind, indices in axes:
            size = len(block) // len(indices)
            parts = [block[i * size : (i + 1) * size] for i in range(len(indices))]
            block = _between(indices, parts, load if kind == "load" else point.slew)
        return block[0]

    loads = next((indices for kind, indices in axes if kind == "load"), [])
    if len(loads) < 2:
        return Line(value(point.load), 0.0)
    low = _segment(loads, point.load)
    slope = (value(loads[low + 1]) - value(loads[low])) / (loads[low + 1] - loads[low])
    return Line(value(loads[low]) + slope * (point.load - loads[low]), slope)


def _segment(indices: list[float], at: float) -> int:
    """The segment around `at`, or the nearest one."""
    return min(max(bisect.bisect_right(indices, at) - 1, 0), len(indices) - 2)


def _between(indices: list[float], parts: list[list[float]], at: float) -> list[float]:
    if len(indices) == 1:
        return parts[0]
    low = _segment(indices, at)
    share = (at - indices[low]) / (indices[low + 1] - indices[low])
    return [a + share * (b - a) for a, b in zip(parts[low], parts[low + 1], strict=True)]


def _axes(table: Group, templates: Mapping[str, Group]) -> list[tuple[str, list[float]]]:
    """Kind (``"load"`` or ``"slew"``) and indices of each axis."""
    if table.name in ("scalar", ""):
        return []
    template = templates.get(table.name)
    if template is None:
        raise TableError(table.line, f"uses template {table.name!r}, which the file does not define")
    axes = []
    for place in (1, 2, 3):
        variable = template.text(f"variable_{place}")
        if not variable:
            break
        if variable not in _LOADS + _SLEWS:
            raise TableError(table.line, f"has the variable {variable!r}; only slews and loads are supported")
        given = table.find(f"index_{place}") or template.find(f"index_{place}")
        if given is None:
            raise TableError(table.line, f"has no index_{place}")
        indices = _numbers(given.values, given.line)
        if any(b <= a for a, b in itertools.pairwise(indices)):
            raise TableError(given.line, f"has an index_{place} that does not rise")
        axes.append(("load" if variable in _LOADS else "slew", indices))
    return axes


def _values(table: Group) -> list[float]:
    given = table.find("values")
    if given is None:
        raise TableError(table.line, "has no values")
    return _numbers(given.values, given.line)


def _numbers(texts: tuple[str, ...], line: int) -> list[float]:
    try:
        found = [number(part) for text in texts for part in text.replace(",", " ").split()]
    except ValueError as error:
        raise TableError(line, f"has a value that is no finite number ({error})") from error
    if not found:
        raise TableError(line, "has an empty list of numbers")
    return found


def mean(values: list[float], what: Callable[[], TableError]) -> float:
    """Mean of some numbers; `what` is raised where there are none."""
    if not values:
        raise what()
    return math.fsum(values) / len(values)
