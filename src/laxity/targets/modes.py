"""Products of a site whose filters are computed in several modes: what each mode needs, and the mean over them.

Every mode's element is simulated on the operands of the whole site, with its weights as they are stored: multiples of
2^(B - b) where a mode keeps b of B bits. Filters of one mode need not have the weights of the others, so that this is
an approximation where they differ much. Partial sums stay those of the trace. What happens where an array changes from
one mode to another, in the lines that choose it and in the gates behind them, is not counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from laxity.circuits.pe import ProcessingElement
from laxity.core.demand import Demand, IntArray, OperandTrace
from laxity.core.errors import TargetError
from laxity.targets.checks import fitting_unit
from laxity.targets.pe_design import Unit, is_composed
from laxity.targets.pe_energy import CACHE, MacEnergy, uniform_trace

_SHARES = 1e-6
"""By how much shares may miss 1 together: they are rounded quotients of numbers of filters."""


@dataclass(frozen=True, slots=True)
class ModePart:
    """The products of a site that are computed in one mode.

    Attributes:
        share: of all products of the site.
        demand: of the site, with the multiplier of this mode and without other modes.
        stored_bits: bits that weights of this mode are stored in; `Demand.weight_bits` is the width of the codes that
            all modes of the site share.
    """

    share: float
    demand: Demand
    stored_bits: int

    def operands(self, rows: int) -> OperandTrace:
        """Sampled operands with weights as they are stored, or uniform ones where none were sampled.

        Args:
            rows: of the array, for uniform operands.
        """
        code_bits = self.demand.weight_bits
        if self.demand.trace is None:
            found, width = uniform_trace(self.demand.input_bits, code_bits, rows), code_bits
        else:
            found, width = self.demand.trace, max(code_bits, fitting_unit(self.demand).widths[1])
        if self.stored_bits == code_bits:
            return found
        return replace(found, weights=_rounded(found, self.stored_bits, width))


def mode_parts(demand: Demand) -> tuple[ModePart, ...]:
    """The parts of a site; one that is the whole site where its filters are all alike.

    Raises:
        TargetError: shares or widths that are not possible; names the site and the mode.
    """
    if not demand.modes:
        return (ModePart(1.0, demand, demand.weight_bits),)
    where = f"site {demand.site!r}"
    for mode in demand.modes:
        if not 0 < mode.share <= 1 + _SHARES:
            raise TargetError(f"{where}: mode {mode.multiplier!r} has share {mode.share}; give fractions above 0")
        if mode.weight_bits < 1:
            raise TargetError(
                f"{where}: mode {mode.multiplier!r} has weights of {mode.weight_bits} bits; give 1 or more"
            )
    total = math.fsum(mode.share for mode in demand.modes)
    if abs(total - 1) > _SHARES:
        raise TargetError(f"{where}: the shares of its modes sum to {total}; give fractions that sum to 1")
    return tuple(ModePart(mode.share, _in_mode(demand, mode.multiplier), mode.weight_bits) for mode in demand.modes)


def mode_units(demand: Demand) -> list[Unit]:
    """What an element needs for the modes of a site, in their order.

    Raises:
        RegistryError, TargetError: as `mode_parts` and `laxity.targets.checks.fitting_unit`.
    """
    return [fitting_unit(part.demand) for part in mode_parts(demand)]


def unit_words(units: Sequence[Unit]) -> str:
    """Names of some units, each once."""
    return ", ".join(dict.fromkeys(unit.name for unit in units))


@dataclass(frozen=True, slots=True)
class SiteEnergy:
    """What a product of a site takes in its elements.

    Attributes:
        mean: over the products of all modes.
        unit: names of the elements, with their shares where there are several.
        operands: where the operands come from, in words.
        sampled: whether they were sampled at the site.
    """

    mean: MacEnergy
    unit: str
    operands: str
    sampled: bool


def site_energy(demand: Demand, elements: Mapping[str, ProcessingElement], rows: int) -> SiteEnergy:
    """Mean energy of a product, from the netlists of the elements of all modes.

    Args:
        demand: of the site.
        elements: by the name of their unit.
        rows: of the array, for uniform operands where none were sampled.

    Raises:
        TargetError: operands do not fit an element.
    """
    parts = mode_parts(demand)
    names = [fitting_unit(part.demand).name for part in parts]
    try:
        found = [CACHE.mac_energy(elements[name], part.operands(rows)) for name, part in zip(names, parts, strict=True)]
    except TargetError as error:
        raise TargetError(f"site {demand.site!r}: {error}") from error
    sampled = demand.trace is not None
    shares = [part.share for part in parts]
    words = names[0] if len(parts) == 1 else " and ".join(f"{n} ({s:.3g})" for n, s in zip(names, shares, strict=True))
    operands = f"sampled at {demand.site}" if sampled else "drawn uniformly (no trace was taken)"
    return SiteEnergy(_mean(found, shares), words, operands, sampled)


def _in_mode(demand: Demand, multiplier: str) -> Demand:
    words = f"integer products composed of {multiplier}" if is_composed(demand) else demand.arithmetic
    return replace(demand, multiplier=multiplier, weight_bits=demand.widest_weight_bits, arithmetic=words, modes=())


def _mean(energies: Sequence[MacEnergy], shares: Sequence[float]) -> MacEnergy:
    if len(energies) == 1:
        return energies[0]

    def mean(name: str) -> float:
        return math.fsum(share * getattr(energy, name) for energy, share in zip(energies, shares, strict=True))

    return MacEnergy(
        multiplier_pj=mean("multiplier_pj"),
        accumulator_pj=mean("accumulator_pj"),
        register_load_pj=mean("register_load_pj"),
        activation_toggles=mean("activation_toggles"),
        sum_toggles=mean("sum_toggles"),
        transitions=sum(energy.transitions for energy in energies),
    )


def _rounded(trace: OperandTrace, bits: int, width: int) -> IntArray:
    """Weight magnitudes of `width` bits rounded to multiples of 2^(width - bits), ties to even, and clamped.

    The largest code is that of two's complement, or of unsigned numbers where magnitudes do not fit the former.
    """
    step, half = 1 << (width - bits), 1 << (bits - 1)
    signed = int(trace.weights.max()) <= 1 << (width - 1)
    largest = np.where(trace.weight_signs != 0, half, half - 1) if signed else 2 * half - 1
    return np.minimum(np.rint(trace.weights / step).astype(np.int64), largest) * step
