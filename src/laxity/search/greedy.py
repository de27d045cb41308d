"""Sensitivity-guided greedy search: one path from exact to everything, cheapest harm first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from laxity.core.approximation import Approximation
from laxity.core.records import Evaluation
from laxity.core.space import Space
from laxity.search.sensitivity import Probe

Genome = tuple[int, ...]
Run = Callable[[list[Genome]], list[Evaluation]]
Limit = Callable[[Evaluation], bool]
_NEGLIGIBLE = 1e-6


class Point(Protocol):
    """Something that saves and harms."""

    @property
    def saving(self) -> float:
        """Energy saved."""

    @property
    def harm(self) -> float:
        """What it costs in quality."""


P = TypeVar("P", bound=Point)


def path(space: Space, probes: Sequence[Probe]) -> list[Genome]:
    """Genomes from exact to the strongest choice everywhere, each one step further than the last.

    Per decision only the choices on the lower convex hull of harm over saving are steps; all steps of all decisions
    are taken in order of harm per saving (the greedy solution of the multiple-choice knapsack problem, in which harms
    and savings of different places are taken to add up). A negligible harm is added to every choice, so that among
    harmless ones those that save more come first.

    Source: P. Sinha, A. A. Zoltners, The multiple-choice knapsack problem, Operations Research 27 (1979).
    """
    by_place: dict[str, list[Probe]] = {}
    for probe in probes:
        by_place.setdefault(probe.variable, []).append(probe)
    steps: list[tuple[float, int, int]] = []
    for position, variable in enumerate(space.variables):
        before: Probe | None = None
        for probe in hull(by_place.get(variable.name, [])):
            steps.append((_slope(before, probe), position, _index(variable.candidates, probe.choice)))
            before = probe
    genomes = [space.exact()]
    for _, position, index in sorted(steps, key=lambda s: (s[0], s[1])):
        last = genomes[-1]
        genomes.append((*last[:position], index, *last[position + 1 :]))
    return genomes


def _index(candidates: Sequence[Approximation | None], choice: Approximation) -> int:
    return list(candidates).index(choice)


def hull(points: Sequence[P]) -> list[P]:
    """Lower convex hull of harm over saving, from nothing at all (0, 0), by rising saving.

    Points that save nothing are left out, and so is what saves less than a point that harms no more.
    """
    kept: list[P] = []
    for point in sorted((p for p in points if p.saving > 0), key=lambda p: (p.saving, p.harm)):
        while kept and _slope(kept[-2] if len(kept) > 1 else None, kept[-1]) >= _slope(kept[-1], point):
            kept.pop()
        if not kept or point.saving > kept[-1].saving:
            kept.append(point)
    return kept


def _slope(start: Point | None, end: Point) -> float:
    saving, harm = (0.0, -_NEGLIGIBLE) if start is None else (start.saving, start.harm)
    return (end.harm - harm) / max(end.saving - saving, 1e-15)


def walk(genomes: Sequence[Genome], run: Run, limits: Sequence[Limit], *, count: int) -> list[Genome]:
    """Spend `count` evaluations along a path: half evenly spread, the rest where each limit is crossed.

    Args:
        genomes: a path from exact to the strongest choices.
        run: evaluates genomes; results in the same order.
        limits: each says whether an evaluation is still on the near side of one boundary.
        count: evaluations to spend.

    Returns:
        The genomes that were evaluated, in order along the path.
    """
    last = len(genomes) - 1
    known: dict[int, Evaluation] = {}

    def visit(positions: Sequence[int]) -> None:
        fresh = [p for p in dict.fromkeys(positions) if p not in known and 0 < p <= last][: count - len(known)]
        known.update(zip(fresh, run([genomes[p] for p in fresh]), strict=True))

    visit([round(last * (i + 1) / max(1, count // 2)) for i in range(max(1, count // 2))])
    while len(known) < min(count, last):
        before = len(known)
        visit([p for limit in limits for p in _between(known, limit)])
        if len(known) == before:
            break
    return [genomes[p] for p in sorted(known)]


def _between(known: Mapping[int, Evaluation], limit: Limit) -> list[int]:
    """A position between the farthest one inside the limit and the next known one beyond it."""
    inside = max((p for p, e in known.items() if limit(e)), default=0)
    outside = min((p for p in known if p > inside), default=inside)
    return [(inside + outside) // 2] if outside - inside > 1 else []
