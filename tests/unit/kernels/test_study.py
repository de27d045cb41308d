"""Facts of tables: ranks against published ones and against construction, widths and symmetry against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.circuits import Multiplier, catalogue
from laxity.kernels import products_for
from laxity.kernels.study import rank, study, usual_ranges

FULL = ((0, 255), (0, 255))

# Ranks of the unsigned 8 x 8 table and of its error, by modular elimination, from a study of kernels for this project.
RANKS = {
    "drum8_3": (1, 2),
    "drum8_6": (1, 2),
    "optrunc8_2": (1, 2),
    "roba8": (2, 1),
    "udm8": (2, 1),
    "coltrunc8_4": (5, 4),
    "coltrunc8_6": (7, 6),
    "coltrunc8_7": (8, 7),
    "mitchell8": (128, None),
}


@pytest.mark.parametrize("name", RANKS)
def test_ranks_of_known_multipliers(name):
    table = catalogue.get(name).table
    values = np.arange(256)
    of_table, of_error = RANKS[name]
    assert rank(table) == of_table
    if of_error is not None:
        assert rank(table - np.multiply.outer(values, values)) == of_error


@settings(deadline=None, max_examples=40)
@given(rows=st.integers(1, 20), columns=st.integers(1, 20), inner=st.integers(0, 8), seed=st.integers(0, 999))
def test_rank_is_that_of_rational_numbers(rows, columns, inner, seed):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-9, 10, (rows, inner)) @ rng.integers(-9, 10, (inner, columns))
    assert rank(matrix) == np.linalg.matrix_rank(matrix.astype(float))


def test_facts_by_brute_force():
    rng = np.random.default_rng(0)
    table = rng.integers(-500, 500, (16, 16))
    multiplier = Multiplier.from_table(table, a_signed=True, b_signed=True, name="random")
    ((left, right),) = usual_ranges(multiplier)
    assert left == right == (-7, 7)
    facts = study(multiplier, left, right)
    rows = [[table[a % 16, w % 16] for a in range(-7, 8)] for w in range(-7, 8)]
    assert facts.row_bits == int(max(max(r) - min(r) for r in rows)).bit_length()
    narrowest = [min(np.ptp(np.array(r) - s * np.arange(-7, 8)) for s in range(-100, 101)) for r in rows]
    assert facts.residual_bits == int(max(narrowest)).bit_length()
    assert facts.rank == 15
    assert not facts.odd
    assert not facts.zero_activation
    assert not facts.zero_weight
    assert facts.terms is None
    assert "look-up" in facts.reason or "no compiled kernels" in facts.reason


def test_signs_outside_the_circuit_make_odd_tables():
    multiplier = catalogue.get("mitchell8")
    unsigned, signed = (study(multiplier, *ranges) for ranges in usual_ranges(multiplier))
    assert unsigned.activations == (0, 255)
    assert not unsigned.odd
    assert signed.odd
    assert signed.zero_activation
    assert signed.zero_weight


def test_kernel_is_the_one_that_computes():
    for name in ("dadda8", "drum8_4", "mitchell8", "dadda8s"):
        multiplier = catalogue.get(name)
        for ranges in usual_ranges(multiplier):
            assert study(multiplier, *ranges).kernel == products_for(multiplier, *ranges)[0].describe()


def test_studies_are_made_once():
    multiplier = catalogue.get("drum8_4")
    renamed = Multiplier.from_table(multiplier.table, a_signed=False, b_signed=False, name="other")
    assert study(multiplier, *FULL[:1], (-127, 127)) is study(renamed, *FULL[:1], (-127, 127))
