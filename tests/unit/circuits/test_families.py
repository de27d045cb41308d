"""Every family against an independent behavioural definition, published tables, and the laws of its kind."""

import numpy as np
import pytest

from laxity.circuits import MULTIPLIERS, circuit, evaluate, get, names
from laxity.circuits.catalogue import parse
from laxity.core.seeds import stream


def leading(x):
    """Position of the leading one; -1 for zero."""
    return np.where(x > 0, np.frexp(x.astype(np.float64))[1] - 1, -1)


def power(e):
    return np.left_shift(np.int64(1), np.maximum(e, 0))


def optrunc(a, b, n, k):
    return ((a >> k) << k) * ((b >> k) << k)


def kept_bits(a, b, n, keep):
    rows = [((a >> i) & 1) * ((b >> j) & 1) << (i + j) for i in range(n) for j in range(n) if keep(i, j)]
    return sum(rows, np.zeros_like(a * b))


def udm(a, b, n):
    if n == 2:
        return np.where((a == 3) & (b == 3), 7, a * b)
    half = n // 2
    a_high, a_low, b_high, b_low = a >> half, a & power(half) - 1, b >> half, b & power(half) - 1
    middle = udm(a_high, b_low, half) + udm(a_low, b_high, half)
    return (udm(a_high, b_high, half) << n) + (middle << half) + udm(a_low, b_low, half)


def drum(a, b, n, k):
    def truncate(x):
        shift = np.maximum(leading(x) - k + 1, 0)
        return np.where(shift > 0, ((x >> shift) | 1) << shift, x)

    return truncate(a) * truncate(b)


def mitchell(a, b, n):
    ka, kb = leading(a), leading(b)
    fraction_a = (a - power(ka)) / power(ka)
    fraction_b = (b - power(kb)) / power(kb)
    scale, total = power(ka + kb).astype(np.float64), fraction_a + fraction_b
    product = np.where(total < 1, scale * (1 + total), 2 * scale * total)
    return np.where((a > 0) & (b > 0), np.floor(product), 0).astype(np.int64)


def roba(a, b, n):
    def nearest(x):
        candidates = 1 << np.arange(n + 1)
        distance = np.abs(x[..., None] - candidates)
        best = candidates[n - distance[..., ::-1].argmin(axis=-1)]
        return np.where(x == 3, 2, np.where(x == 0, 0, best))

    return nearest(a) * b + nearest(b) * a - nearest(a) * nearest(b)


REFERENCES = {
    "array": lambda a, b, n: a * b,
    "dadda": lambda a, b, n: a * b,
    "optrunc": optrunc,
    "coltrunc": lambda a, b, n, k: kept_bits(a, b, n, lambda i, j: i + j >= k),
    "bam": lambda a, b, n, vbl, hbl: kept_bits(a, b, n, lambda i, j: i + j >= vbl and j >= hbl),
    "udm": udm,
    "drum": drum,
    "mitchell": mitchell,
    "roba": roba,
}


def reference_table(name):
    family, width, signed, parameters = parse(name)
    codes = np.arange(1 << width)
    values = np.where(codes >> (width - 1), codes - (1 << width), codes) if signed else codes
    a, b = np.meshgrid(values, values, indexing="ij")
    magnitude = REFERENCES[family.name](np.abs(a), np.abs(b), width, *parameters)
    return np.sign(a) * np.sign(b) * magnitude if signed else magnitude


def all_names(width):
    """Every family of a width with every parameter value that it allows."""
    for kind in MULTIPLIERS.names():
        family = MULTIPLIERS[kind]
        if width in family.widths:
            ranges = [range(p.low(width), p.high(width) + 1) for p in family.parameters]
            for index in np.ndindex(*(len(r) for r in ranges)):
                yield family.circuit_name(width, [r[i] for r, i in zip(ranges, index, strict=True)])


def test_all_families_have_a_reference():
    assert set(MULTIPLIERS.names()) == set(REFERENCES)
    assert all(MULTIPLIERS[kind].definition and MULTIPLIERS[kind].source for kind in REFERENCES)


@pytest.mark.parametrize("name", names() + names(signed=True))
def test_catalogue_equals_the_definition_for_all_pairs(name):
    np.testing.assert_array_equal(get(name).table, reference_table(name))


@pytest.mark.parametrize("width", [2, 3, 4, 5])
def test_every_parameter_value_of_narrow_widths(width):
    for name in all_names(width):
        np.testing.assert_array_equal(get(name).table, reference_table(name), err_msg=name)
        signed = name.replace(str(width), f"{width}s", 1)
        np.testing.assert_array_equal(get(signed).table, reference_table(signed), err_msg=signed)


@pytest.mark.parametrize(
    "name", ["drum7_4", "mitchell6", "mitchell7", "roba7", "dadda9", "roba6s", "mitchell10", "drum9_3"]
)
def test_widths_that_are_no_power_of_two(name):
    np.testing.assert_array_equal(get(name).table, reference_table(name))


@pytest.mark.parametrize("width", [11, 12, 16])
def test_wide_operands_on_samples(width):
    rng = stream(3, "wide", width)
    a, b = rng.integers(0, 1 << width, (2, 2000))
    a[:50], b[25:75], a[100:150] = 0, 0, (1 << width) - 1
    for name in names(width):
        family, _, _, parameters = parse(name)
        product = evaluate(circuit(name), {"a": a, "b": b})["p"]
        np.testing.assert_array_equal(product, REFERENCES[family.name](a, b, width, *parameters), err_msg=name)


# EP %, MED, WCE, MRED %, max RED %, bias of 8 x 8 unsigned multipliers over all pairs, from an independent behavioural
# study whose 16-bit figures for DRUM, Mitchell and RoBA agree with the literature; "-" is minus MED.
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
"""


def agrees(value, text):
    digits = len(text.partition(".")[2])
    return abs(value - float(text)) <= 0.5 * 10.0**-digits + 1e-9


@pytest.mark.parametrize("line", GOLDEN.strip().splitlines(), ids=lambda line: line.split()[0])
def test_golden_metrics(line):
    name, ep, med, wce, mred, max_red, bias = line.split()
    metrics = get(name).metrics()
    assert agrees(100 * metrics.ep, ep)
    assert agrees(metrics.med, med)
    assert metrics.wce == int(wce)
    assert agrees(100 * metrics.mred, mred)
    assert agrees(100 * metrics.max_red, max_red)
    assert metrics.bias == -metrics.med if bias == "-" else agrees(metrics.bias, bias)
    assert metrics.error_at_zero_operand == 0


@pytest.mark.parametrize(("vbl", "hbl"), [(4, 0), (5, 0), (6, 2), (0, 2), (8, 2)])
def test_bam_mean_error_is_a_quarter_of_the_dropped_weight(vbl, hbl):
    dropped = sum(1 << (i + j) for i in range(8) for j in range(8) if i + j < vbl or j < hbl)
    metrics = get(f"bam8_{vbl}_{hbl}").metrics()
    assert (metrics.med, metrics.bias, metrics.wce) == (dropped / 4, -dropped / 4, dropped)


@pytest.mark.parametrize("name", names())
def test_laws_of_unsigned_multipliers(name):
    multiplier = get(name)
    exact = multiplier.exact_table()
    if multiplier.family in {"optrunc", "coltrunc", "bam", "udm", "mitchell"}:
        assert (multiplier.table <= exact).all()
    if multiplier.family != "bam":
        np.testing.assert_array_equal(multiplier.table, multiplier.table.T)
    if multiplier.family in {"mitchell", "roba", "array", "dadda"}:
        powers = 1 << np.arange(8)
        np.testing.assert_array_equal(multiplier.table[powers], exact[powers])
    assert not multiplier.table[0].any()
    assert not multiplier.table[:, 0].any()


@pytest.mark.parametrize("name", ["optrunc8_0", "coltrunc8_0", "bam8_0_0", "drum8_8", "drum4_4", "optrunc8s_0"])
def test_degenerate_parameters_are_exact(name):
    multiplier = get(name)
    np.testing.assert_array_equal(multiplier.table, multiplier.exact_table())
    assert multiplier.metrics().ep == 0


@pytest.mark.parametrize("k", [3, 4, 5])
def test_drum_error_scales_with_the_operand(k):
    error = get(f"drum8_{k}").table - get("dadda8").table
    large = np.arange(1 << k, 128)
    np.testing.assert_array_equal(error[2 * large], 2 * error[large])


def test_bam_without_row_break_is_column_truncation():
    for k in (4, 6, 8):
        assert get(f"bam8_{k}_0") == get(f"coltrunc8_{k}")
