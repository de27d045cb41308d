"""DRAM at reduced voltage: the published table, and where errors gather."""

import numpy as np
import pytest
from scipy import stats

from laxity.core.errors import ConfigError
from laxity.core.seeds import stream
from laxity.faults import FLOAT32, BitFlip, FaultModel, IntegerLayout, ReducedVoltage, bit_error_rate, lowest_voltage

LEAST_P = 1e-3
ROW_BITS = 64 * 8


@pytest.mark.parametrize(
    ("voltage_v", "beat", "rate"),
    [(1.10, 0.5, 1.077e-2), (1.15, 0.4, 7.950e-3), (1.20, 0.35, 6.708e-3), (1.25, 0.1, 1.645e-3), (1.30, 0, 0)],
)
def test_published_error_rates(voltage_v, beat, rate):
    """A beat of 64 bits is right when all of them are."""
    assert bit_error_rate(voltage_v) == pytest.approx(rate, rel=5e-4)
    assert (1 - bit_error_rate(voltage_v)) ** 64 == pytest.approx(1 - beat, rel=1e-12)


def test_between_and_above_the_measured_voltages():
    rates = [bit_error_rate(v) for v in np.linspace(1.1, 1.3, 81)]
    assert np.all(np.diff(rates) < 0)
    assert 1 - (1 - bit_error_rate(1.125)) ** 64 == pytest.approx(0.45)
    assert bit_error_rate(1.35) == bit_error_rate(1.5) == 0


@pytest.mark.parametrize(("rate", "voltage_v"), [(0.0019, 1.25), (0.0003, 1.3), (0.0, 1.3), (0.007, 1.2), (0.5, 1.1)])
def test_the_lowest_voltage_for_an_error_rate(rate, voltage_v):
    """The first two as in the source: mean rates of the weights of ResNet-110 and ResNet-56."""
    assert lowest_voltage(rate) == voltage_v


def test_voltage_or_rate():
    fault = ReducedVoltage(voltage_v=1.2)
    assert fault.rate_per_bit == bit_error_rate(1.2)
    assert FaultModel.from_json({"kind": "reduced_voltage", "voltage_v": 1.2}) == fault
    assert FaultModel.from_json(fault.to_json()) == fault
    other = ReducedVoltage(voltage_v=1.2, locality="row").at(1e-3)
    assert (other.rate_per_bit, other.voltage_v, other.locality) == (1e-3, None, "row")


@pytest.mark.parametrize("locality", ["uniform", "row", "column"])
@pytest.mark.parametrize("width", [8, 24])
def test_the_rate_on_the_whole(locality, width):
    """Over many devices; rows are the unit that varies, so the error is judged by the spread of the means."""
    fault = ReducedVoltage(0.01, locality=locality, weak_fraction=0.25, row_bits=ROW_BITS)
    words = np.zeros((3, 331), np.uint32)
    rng = stream(31, locality, width)
    counts = np.array(
        [np.bitwise_count(fault.corrupt(words, IntegerLayout(width), rng)).sum() for _ in range(600)], np.float64
    )
    expected = 0.01 * words.size * width
    assert abs(counts.mean() - expected) < 4 * counts.std(ddof=1) / np.sqrt(len(counts))


def lines(found, width, locality):
    """Errors per row or column, and how many bits each has."""
    bits = ((found[:, None] >> np.arange(width, dtype=found.dtype)) & 1).reshape(-1)
    number = np.arange(len(bits))
    number = number // ROW_BITS if locality == "row" else number % ROW_BITS
    return np.bincount(number, bits), np.bincount(number)


@pytest.mark.parametrize(("locality", "words"), [("row", 64 * 4000), ("column", 64 * 400)])
def test_errors_gather_in_weak_rows_or_columns(locality, words):
    """Weak lines are a binomial number, and errors within them binomial at the raised rate."""
    fault = ReducedVoltage(0.02, locality=locality, weak_fraction=0.2, row_bits=ROW_BITS)
    found = fault.corrupt(np.zeros(words, np.uint8), IntegerLayout(8), stream(32, locality))
    errors, sizes = lines(found, 8, locality)
    weak = errors > 0  # a weak line of 400 bits or more at a rate of 0.1 without an error has probability 1e-18
    assert stats.binomtest(int(weak.sum()), len(errors), 0.2).pvalue > LEAST_P
    deviations = (errors[weak] - 0.1 * sizes[weak]) / np.sqrt(0.09 * sizes[weak])
    assert stats.chi2(weak.sum()).sf((deviations**2).sum()) > LEAST_P
    assert stats.chi2(weak.sum()).cdf((deviations**2).sum()) > LEAST_P


@pytest.mark.parametrize("locality", ["row", "column"])
def test_the_last_row_may_be_short_and_rates_may_exceed_the_weak_fraction(locality):
    words = np.arange(70, dtype=np.uint8)
    fault = ReducedVoltage(1.0, locality=locality, weak_fraction=0.2, row_bits=ROW_BITS)
    assert np.array_equal(fault.corrupt(words, IntegerLayout(8), stream(33)), 255 - words)
    half = ReducedVoltage(0.5, locality=locality, weak_fraction=0.2, row_bits=ROW_BITS)
    found = half.corrupt(np.zeros(64 * 500, np.uint8), IntegerLayout(8), stream(34))
    errors, sizes = lines(found, 8, locality)
    assert set((errors / sizes).tolist()) == {0.0, 1.0}


def test_intermittent_errors_are_fewer_in_the_same_lines():
    often = ReducedVoltage(0.02, locality="row", row_bits=ROW_BITS)
    seldom = ReducedVoltage(0.02, locality="row", row_bits=ROW_BITS, activity=0.25)
    words = np.zeros(64 * 4000, np.uint8)
    errors = [lines(f.corrupt(words, IntegerLayout(8), stream(35)), 8, "row")[0] for f in (often, seldom)]
    assert np.array_equal(errors[0] > 0, errors[1] > 0)
    assert errors[1].sum() / errors[0].sum() == pytest.approx(0.25, rel=0.05)


def test_without_locality_it_is_bit_flips():
    words = np.arange(9999, dtype=np.uint32)
    found = ReducedVoltage(voltage_v=1.1).corrupt(words, FLOAT32, stream(36))
    assert np.array_equal(found, BitFlip(bit_error_rate(1.1)).corrupt(words, FLOAT32, stream(36)))


@pytest.mark.parametrize(
    ("make", "fragment"),
    [
        (lambda: ReducedVoltage(voltage_v=1.05), r"known from 1\.1 V to 1\.5 V, and voltage_v is 1\.05"),
        (lambda: ReducedVoltage(voltage_v=2.0), "voltage_v is 2.0"),
        (lambda: ReducedVoltage(voltage_v="1.2"), "voltage_v is '1.2'"),
        (lambda: ReducedVoltage(1e-3, 1.2), r"at 1\.2 V has rate_per_bit 0\.006708, not 0\.001; give one of the two"),
        (lambda: ReducedVoltage(0.1, locality="bank"), "uniform, row, column, not 'bank'"),
        (lambda: ReducedVoltage(0.1, weak_fraction=0.0), "above 0 and at most 1, not 0.0"),
        (lambda: ReducedVoltage(0.1, row_bits=0), "from 1, not 0"),
        (lambda: lowest_voltage(-0.1), "not -0.1"),
    ],
)
def test_parameters_that_cannot_be(make, fragment):
    with pytest.raises(ConfigError, match=fragment):
        make()
