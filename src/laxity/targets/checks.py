"""What every machine of multipliers and adders asks of demands before it can price them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from laxity.circuits import adder_catalogue
from laxity.core.demand import Demand
from laxity.core.errors import CircuitError, RegistryError, TargetError
from laxity.targets.pe_design import Unit


def check_network(target: str, demands: Sequence[Demand]) -> None:
    """Check that there are demands, one per site, with possible numbers of products.

    Args:
        target: name of the machine, for messages.
        demands: of a network.

    Raises:
        TargetError: names the site and what is wrong.
    """
    if not demands:
        raise TargetError(f"target {target!r} got no demands; the model has no site that it could run")
    sites = [d.site for d in demands]
    if len(set(sites)) < len(sites):
        twice = next(s for s in sites if sites.count(s) > 1)
        raise TargetError(f"site {twice!r} occurs twice among the demands; give one demand per site")
    for demand in demands:
        if not (math.isfinite(demand.macs) and demand.macs >= 0):
            raise TargetError(
                f"site {demand.site!r}: {demand.macs} MACs are not possible; give a finite number that is not negative"
            )


def fitting_unit(demand: Demand) -> Unit:
    """What an element needs for a site, with operands that fit it.

    Raises:
        RegistryError: the catalogue has no such multiplier; names the site.
        TargetError: it cannot be built, or operands are wider than it; names the site.
    """
    where = f"site {demand.site!r}"
    try:
        unit = Unit.of(demand)
        widths = unit.widths
    except RegistryError as error:
        raise RegistryError(f"{where}: {error}") from error
    except CircuitError as error:
        raise TargetError(f"{where}: {error}") from error
    if demand.input_bits > widths[0] or demand.weight_bits > widths[1]:
        raise TargetError(
            f"{where}: operands of {demand.input_bits} x {demand.weight_bits} bits do not fit multiplier "
            f"{demand.multiplier!r} ({widths[0]} x {widths[1]}); use narrower operands or a wider multiplier"
        )
    return unit


def exact_sum_bits(demand: Demand, operand_bits: int, terms: int) -> int:
    """Bits of every sum of some products, sign included, or of the adder that the demand names.

    Args:
        demand: of a site.
        operand_bits: widths of both operands, together.
        terms: products in a sum.

    Raises:
        RegistryError, CircuitError: the catalogue has no such adder.
    """
    if demand.accumulation is not None:
        return adder_catalogue.get(demand.accumulation.adder).bits
    return operand_bits + (terms - 1).bit_length() + 1
