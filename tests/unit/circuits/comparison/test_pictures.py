"""What pictures are drawn from, against the tables and against direct simulation."""

import numpy as np
import pytest

from laxity.circuits import Operands, Sampling, adder_catalogue, catalogue, default_library, errors_of
from laxity.circuits.activity import switching_energy
from laxity.circuits.comparison import energy_by_operand, error_bins, error_map
from laxity.circuits.errors_of import subject_of
from laxity.core.seeds import stream


@pytest.mark.parametrize("name", ["drum8_4", "mitchell6s"])
def test_map_of_every_pair(name):
    multiplier = catalogue.get(name)
    order = np.argsort(multiplier.a_values())
    error = (multiplier.table - multiplier.exact_table())[np.ix_(order, order)]
    exact = multiplier.exact_table()[np.ix_(order, order)]
    found = error_map(subject_of(name))
    assert (found.block, found.drawn) == (1, 1)
    assert np.array_equal(found.a, np.sort(multiplier.a_values()))
    assert np.array_equal(found.signed, error)
    with np.errstate(invalid="ignore", divide="ignore"):
        wanted = np.where(exact == 0, np.nan, np.abs(error) / np.abs(exact))
    assert np.array_equal(found.relative, wanted, equal_nan=True)


def test_map_of_blocks_is_unbiased():
    """10 bits: 4 x 4 pairs in a block, of which 16 are drawn with replacement."""
    found = error_map(subject_of("perf10_0_3"))
    multiplier = catalogue.get("perf10_0_3")
    error = (multiplier.table - multiplier.exact_table()).reshape(256, 4, 256, 4)
    assert (found.block, found.drawn, found.signed.shape) == (16, 16, (256, 256))
    assert np.all(found.signed >= error.min(axis=(1, 3)))
    assert np.all(found.signed <= error.max(axis=(1, 3)))
    deviation = found.signed - error.mean(axis=(1, 3))
    assert abs(deviation.mean()) < 5 * deviation.std() / 256
    assert np.array_equal(found.b, np.arange(1024).reshape(256, 4).mean(axis=1))


@pytest.mark.parametrize("name", ["drum6_3", "perf6_0_2", "loa6_3", "dadda6", "momenitwo6_5", "booth6s"])
def test_bins_hold_every_error(name):
    rng = stream(5, name)
    operands = Operands(rng.random(64), rng.random(64))
    subject = subject_of(name)
    a, b = (x.ravel() for x in np.meshgrid(np.arange(64), np.arange(64), indexing="ij"))
    error = subject.results(a, b) - subject.exact(a, b)
    weight = np.outer(operands.a, operands.b).ravel()
    bins = error_bins(subject, errors_of(name, operands), operands)
    assert bins.exact_share == pytest.approx(weight[error == 0].sum())
    assert len(bins.low) <= 80
    for low, high, share in zip(bins.low, bins.high, bins.shares, strict=True):
        assert low * high > 0
        assert share == pytest.approx(weight[(error >= low) & (error <= high)].sum(), abs=1e-12)
    assert bins.shares.sum() + bins.exact_share == pytest.approx(1)


def test_bins_of_a_sample():
    sampling = Sampling(20000)
    bins = error_bins(subject_of("loa16_4"), errors_of("loa16_4", sampling=sampling), sampling=sampling)
    assert bins.shares.sum() + bins.exact_share == pytest.approx(1)
    assert abs(bins.exact_share - 0.75**4) < 0.02
    assert (bins.low[0], bins.high[-1]) == (-7, 8)


def test_energy_by_operand():
    circuit, subject = catalogue.circuit("dadda8"), subject_of("dadda8")
    found = energy_by_operand(circuit, subject)
    rng = stream(8, "held")
    for index in (0, 20, 63):
        moving, fixed = rng.integers(0, 256, (1, 20001)), np.full((1, 20001), int(found.b[index]))
        wanted = switching_energy(circuit, {"a": moving, "b": fixed}, default_library()).energy_pj
        assert found.b_held[index] == pytest.approx(wanted, rel=0.15)
    drawn = [rng.integers(16 * i, 16 * (i + 1), (1, 20001)) for i in (15, 2)]
    wanted = switching_energy(circuit, dict(zip("ab", drawn, strict=True)), default_library()).energy_pj
    assert found.ranges[15, 2] == pytest.approx(wanted, rel=0.2)
    assert found.ranges.shape == (16, 16)
    assert found.a_ranges[0] == 7.5


@pytest.mark.parametrize("name", ["optrunc2_1", "dadda3s", "ripple2"])
def test_narrow_operands(name):
    circuit = (adder_catalogue if adder_catalogue.known(name) else catalogue).circuit(name)
    subject = subject_of(name)
    found = energy_by_operand(circuit, subject)
    assert found.ranges.shape == (1 << subject.a_bits, 1 << subject.b_bits)
    assert np.isfinite(found.a_held).all()
    assert error_map(subject).signed.shape == found.ranges.shape
