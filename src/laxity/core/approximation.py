"""One choice at one slot of one site: the base class of every technique."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from laxity.core.demand import Demand
from laxity.core.errors import PlanError
from laxity.core.op import Site
from laxity.core.registry import Registry, did_you_mean
from laxity.core.slots import Level, Slot

if TYPE_CHECKING:
    from laxity.techniques.context import BuildContext, Layer

TECHNIQUES: Registry[type[Approximation]] = Registry("technique", "laxity.techniques")


@dataclasses.dataclass(frozen=True)
class Approximation:
    """A technique with its parameters.

    A subclass is a frozen dataclass whose fields are plain JSON values. It states `kind` and `slot`, checks its
    parameters in ``__post_init__`` (calling this class's first, and raising `PlanError`), and overrides the hooks that
    concern it: `check` refuses sites, `restructure` changes shapes of the model, `attach` fills the slot of emulated
    layers, `demand` says what the hardware saves, `candidates` proposes values to a search that saves
    energy, `protections` to one that hardens.
    """

    kind: ClassVar[str]
    slot: ClassVar[Slot]

    def __post_init__(self) -> None:
        """Bring numbers to their declared types, so that equal choices have equal keys.

        Raises:
            PlanError: a parameter has another type.
        """
        technique: Any = type(self)
        declared = _types(technique)
        for f in dataclasses.fields(self):
            given = getattr(self, f.name)
            value = given.item() if hasattr(given, "item") and getattr(given, "ndim", None) == 0 else given
            check_types(type(self), {f.name: value})
            object.__setattr__(self, f.name, float(value) if declared[f.name] is float else value)

    @property
    def level(self) -> Level:
        """Level of the stack."""
        return self.slot.level

    def label(self) -> str:
        """A few characters for tables and charts."""
        return self.kind

    def check(self, site: Site) -> None:
        """Raise where this very choice cannot be made at `site`, as it is in the unapproximated model.

        Raises:
            PlanError: it cannot; names the site and the remedy.
        """

    def circuits_used(self) -> tuple[str, ...]:
        """Catalogue names of the multipliers that this choice needs; none for techniques that choose no multiplier."""
        return ()

    def restructure(self, context: BuildContext, sites: Sequence[Site]) -> None:
        """Change shapes of ``context.model`` in place; `sites` are those that carry this very choice."""

    def attach(self, context: BuildContext, layers: Sequence[Layer]) -> None:
        """Fill this technique's slot in `layers`, which are all layers that carry this very choice."""

    def demand(self, demand: Demand, facts: Mapping[str, float]) -> Demand:
        """Return the demand after this choice; `facts` are figures measured on the emulated layer."""
        return demand

    def errors(self) -> tuple[float, ...] | None:
        """What a circuit gets wrong, by itself: a few figures, the smaller the better; None for other techniques.

        Before a search evaluates circuits in the network, it prices them there, and drops those that another one of
        their kind beats in price and in all of these figures.
        """
        return None

    @classmethod
    def candidates(cls, site: Site) -> Sequence[Approximation]:
        """Values worth searching at `site`, mildest first; the exact choice is not among them."""
        return ()

    @classmethod
    def protections(cls, site: Site) -> Sequence[Approximation]:
        """Values worth trying where `site` is to be hardened against faults; none for what protects nothing."""
        return ()

    @classmethod
    def grouped(cls) -> bool:
        """Whether sites of one group must share this choice."""
        return False

    def to_json(self) -> dict[str, Any]:
        """``{"kind": ..., parameter: value, ...}``."""
        return {"kind": self.kind, **{f.name: getattr(self, f.name) for f in dataclasses.fields(self)}}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Approximation:
        """Rebuild a choice from its JSON form.

        Raises:
            RegistryError: unknown kind.
            PlanError: unknown or missing parameter, or a value out of range.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("kind"), str):
            raise PlanError(f"a choice must be an object with a 'kind', not {data!r}")
        technique = TECHNIQUES[data["kind"]]
        fields = {f.name: f for f in dataclasses.fields(technique)}
        given = {k: v for k, v in data.items() if k != "kind"}
        for key in given:
            if key not in fields:
                raise PlanError(f"technique {data['kind']!r} has no parameter {key!r}{did_you_mean(key, fields)}")
        missing = [n for n, f in fields.items() if f.default is dataclasses.MISSING and n not in given]
        if missing:
            raise PlanError(f"technique {data['kind']!r} needs parameter {missing[0]!r}")
        return technique(**given)


@functools.cache
def _types(technique: Any) -> dict[str, Any]:
    """Declared types of the parameters."""
    return typing.get_type_hints(technique)


def check_types(technique: type[Approximation], given: Mapping[str, Any]) -> None:
    """Compare parameter values with the declared field types (int, float, str, bool).

    Raises:
        PlanError: a value has another type.
    """
    hints = _types(typing.cast(Any, technique))
    for key, value in given.items():
        expected = hints[key]
        numeric = expected is float and isinstance(value, int) and not isinstance(value, bool)
        exact = isinstance(expected, type) and type(value) is expected
        if isinstance(expected, type) and not (exact or numeric):
            raise PlanError(
                f"parameter {key!r} of technique {technique.kind!r} must be {expected.__name__}, not {value!r}"
            )
