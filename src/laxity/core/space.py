"""What a search may choose: for each variable, a list of candidates with exact always first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.errors import PlanError
from laxity.core.op import Site
from laxity.core.plan import Plan
from laxity.core.slots import Level, Slot


@dataclass(frozen=True, slots=True)
class Variable:
    """One decision: the slot of a site, or of a group of sites that must agree.

    Attributes:
        name: ``site/slot`` or ``group/slot``.
        sites: names of the sites that receive the choice.
        slot: which slot.
        candidates: choices, mildest first; None stands for exact and comes first.
    """

    name: str
    sites: tuple[str, ...]
    slot: Slot
    candidates: tuple[Approximation | None, ...]


@dataclass(frozen=True, slots=True)
class Space:
    """All decisions of a search.

    Attributes:
        variables: the decisions.
        base: choices that hold wherever a variable says exact (8-bit integers on a hardware target).
    """

    variables: tuple[Variable, ...]
    base: Plan

    def plan(self, genome: Sequence[int]) -> Plan:
        """The plan in which variable i takes its candidate ``genome[i]``.

        Raises:
            PlanError: wrong length, or an index outside a variable's candidates.
        """
        if len(genome) != len(self.variables):
            raise PlanError(f"a genome of this space has {len(self.variables)} entries, not {len(genome)}")
        plan = self.base
        for variable, index in zip(self.variables, genome, strict=True):
            if not 0 <= index < len(variable.candidates):
                raise PlanError(f"{variable.name} has {len(variable.candidates)} candidates, no number {index}")
            choice = variable.candidates[index]
            if choice is not None:
                for site in variable.sites:
                    plan = plan.with_(site, choice)
        return plan

    def exact(self) -> tuple[int, ...]:
        """The genome of the base plan."""
        return (0,) * len(self.variables)

    def restrict(self, levels: Iterable[Level]) -> Space:
        """The same space with the decisions of other levels left exact."""
        wanted = set(levels)
        return Space(tuple(v for v in self.variables if v.slot.level in wanted), self.base)

    @staticmethod
    def of(sites: Sequence[Site], base: Plan, techniques: Iterable[str] | None = None) -> Space:
        """Collect the candidates of all (or the named) techniques at all sites.

        Raises:
            RegistryError: an unknown technique name.
        """
        kinds = [TECHNIQUES[name] for name in (TECHNIQUES.names() if techniques is None else techniques)]
        places: dict[tuple[str, Slot], list[Site]] = {}
        for site in sites:
            for slot in site.slots:
                shared = any(k.slot is slot and k.grouped() for k in kinds)
                places.setdefault((site.group if shared else site.name, slot), []).append(site)
        variables = []
        for (name, slot), members in places.items():
            candidates = _candidates(kinds, slot, members, base)
            if candidates:
                names = tuple(s.name for s in members)
                variables.append(Variable(f"{name}/{slot.value}", names, slot, (None, *candidates)))
        return Space(tuple(variables), base)


def _candidates(
    kinds: Sequence[type[Approximation]], slot: Slot, members: Sequence[Site], base: Plan
) -> list[Approximation]:
    """Candidates that every member of the place proposes, without what the base holds already."""
    held = [base.at(s.name).get(slot) for s in members]
    found: list[Approximation] = []
    for kind in kinds:
        if kind.slot is slot:
            offered = [list(kind.candidates(s)) for s in members]
            found.extend(c for c in offered[0] if all(c in o for o in offered[1:]) and c not in held)
    return list(dict.fromkeys(found))
