"""Which approximation acts at which slot of which site."""

from __future__ import annotations

import fnmatch
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from laxity.core.approximation import Approximation
from laxity.core.errors import PlanError
from laxity.core.op import Site
from laxity.core.registry import did_you_mean
from laxity.core.serial import content_key
from laxity.core.slots import Level, Slot

Choices = Mapping[str, Mapping[Slot, Approximation]]

_NAMED = {"schedule": ("constant", "error"), "teacher": ("original", "quantised")}
_ALWAYS = ("reestimate", "epochs", "learning_rate", "batch_size", "samples", "distil", "temperature")
"""Parameters of a recovery that are written even where they have their default, as keys have always been made."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """How accuracy is repaired after a plan has been applied.

    Attributes:
        reestimate: re-estimate batch-norm statistics of folded layers on calibration data.
        epochs: passes over the training split with the straight-through estimator; 0 for none.
        learning_rate: peak rate of the cosine schedule.
        batch_size: samples per step.
        samples: training samples per epoch; 0 means all.
        distil: weight of the teacher's predictions in the loss, the rest is the task's own loss; in [0, 1].
        temperature: softens both predictions before they are compared.
        schedule: ``constant`` temperature, or one that grows with the ``error`` of the outputs.
        teacher: who teaches the approximate network: the ``original`` one, or the ``quantised`` one, which has the same
            choices but exact circuits, after its own training.
        quantised_epochs: so many epochs train the quantised network with exact circuits first, taught by the original;
            the approximate one starts from its weights.
        gradient: name of the gradient estimator of approximate products, with options behind it where they are wanted:
            ``table_2d window=4``.
        modelled: train through a model of the multipliers' errors, which has a gradient of its own.
        regularise: share of the loss that expected errors of the products by each weight get; in [0, 1].
        alpha: share of the loss that distances of weights from their codes get; in [0, 1].
        compensate: take the mean error of each output channel out of its bias, before anything else.
    """

    reestimate: bool = True
    epochs: int = 0
    learning_rate: float = 1e-3
    batch_size: int = 64
    samples: int = 0
    distil: float = 0.9
    temperature: float = 4.0
    schedule: str = "constant"
    teacher: str = "original"
    quantised_epochs: int = 0
    gradient: str = "straight_through"
    modelled: bool = False
    regularise: float = 0.0
    alpha: float = 0.0
    compensate: bool = False

    @property
    def trains(self) -> bool:
        """Whether weights are trained at all."""
        return self.epochs > 0 or self.quantised_epochs > 0

    @property
    def staged(self) -> bool:
        """Whether a quantised network with exact circuits comes first."""
        return self.quantised_epochs > 0 or (self.epochs > 0 and self.teacher == "quantised")

    def plain(self) -> Recovery:
        """The same training by labels and the original network alone, without treatments of circuits' errors."""
        return Recovery(
            reestimate=self.reestimate,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            samples=self.samples,
            distil=self.distil,
            temperature=self.temperature,
        )

    def __post_init__(self) -> None:
        for f in fields(self):
            object.__setattr__(self, f.name, _as_declared(f.name, str(f.type), getattr(self, f.name)))
        counts = self.epochs >= 0 and self.batch_size >= 1 and self.samples >= 0
        finite = 0 < self.learning_rate < math.inf and 0 < self.temperature < math.inf
        shares = all(0 <= share <= 1 for share in (self.distil, self.regularise, self.alpha))
        if not (counts and finite and shares and self.quantised_epochs >= 0):
            raise PlanError(f"recovery has a value out of range: {self}")
        for name, known in _NAMED.items():
            if getattr(self, name) not in known:
                given = getattr(self, name)
                raise PlanError(f"recovery has no {name} {given!r}{did_you_mean(given, known)}; use one of {known}")
        if self.modelled and self.gradient != "straight_through":
            raise PlanError(
                f"training through the error model has that model's gradient; leave gradient={self.gradient!r} or "
                "modelled=True out"
            )


def _as_declared(name: str, kind: str, value: Any) -> Any:
    """A parameter of a recovery in its declared type, so that equal recoveries have equal keys."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if kind == "float" and (whole or isinstance(value, float)):
        return float(value)
    if (kind == "int" and whole) or isinstance(value, {"bool": bool, "str": str}.get(kind, ())):
        return value
    raise PlanError(f"parameter {name!r} of recovery must be {kind}, not {value!r}")


@dataclass(frozen=True, slots=True)
class Plan:
    """At most one choice per site and slot; equal plans have equal keys whatever the order they were written in."""

    choices: tuple[tuple[str, Slot, Approximation], ...] = ()
    recovery: Recovery | None = field(default=None)

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.choices, key=lambda c: (c[0], c[1].order)))
        for first, second in itertools.pairwise(ordered):
            if first[:2] == second[:2]:
                raise PlanError(f"site {first[0]!r} has two choices for slot {first[1].value!r}; keep one")
        for site, slot, choice in ordered:
            if choice.slot is not slot:
                raise PlanError(
                    f"{choice.kind!r} at site {site!r} belongs to slot {choice.slot.value!r}, not {slot.value!r}"
                )
        object.__setattr__(self, "choices", ordered)

    @property
    def key(self) -> str:
        """Content key: 16 hexadecimal digits."""
        return content_key(self.to_json())

    def __iter__(self) -> Iterator[tuple[str, Slot, Approximation]]:
        return iter(self.choices)

    def at(self, site: str) -> dict[Slot, Approximation]:
        """Choices of one site in order of application."""
        return {slot: choice for name, slot, choice in self.choices if name == site}

    def sites(self) -> list[str]:
        """Names of all sites with a choice."""
        return list(dict.fromkeys(name for name, _, _ in self.choices))

    def levels(self) -> set[Level]:
        """Levels at which this plan acts."""
        return {slot.level for _, slot, _ in self.choices}

    def with_(self, site: str, *approximations: Approximation) -> Plan:
        """Return a plan in which `approximations` replace whatever `site` had at their slots."""
        slots = {a.slot for a in approximations}
        kept = tuple(c for c in self.choices if not (c[0] == site and c[1] in slots))
        return replace(self, choices=kept + tuple((site, a.slot, a) for a in approximations))

    def without(self, site: str, slot: Slot) -> Plan:
        """Return a plan without the choice at that place."""
        return replace(self, choices=tuple(c for c in self.choices if c[:2] != (site, slot)))

    def with_recovery(self, recovery: Recovery | None) -> Plan:
        """Return the same choices with another recovery."""
        return replace(self, recovery=recovery)

    def diff(self, other: Plan) -> list[tuple[str, Slot, Approximation | None, Approximation | None]]:
        """Places at which the two plans differ, with the choice here and the choice there."""
        mine = {(s, t): a for s, t, a in self.choices}
        theirs = {(s, t): a for s, t, a in other.choices}
        places = sorted(mine.keys() | theirs.keys(), key=lambda p: (p[0], p[1].order))
        return [
            (s, t, mine.get((s, t)), theirs.get((s, t))) for s, t in places if mine.get((s, t)) != theirs.get((s, t))
        ]

    def check(self, sites: Sequence[Site]) -> None:
        """Check that every choice names a known site and a slot that the site has, and can be made there.

        Raises:
            PlanError: names the site, and the nearest known name, the slots it has, or why the choice cannot be made.
        """
        known = {s.name: s for s in sites}
        for name, slot, choice in self.choices:
            if name not in known:
                raise PlanError(f"the plan names an unknown site {name!r}{did_you_mean(name, known)}")
            if slot not in known[name].slots:
                have = ", ".join(s.value for s in known[name].slots) or "none"
                raise PlanError(f"site {name!r} has no slot {slot.value!r} for {choice.kind!r}; it has: {have}")
            choice.check(known[name])

    @staticmethod
    def assign(
        sites: Sequence[Site],
        default: Iterable[Approximation] = (),
        *,
        by_type: Mapping[str, Iterable[Approximation]] | None = None,
        by_pattern: Mapping[str, Iterable[Approximation]] | None = None,
        first: Iterable[Approximation] | None = None,
        last: Iterable[Approximation] | None = None,
    ) -> Plan:
        """Assign choices to sites: `default` to all, then by op kind, then by name pattern, then first and last site.

        Later rules replace earlier ones slot by slot; an empty list of choices leaves its sites exact. Choices for
        slots that a site does not have are left out there.

        Raises:
            PlanError: a type or a pattern matches no site.
        """
        everywhere = {a.slot: a for a in default}
        rules: dict[str, dict[Slot, Approximation]] = {s.name: dict(everywhere) for s in sites}
        for kind, choices in (by_type or {}).items():
            _overlay(rules, [s.name for s in sites if s.op.kind == kind], choices, f"type {kind!r}", sites)
        for pattern, choices in (by_pattern or {}).items():
            _overlay(rules, fnmatch.filter(list(rules), pattern), choices, f"pattern {pattern!r}", sites)
        for place, special in ((sites[:1], first), (sites[-1:], last)):
            if special is not None and place:
                _overlay(rules, [s.name for s in place], special, "first and last", sites)
        allowed = {s.name: s.slots for s in sites}
        return Plan(tuple((n, t, a) for n, c in rules.items() for t, a in c.items() if t in allowed[n]))

    def to_json(self) -> dict[str, Any]:
        """``{"sites": {name: {slot: choice}}, "recovery": ...}``."""
        places: dict[str, dict[str, Any]] = {}
        for name, slot, choice in self.choices:
            places.setdefault(name, {})[slot.value] = choice.to_json()
        return {"sites": places, "recovery": None if self.recovery is None else _recovery_json(self.recovery)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Plan:
        """Rebuild a plan.

        Raises:
            PlanError, RegistryError: something in the data is unknown or out of range.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("sites"), Mapping):
            raise PlanError("a plan must be an object with 'sites'")
        unknown = set(data) - {"sites", "recovery"}
        if unknown:
            raise PlanError(f"a plan has no key {sorted(unknown)[0]!r}; it has 'sites' and 'recovery'")
        choices = []
        for name, slots in data["sites"].items():
            if not isinstance(slots, Mapping):
                raise PlanError(f"site {name!r} of the plan must map slots to choices, not {slots!r}")
            for slot, choice in slots.items():
                choices.append((name, _slot(slot, name), Approximation.from_json(choice)))
        return Plan(tuple(choices), _recovery(data.get("recovery")))


def _overlay(
    rules: dict[str, dict[Slot, Approximation]],
    names: Sequence[str],
    choices: Iterable[Approximation],
    what: str,
    sites: Sequence[Site],
) -> None:
    if not names:
        raise PlanError(f"{what} matches no site; sites: {', '.join(s.name for s in sites)}")
    chosen = tuple(choices)
    for name in names:
        rules[name] = {**rules[name], **{a.slot: a for a in chosen}} if chosen else {}


def _slot(text: str, site: str) -> Slot:
    try:
        return Slot(text)
    except ValueError:
        raise PlanError(
            f"site {site!r} names an unknown slot {text!r}{did_you_mean(text, [s.value for s in Slot])}"
        ) from None


def _recovery_json(recovery: Recovery) -> dict[str, Any]:
    usual = Recovery()
    names = [n for n in Recovery.__slots__ if n in _ALWAYS or getattr(recovery, n) != getattr(usual, n)]
    return {name: getattr(recovery, name) for name in names}


def _recovery(data: Any) -> Recovery | None:
    if data is None:
        return None
    if not isinstance(data, Mapping):
        raise PlanError(f"'recovery' of the plan must be an object or null, not {data!r}")
    unknown = set(data) - set(Recovery.__slots__)
    if unknown:
        name = sorted(unknown)[0]
        raise PlanError(f"recovery has no parameter {name!r}{did_you_mean(name, Recovery.__slots__)}")
    return Recovery(**data)
