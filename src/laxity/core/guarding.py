"""What hardware that looks after the outputs of a site has to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Guarding:
    """Work besides that of the site itself.

    Attributes:
        comparisons: of each output with constants.
        copies: how often every output is computed; copies are compared, or voted on where there are three.
        copied_weights: each copy has stored weights of its own.
        check_filters: filters of each group that are computed besides, with exact products; a weight of theirs is a
            sum over the filters of the group. Sums of outputs are compared with what they give.
        check_weight_bits: width of these weights, sign included; 0 where there are none.
        check_bits: width of the sums that are compared; 0 where there are none.
        checked_inputs: every input is added once where it is written and once where it is read.
    """

    comparisons: int = 0
    copies: int = 1
    copied_weights: bool = False
    check_filters: int = 0
    check_weight_bits: int = 0
    check_bits: int = 0
    checked_inputs: bool = False
