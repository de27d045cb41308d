"""MULTIPLIER: a circuit, and a width of the stored weights, for every output channel of a site."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np

from laxity.circuits import catalogue
from laxity.circuits.multiplier import Multiplier
from laxity.circuits.wide import Core, core
from laxity.core.approximation import TECHNIQUES, Approximation
from laxity.core.demand import Demand, Mode
from laxity.core.errors import PlanError
from laxity.core.op import Site
from laxity.core.slots import Slot
from laxity.kernels import Accumulator, Products
from laxity.kernels.filters import filter_products
from laxity.techniques.context import KEPT, BuildContext, Layer
from laxity.techniques.data.codes import WeightCode
from laxity.techniques.data.filter_codes import FilterWeightCode
from laxity.techniques.data.operands import Operands
from laxity.techniques.hardware.arrangement import Arrangement

MOST_MODES = 10
"""A mode is a digit."""

_LEAST_BITS = 2
_GRID = 256


@dataclass(frozen=True, slots=True)
class FilterCores(Arrangement):
    """Circuits by output channel.

    Attributes:
        circuits: by number.
        numbers: of the circuit of each output channel that the layer has.
    """

    circuits: tuple[Core, ...]
    numbers: tuple[int, ...]

    def describe(self) -> str:
        """For example ``filters by several circuits (dadda8, drum8_4)``."""
        names = dict.fromkeys(self.circuits[number].name for number in self.numbers)
        return f"filters by several circuits ({', '.join(names)})"

    def core_of(self, output: int) -> Core:
        """See `Arrangement.core_of`."""
        return self.circuits[self.numbers[output]]

    def products(self, operand: Operands, accumulator: Accumulator | None, name: str) -> tuple[Products, float]:
        """See `Arrangement.products`."""
        found = [operand.products(circuit, accumulator, name) for circuit in self.circuits]
        kernels, unshifts = zip(*found, strict=True)
        return filter_products(kernels, unshifts, self.numbers)


@TECHNIQUES.register("filter_multipliers")
@dataclass(frozen=True)
class FilterMultipliers(Approximation):
    """Each filter (output channel) of a site is computed in one of several modes, as a reconfigurable unit does.

    A mode is a circuit and a width of the weights. Stored weights of a mode with b bits are those of the OPERAND
    choice, B bits wide, rounded off-line to multiples of 2^(B-b), ties to even, and clamped to the largest code of b
    bits shifted up; scales and zero-points stay those of B bits. The circuit multiplies these.

    Attributes:
        circuits: catalogue names of unsigned multipliers, separated by blanks, mode 0 first; at most ten.
        weight_bits: bits of the weights in each mode, separated by blanks; empty for those of the OPERAND choice.
        modes: a digit per output channel of the unapproximated site, the mode of that filter; where a STRUCTURE choice
            removes channels, those of the others count. Empty for mode 0 everywhere.

    Source: modes of truncation and of weight bits per kernel on a reconfigurable multiply-accumulate unit, C. De la
    Parra et al., ISCAS 2021, reconstructed from what its abstract tells.
    """

    kind: ClassVar[str] = "filter_multipliers"
    slot: ClassVar[Slot] = Slot.MULTIPLIER

    circuits: str = "dadda8"
    weight_bits: str = ""
    modes: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        names = self.names
        if not 1 <= len(names) <= MOST_MODES:
            raise PlanError(
                f"circuits of 'filter_multipliers' are 1 to {MOST_MODES} names separated by blanks, not {len(names)}: "
                f"{self.circuits!r}"
            )
        for name in names:
            if catalogue.is_signed(name):
                raise PlanError(
                    f"multiplier {name!r} of 'filter_multipliers' is a two's complement circuit; sites multiply "
                    "magnitudes and apply the sign outside, so name the unsigned one (without the 's' after the width)"
                )
            core(name)
        self._check_bits()
        for place, mode in enumerate(self.modes):
            if mode not in "0123456789" or int(mode) >= len(names):
                raise PlanError(
                    f"modes of 'filter_multipliers' hold {mode!r} at output channel {place}, and there are the modes 0 "
                    f"to {len(names) - 1}, one per circuit: {self.circuits!r}"
                )

    def _check_bits(self) -> None:
        given = self.weight_bits.split()
        if given and len(given) != len(self.names):
            raise PlanError(
                f"weight_bits of 'filter_multipliers' name {len(given)} widths ({self.weight_bits!r}) for "
                f"{len(self.names)} circuits ({self.circuits!r}); give one per circuit, or none"
            )
        for bits in given:
            if not (bits.isascii() and bits.isdigit() and int(bits) >= _LEAST_BITS):
                raise PlanError(
                    f"weight_bits of 'filter_multipliers' are whole numbers from {_LEAST_BITS} on separated by blanks, "
                    f"not {bits!r} in {self.weight_bits!r}"
                )

    @classmethod
    def of(
        cls, circuits: Sequence[str], modes: Sequence[int], weight_bits: Sequence[int] | None = None
    ) -> FilterMultipliers:
        """The choice in lists.

        Args:
            circuits: catalogue name per mode.
            modes: mode per output channel.
            weight_bits: per mode, or None.
        """
        digits = "".join(str(int(mode)) for mode in modes)
        if len(digits) != len(modes):
            raise PlanError(f"modes of 'filter_multipliers' are digits from 0 to 9, not {list(modes)}")
        return cls(" ".join(circuits), " ".join(str(int(bits)) for bits in weight_bits or ()), digits)

    @property
    def names(self) -> tuple[str, ...]:
        """Catalogue name per mode."""
        return tuple(self.circuits.split())

    @property
    def widths(self) -> tuple[int | None, ...]:
        """Bits of the weights per mode; None for those of the OPERAND choice."""
        given = self.weight_bits.split()
        return tuple(map(int, given)) if given else (None,) * len(self.names)

    def label(self) -> str:
        """For example ``75% dadda8 + 25% drum8_4/w4``."""
        counts = Counter(self._modes_of(len(self.modes) or 1, None))
        total = sum(counts.values())
        words = [
            f"{counts[mode] / total:.0%} {name}{f'/w{bits}' if bits else ''}"
            for mode, (name, bits) in enumerate(zip(self.names, self.widths, strict=True))
            if counts[mode]
        ]
        return " + ".join(words)

    def check(self, site: Site) -> None:
        """See `Approximation.check`."""
        if site.op.kind == "matmul":
            raise PlanError(
                f"site {site.name!r} is a product of two activations, which has no filters; use "
                "{'kind': 'multiplier', 'name': ...} there"
            )
        shape = site.op.weight_shape
        outputs = shape[1] * site.op.groups if site.op.kind.startswith("conv_transpose") else shape[0]
        if self.modes and len(self.modes) != outputs:
            raise PlanError(
                f"modes of 'filter_multipliers' name {len(self.modes)} filters, and site {site.name!r} has {outputs} "
                "output channels; give one digit for each, also for those that pruning removes"
            )

    def attach(self, context: BuildContext, layers: Sequence[Layer]) -> None:
        """Set the circuits, and the coders of weights that keep fewer bits.

        Raises:
            PlanError: a site has no coded operands, or narrower weights than a mode.
        """
        circuits = tuple(core(name) for name in self.names)
        for layer in layers:
            if layer.operand is None:
                raise PlanError(
                    f"site {layer.site.name!r} has multipliers but floating-point operands; give it an OPERAND choice "
                    "such as {'kind': 'integer'}"
                )
            modes = self._modes_of(layer.outputs, layer.kept)
            layer.multiplier = FilterCores(circuits, modes)
            self._narrow(layer, modes)

    def _modes_of(self, outputs: int, kept: Sequence[int] | None) -> tuple[int, ...]:
        """Mode of each output channel that there is."""
        if not self.modes:
            return (0,) * outputs
        digits = tuple(map(int, self.modes))
        return digits if kept is None else tuple(digits[channel] for channel in kept)

    def _narrow(self, layer: Layer, modes: Sequence[int]) -> None:
        """Let weights be rounded where a mode has fewer bits than the site."""
        coder, name = layer.operand.weight, layer.site.name
        bits = [coder.bits if b is None else b for b in self.widths]
        if max(bits) > coder.bits:
            raise PlanError(
                f"a mode of site {name!r} has weights of {max(bits)} bits ({self.weight_bits!r}), and the OPERAND "
                f"choice stores {coder.bits}; give at most these, or wider operands"
            )
        if min(bits[mode] for mode in modes) == coder.bits:
            return
        if not isinstance(coder, WeightCode):
            raise PlanError(
                f"site {name!r} has no integer weights, which modes could store in {self.weight_bits!r} bits; leave "
                "weight_bits of 'filter_multipliers' empty, or use the OPERAND choice 'integer'"
            )
        narrow = FilterWeightCode(coder, [bits[mode] for mode in modes], layer.weight, layer.site.op.groups)
        layer.operand.weight = narrow

    def demand(self, demand: Demand, facts: Mapping[str, float]) -> Demand:
        """Modes with their shares of the filters, each of which takes as many products and weights as any other."""
        kept = [c for c in range(len(self.modes)) if f"{KEPT}{c}" in facts]
        counts: Counter[tuple[str, int]] = Counter()
        modes = self._modes_of(1, kept or None)
        for mode in modes:
            counts[self.names[mode], self.widths[mode] or demand.weight_bits] += 1
        found = tuple(Mode(name, bits, count / len(modes)) for (name, bits), count in counts.items())
        best = min(found, key=lambda mode: mean_error(mode.multiplier, mode.weight_bits))
        return replace(
            demand,
            multiplier=best.multiplier,
            weight_bits=best.weight_bits,
            modes=found if len(found) > 1 else (),
        )

    def circuits_used(self) -> tuple[str, ...]:
        """See `Approximation.circuits_used`."""
        return tuple(dict.fromkeys(self.names[mode] for mode in sorted(set(self._modes_of(1, None)))))


@lru_cache(maxsize=256)
def mean_error(name: str, weight_bits: int) -> float:
    """Mean error distance of a circuit whose weights are rounded, over operands of its width, all or evenly spaced.

    Args:
        name: of the multiplier.
        weight_bits: upper bits of the weights that rounding leaves.
    """
    circuit = core(name)
    a, b = (np.unique(np.linspace(0, 2**w - 1, _GRID).astype(np.int64)) for w in (circuit.a_bits, circuit.b_bits))
    step = 1 << max(0, circuit.b_bits - weight_bits)
    rounded = np.clip(np.rint(b / step).astype(np.int64), 0, (1 << circuit.b_bits) // step - 1) * step
    if isinstance(circuit, Multiplier):
        found = circuit.table[np.ix_(a, rounded)]
    else:
        found = circuit.product(a[:, None], rounded[None])
    return float(np.abs(found - np.multiply.outer(a, b)).mean())
