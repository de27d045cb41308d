"""Energy of a processing element against its parts and against the cost model of the array."""

import numpy as np
import pytest

from laxity.circuits import Operands, catalogue, default_library
from laxity.core.errors import CircuitError
from laxity.targets.element_energy import ROWS, element_energy


def test_the_parts_add_up_and_the_clock_is_that_of_the_moving_registers():
    found = element_energy(catalogue.circuit("dadda8"))
    parts = (found.multiplier_pj, found.accumulator_pj, found.registers_pj, found.clock_pj)
    assert all(part > 0 for part in parts)
    assert found.energy_pj == pytest.approx(sum(parts))
    sum_bits = 8 + 8 + 4 + 1
    assert ROWS == 16
    assert found.clock_pj == pytest.approx((8 + sum_bits) * default_library().clock_energy_fj() * 1e-3)


def test_activations_that_rest_leave_the_sum_and_the_clock():
    """With one activation value nothing in the core moves; with zero weights the sums rest as well."""
    held = element_energy(catalogue.circuit("dadda8"), Operands(np.eye(256)[77], None))
    assert held.multiplier_pj == held.accumulator_pj == held.registers_pj == 0
    zero = element_energy(catalogue.circuit("dadda8"), Operands(None, np.eye(256)[0]))
    full = element_energy(catalogue.circuit("dadda8"))
    assert zero.multiplier_pj < full.multiplier_pj / 10
    assert zero.accumulator_pj == 0
    assert zero.clock_pj == full.clock_pj


def test_small_operands_cost_less():
    small = Operands(np.r_[np.ones(16), np.zeros(240)], np.r_[np.ones(16), np.zeros(240)])
    circuit = catalogue.circuit("dadda8")
    assert element_energy(circuit, small).energy_pj < element_energy(circuit).energy_pj


@pytest.mark.parametrize("operands", [Operands(joint=np.ones((256, 256))), Operands.of_pairs([1, 2], [3, 4])])
def test_joint_distributions_say_nothing_about_time(operands):
    with pytest.raises(CircuitError, match="each by itself"):
        element_energy(catalogue.circuit("dadda8"), operands)
