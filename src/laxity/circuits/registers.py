"""What a flip-flop costs beside its clock: energy of data that change, and time at both of its ends.

Source: FreePDK45 / OSU gscl45nm, cell DFFPOSX1, 60 ps slew; clock to output extrapolated down to a load of 12 fF. The
same figures stand, with their sources, in the section ``registers`` of the target ``mac-array-45nm``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RegisterFigures:
    """Figures of one flip-flop that a cell table has not.

    Attributes:
        output_toggle_fj: internal energy of a change of the output, mean of rise and fall.
        input_toggle_fj: internal energy of a change of the data pin, mean of rise and fall.
        clock_to_output_ns: from the clock to the output.
        setup_ns: time that data must be there before the clock.
    """

    output_toggle_fj: float
    input_toggle_fj: float
    clock_to_output_ns: float
    setup_ns: float


REGISTERS_45NM = RegisterFigures(output_toggle_fj=8.6, input_toggle_fj=6.9, clock_to_output_ns=0.11, setup_ns=0.09)
"""The flip-flop of the built-in 45 nm table."""
