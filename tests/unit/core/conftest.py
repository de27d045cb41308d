"""Sites and choices to make plans from."""

import pytest
from hypothesis import strategies as st

import laxity.techniques as lt
from laxity.core.op import Op, Site
from laxity.core.plan import Plan, Recovery
from laxity.core.slots import Slot

WEIGHT_SLOTS = (Slot.STRUCTURE, Slot.OPERAND, Slot.MULTIPLIER)


def site(name, kind="conv2d", slots=WEIGHT_SLOTS, group=None, removable=False):
    op = Op(kind, (3, 8, 8), (4, 3, 3, 3), (4, 8, 8), 1, 64, 27, 4)
    return Site(name, op, slots, group or name, "#" in name, removable)


@pytest.fixture(scope="session")
def make_site():
    return site


@pytest.fixture
def sites():
    """A small network: three convolutions, a product of activations, a classifier."""
    return [
        site("stem"),
        site("block.conv1"),
        site("block.conv2"),
        site("block:matmul#0", "matmul", (Slot.OPERAND, Slot.MULTIPLIER)),
        site("head", "linear"),
    ]


integers = st.builds(
    lt.Integer,
    st.integers(2, 8),
    st.integers(2, 8),
    st.sampled_from(["symmetric", "affine"]),
    st.sampled_from(["symmetric", "affine"]),
    st.sampled_from(["channel", "tensor"]),
    st.sampled_from(["minmax", "percentile", "mse"]),
    st.floats(0.5, 1),
)
structures = st.one_of(
    st.builds(lt.MagnitudePruning, st.floats(0.01, 1), st.booleans()),
    st.builds(lt.ChannelPruning, st.floats(0.01, 0.99)),
)
multipliers = st.builds(lt.CircuitMultiplier, st.sampled_from(["dadda8", "drum8_4", "mitchell8", "bam8_6_2"]))
recoveries = st.builds(
    Recovery,
    st.booleans(),
    st.integers(0, 50),
    st.floats(1e-6, 1),
    st.integers(1, 512),
    st.integers(0, 10_000),
    st.floats(0, 1),
    st.floats(0.1, 20),
)
names = st.one_of(st.sampled_from(["stem", "block.conv1", "a:matmul#0", "é.ü", 'quote"', ""]), st.text(max_size=8))


@st.composite
def _plans(draw):
    plan = Plan()
    for name in draw(st.lists(names, max_size=5, unique=True)):
        for strategy in (integers, structures, multipliers):
            if draw(st.booleans()):
                plan = plan.with_(name, draw(strategy))
    return plan.with_recovery(draw(st.none() | recoveries))


@pytest.fixture(scope="session")
def plans():
    """Hypothesis strategy of plans."""
    return _plans()
