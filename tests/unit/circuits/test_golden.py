"""Error figures of multipliers against those of an independent study and of the literature."""

import numpy as np
import pytest

from laxity.circuits import circuit, evaluate, get
from laxity.core.seeds import stream

from .behaviour import momeni_one, momeni_two, venkatachalam

# EP %, MED, WCE, MRED %, max RED %, bias of 8 x 8 unsigned multipliers over all pairs, from an independent behavioural
# study whose 16-bit figures agree with the literature below; "-" is minus MED.
GOLDEN = """
optrunc8_1  74.609 127.25   509   2.655  100    -
optrunc8_2  93.164 380.25   1521  7.005  100    -
optrunc8_3  97.754 880.25   3521  14.121 100    -
optrunc8_4  98.877 1856.25  7425  25.411 100    -
coltrunc8_4 81.25  12.25    49    .564   100    -
coltrunc8_6 93.75  80.25    321   2.638  100    -
coltrunc8_8 98.047 448.25   1793  9.780  100    -
udm8        46.730 903.125  14450 3.2805 22.222 -903.125
drum8_3     98.779 1847.05  14849 12.095 56.25  123.8
drum8_4     97.717 925.86   7425  5.887  26.56  119.8
drum8_5     94.577 465.18   3904  2.839  12.89  111.8
drum8_6     85.431 232.83   2000  1.301  6.35   95.8
mitchell8   93.092 606.398  4096  3.7878 11.111 -606.398
roba8       93.092 455.056  4096  2.8622 11.111 -.238
tosam8_0_2  99.138 1933.1   19969 10.194 30.71  -1693.7
tosam8_0_3  99.138 1351.2   15873 7.722  25     -784.4
tosam8_1_3  98.457 999.4    10753 5.650  18.60  -784.5
tosam8_1_5  98.848 665.1    7681  4.090  13.89  -107.2
perf8_0_1   49.805 63.75    255   1.336  100    -
perf8_0_2   74.707 191.25   765   3.566  100    -
perf8_0_3   87.158 446.25   1785  7.329  100    -
perf8_1_2   74.707 382.5    1530  5.993  100    -
perf8_2_2   74.707 765      3060  10.069 100    -
"""


def agrees(value, text):
    """Equal to all digits printed."""
    digits = len(text.partition(".")[2])
    return abs(value - float(text)) <= 0.5 * 10.0**-digits + 1e-9


def rows(table):
    return [line.split() for line in table.strip().splitlines()]


@pytest.mark.parametrize(("name", "ep", "med", "wce", "mred", "max_red", "bias"), rows(GOLDEN))
def test_golden_metrics(name, ep, med, wce, mred, max_red, bias):
    metrics = get(name).metrics()
    assert agrees(100 * metrics.ep, ep)
    assert agrees(metrics.med, med)
    assert metrics.wce == int(wce)
    assert agrees(100 * metrics.mred, mred)
    assert agrees(100 * metrics.max_red, max_red)
    assert metrics.bias == -metrics.med if bias == "-" else agrees(metrics.bias, bias)
    assert metrics.error_at_zero_operand == 0


# MED and bias from the same study: 8 x 8 compressor trees and signed Booth multipliers.
TREES = """
momenitwo8_8  104.3 *
momenitwo8_16 1492  857
venka8_8      76.1  -
venka8_16     732   -732
boothi8s_4    3.5   -
boothi8s_6    21.5  -
boothi8s_8    117.5 -
boothii8s_4   4.71  3.25
boothii8s_6   27.7  21.25
boothii8s_8   142.9 117.25
"""


@pytest.mark.parametrize(("name", "med", "bias"), rows(TREES))
def test_golden_trees(name, med, bias):
    metrics = get(name).metrics()
    assert agrees(metrics.med, med)
    if bias != "*":
        assert metrics.bias == -metrics.med if bias == "-" else agrees(metrics.bias, bias)


@pytest.mark.parametrize(
    ("compressor", "wrong"), [(momeni_one, 12 / 32), (momeni_two, 4 / 16), (venkatachalam, 5 / 16)]
)
def test_published_error_rates_of_compressors(compressor, wrong):
    """On the behavioural definitions, to which the netlists are compared elsewhere."""
    codes = np.arange(32)
    bits, side = [codes >> i & 1 for i in range(4)], codes >> 4
    total, carry, across = compressor(bits, side)
    taken = 0 if across is None else side
    found = total + 2 * (carry + (0 if across is None else across))
    assert (found != sum(bits) + taken).mean() == wrong


@pytest.mark.parametrize(("vbl", "hbl"), [(4, 0), (5, 0), (6, 2), (0, 2), (8, 2)])
def test_bam_mean_error_is_a_quarter_of_the_dropped_weight(vbl, hbl):
    dropped = sum(1 << (i + j) for i in range(8) for j in range(8) if i + j < vbl or j < hbl)
    metrics = get(f"bam8_{vbl}_{hbl}").metrics()
    assert (metrics.med, metrics.bias, metrics.wce) == (dropped / 4, -dropped / 4, dropped)


# MRED %, largest RED % and relative bias % of 16 x 16 unsigned multipliers over uniform operands: that study with 8
# million samples, which agrees with what is published of DRUM (1.47, 6.31, .04), ILM (9.41, .99, .11) and MBM (2.58,
# 7.81, -.09).
WIDE = """
drum16_6    1.468 6.35  .04
mitchell16  3.846 11.11 *
ilm16_0     9.412 24.99 *
ilm16_1     .9875 6.24  *
ilm16_2     .107  1.56  *
roba16      2.886 11.11 *
tosam16_0_2 10.91 *     *
tosam16_0_3 7.61  *     *
tosam16_1_5 3.95  *     *
tosam16_2_6 2.06  *     *
tosam16_3_7 1.05  *     *
tosam16_4_8 .53   *     *
tosam16_5_9 .26   *     *
mbm16       2.584 7.81  -.094
ssm16_8     2.08  *     *
"""


def relative_errors(name, count):
    """Relative errors of the netlist for random operands from 1."""
    rng = stream(0, "sixteen bits", name)
    found = []
    for _ in range(count >> 17):
        a, b = rng.integers(1, 1 << 16, (2, 1 << 17))
        found.append(evaluate(circuit(name), {"a": a, "b": b})["p"] / (a * b) - 1)
    return np.concatenate(found)


@pytest.mark.parametrize(("name", "mred", "largest", "bias"), rows(WIDE))
def test_sixteen_bits_as_in_the_literature(name, mred, largest, bias):
    """To the digits printed, where sampling allows: three standard errors of 2 million samples are granted."""
    errors = 100 * relative_errors(name, 1 << 21)
    doubt = 3 * errors.std() / np.sqrt(errors.size)
    assert abs(np.abs(errors).mean() - float(mred)) <= 0.5 * 10.0 ** -len(mred.partition(".")[2]) + doubt
    if largest != "*":
        assert 0.98 * float(largest) <= np.abs(errors).max() <= float(largest) + 0.05
    if bias != "*":
        assert abs(errors.mean() - float(bias)) <= 0.5 * 10.0 ** -len(bias.partition(".")[2]) + doubt


def test_largest_relative_error_of_static_segments():
    """It is where a segment loses most, 75 %; the study saw 71.9 % among its samples."""
    worst = np.array([511])
    assert evaluate(circuit("ssm16_8"), {"a": worst, "b": worst})["p"][0] == 256**2
    errors = relative_errors("ssm16_8", 1 << 21)
    assert 0.65 <= -errors.min() <= 1 - (256 / 511) ** 2
