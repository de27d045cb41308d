from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.core.estimate import Basis, Estimate


def point(value=1.0, basis=Basis.MEASURED, source="a table", unit="pJ"):
    return Estimate.point(value, unit, basis, source)


def test_basis_ranks_from_measured_to_modelled():
    assert [b.value for b in sorted(Basis, key=lambda b: b.rank)] == [
        "measured", "synthesised", "published", "scaled", "modelled",
    ]  # fmt: skip


def test_scale_multiplies_value_and_range():
    scaled = Estimate(2.0, 1.0, 4.0, "pJ", Basis.SCALED, "a table").scale(3.0)
    assert scaled == Estimate(6.0, 3.0, 12.0, "pJ", Basis.SCALED, "a table")


numbers = st.floats(0, 1e30)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(numbers, numbers, numbers), max_size=20))
def test_total_is_the_exact_sum_rounded_once(triples):
    ordered = [sorted(t) for t in triples]
    total = Estimate.total([Estimate(v, lo, hi, "pJ", Basis.MEASURED, "s") for lo, v, hi in ordered], "pJ")
    exact = [float(sum(Fraction(t[i]) for t in ordered)) for i in range(3)]
    assert [total.low, total.value, total.high] == exact


def test_total_keeps_what_plain_addition_loses():
    parts = [1e16, *[1.0] * 10]
    assert sum(parts[1:], parts[0]) != 1e16 + 10
    assert Estimate.total([point(v) for v in parts], "pJ").value == 1e16 + 10


@pytest.mark.parametrize("order", [1, -1])
def test_total_has_the_weakest_basis(order):
    parts = [point(basis=b) for b in (Basis.SYNTHESISED, Basis.SCALED, Basis.PUBLISHED)][::order]
    assert Estimate.total(parts, "pJ").basis is Basis.SCALED


def test_total_of_nothing_is_a_measured_zero():
    assert Estimate.total([], "bit") == Estimate.point(0.0, "bit", Basis.MEASURED, "")


def test_other_units_are_refused_by_name():
    with pytest.raises(ValueError, match=r"'fJ'.*to pJ"):
        Estimate.total([point(), point(unit="fJ")], "pJ")


def test_sums_of_sums_name_every_phrase_once_in_order():
    first = Estimate.total([point(source="cells; a library"), point(source="wires")], "pJ")
    second = Estimate.total([point(source="wires; a library"), point(source="memory; cells")], "pJ")
    assert first.source == "cells; a library; wires"
    assert Estimate.total([first, second], "pJ").source == "cells; a library; wires; memory"


def test_phrases_are_compared_whole():
    parts = [point(source="cells, a library"), point(source="cells"), point(source="a library")]
    assert Estimate.total(parts, "pJ").source == "cells, a library; cells; a library"
