"""What protections ask of the layers whose stored weights they protect."""

from __future__ import annotations

from laxity.core.errors import PlanError
from laxity.techniques.context import Layer
from laxity.techniques.data.operands import WeightCoder


def stored_bits(layer: Layer, kind: str) -> int:
    """Bits of a stored weight.

    Args:
        layer: with its operands in place.
        kind: of the protection, for messages.

    Raises:
        PlanError: the site stores words of several widths.
    """
    if layer.operand is None:
        return 8 * int(layer.weight.element_size())
    coder = layer.operand.weight
    if not isinstance(coder, WeightCoder) or not coder.uniform:
        raise PlanError(
            f"site {layer.site.name!r} stores words of several widths, which {kind!r} cannot protect together; leave "
            "weight_bits of 'filter_multipliers' empty there, or leave the site unprotected"
        )
    return coder.bits
