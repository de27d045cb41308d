"""Named random streams."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from laxity.core.seeds import derive, stream

LABELS = st.lists(
    st.integers(-(2**40), 2**40) | st.text(st.characters(exclude_characters="\x1f"), max_size=6), max_size=4
)


@given(st.integers(0, 2**40), LABELS)
def test_seeds_are_63_bits_and_repeatable(root, labels):
    seed = derive(root, *labels)
    assert 0 <= seed < 2**63
    assert derive(root, *labels) == seed
    assert np.array_equal(stream(root, *labels).integers(0, 2**62, 5), stream(root, *labels).integers(0, 2**62, 5))


@given(st.integers(0, 100), st.integers(0, 100), LABELS, LABELS)
def test_other_labels_give_other_streams(root, other, labels, more):
    assert (derive(root, *labels) == derive(other, *more)) == (root == other and labels == more)


def test_numbers_and_words_are_told_apart():
    assert len({derive(0, 1), derive(0, "1"), derive(0, "1", ""), derive(1), derive(0, "a", "b"), derive(0, "ab")}) == 6


def test_kind_of_integer_does_not_matter():
    assert derive(np.int64(3), np.int64(4), "x") == derive(3, 4, "x")


def test_streams_do_not_depend_on_each_other():
    first = stream(0, "a").random(10)
    other = stream(0, "b")
    other.random(1000)
    assert np.array_equal(stream(0, "a").random(10), first)
    assert abs(np.corrcoef(stream(0, "a").random(4000), stream(0, "b").random(4000))[0, 1]) < 0.06
