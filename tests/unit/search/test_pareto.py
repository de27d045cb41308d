"""Pareto fronts against the definition."""

from hypothesis import given
from hypothesis import strategies as st

from laxity.search.pareto import front

POINTS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=25)


@given(POINTS)
def test_front_is_what_nothing_dominates(points):
    found = front(list(enumerate(points)), lambda item: item[1])
    kept = [p for _, p in found]
    wanted = {p for p in points if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)}
    assert set(kept) == wanted
    assert len(kept) == len(wanted)
    assert kept == sorted(kept)
    assert all(number == points.index(point) for number, point in found)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.floats(-5, 5)), max_size=15))
def test_more_objectives(points):
    kept = front(points, lambda p: p)
    for p in points:
        assert any(all(a <= b for a, b in zip(q, p, strict=True)) for q in kept)
    for p in kept:
        assert not any(q != p and all(a <= b for a, b in zip(q, p, strict=True)) for q in points)


def test_nothing_in_nothing_out():
    assert front([], lambda x: x) == []
