"""Matrix products of codes equal sums of table entries, for any table, level, layout and number of threads."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from laxity.circuits import Multiplier, catalogue
from laxity.core.errors import CircuitError, DataError
from laxity.emulate import matmul
from laxity.techniques.data.codes import exact_multiplier

INT64 = np.iinfo(np.int64)
FEW = settings(deadline=None, max_examples=25)


def gathered(a, w, table):
    """The definition: one table entry per pair of bit patterns, added in Python integers where int64 might not do."""
    left = a.numpy().astype(np.int64) % table.shape[0]
    right = w.numpy().astype(np.int64) % table.shape[1]
    total = np.zeros((left.shape[0], right.shape[1]), np.int64)
    for k in range(left.shape[1]):
        total += table[left[:, k][:, None], right[k][None]]
    return torch.from_numpy(total)


def operand(rng, shape, bits, signed):
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    return torch.from_numpy(rng.integers(low, high, shape).astype(np.int8 if signed else np.uint8))


def make_table(kind, rng, a_bits, b_bits):
    shape = (2**a_bits, 2**b_bits)
    if kind == "low rank":
        return np.outer(rng.integers(-9, 10, shape[0]), rng.integers(-9, 10, shape[1])) + 3
    if kind == "maximum":
        return np.full(shape, 2**16 - 1)
    if kind == "negative":
        return np.full(shape, -(2**15))
    low, high = {
        "byte": (-100, 100),
        "16 bits": (-(2**15), 2**15),
        "17 bits": (-(2**16), 2**16),
        "31 bits": (-(2**31) + 1, 2**31),
        "2**40": (-(2**40), 2**40 + 1),
        "2**57": (-(2**57), 2**57 + 1),
    }[kind]
    table = rng.integers(low, high, shape)
    table.flat[:2] = low, high - 1
    return table


KINDS = ("low rank", "maximum", "negative", "byte", "16 bits", "17 bits", "31 bits", "2**40", "2**57")


@FEW
@given(
    kind=st.sampled_from(KINDS),
    bits=st.tuples(st.integers(2, 8), st.integers(2, 8)),
    signed=st.tuples(st.booleans(), st.booleans()),
    shape=st.tuples(st.integers(0, 70), st.integers(0, 40), st.integers(0, 33)),
    seed=st.integers(0, 1000),
)
@example(kind="16 bits", bits=(8, 8), signed=(True, True), shape=(5, 9, 17), seed=0)
@example(kind="16 bits", bits=(8, 8), signed=(False, True), shape=(65, 40, 18), seed=1)
@example(kind="2**40", bits=(8, 8), signed=(True, False), shape=(3, 300, 4), seed=2)
def test_any_table(level, kind, bits, signed, shape, seed):
    rng = np.random.default_rng(seed)
    table = make_table(kind, rng, *bits)
    multiplier = Multiplier.from_table(table, a_signed=signed[0], b_signed=signed[1])
    m, k, n = shape
    a, w = operand(rng, (m, k), bits[0], signed[0]), operand(rng, (k, n), bits[1], signed[1])
    before = a.clone(), w.clone()
    got = matmul(a, w, multiplier)
    assert got.dtype == torch.int64
    assert got.shape == (m, n)
    assert torch.equal(got, gathered(a, w, table))
    assert torch.equal(a, before[0])
    assert torch.equal(w, before[1])


@pytest.mark.parametrize("name", ["dadda8", "drum8_4", "mitchell8", "dadda8s", "bam8_0_2"])
def test_circuits(level, name):
    circuit = catalogue.get(name)
    rng = np.random.default_rng(5)
    a, w = operand(rng, (33, 100), 8, circuit.a_signed), operand(rng, (100, 20), 8, circuit.b_signed)
    assert torch.equal(matmul(a, w, circuit), gathered(a, w, circuit.table))


def test_the_least_signed_code_is_an_operand(level):
    """Layers do without -128; an int8 operand has it."""
    table = np.random.default_rng(1).integers(-(2**14), 2**14, (256, 256))
    multiplier = Multiplier.from_table(table, a_signed=True, b_signed=True)
    least = torch.full((2, 3), -128, dtype=torch.int8)
    assert (matmul(least, least.T, multiplier) == 3 * table[128, 128]).all()


@pytest.mark.parametrize("reduction", [65537, 2**17 + 5])
@pytest.mark.parametrize(
    "entries", [(-(2**15), 2**15 - 1), (0, 2**16 - 1), (-32767, 32767), (-(2**31) + 1, 2**31 - 1), (-(2**40), 2**40)]
)
def test_long_reductions_of_extreme_products(level, reduction, entries):
    """Sums beyond 16, 31, 32 and 53 bits, all of one sign and mixed."""
    rng = np.random.default_rng(0)
    table = rng.choice(np.array(entries), (256, 256))
    table[0], table[255] = entries
    multiplier = Multiplier.from_table(table, a_signed=False, b_signed=True)
    a = torch.stack([torch.zeros(reduction), torch.full((reduction,), 255.0), torch.zeros(reduction)]).to(torch.uint8)
    a[2] = operand(rng, (reduction,), 8, False)
    w = operand(rng, (reduction, 2), 8, True)
    assert torch.equal(matmul(a, w, multiplier), gathered(a, w, table))


def test_long_reductions_of_few_terms(level):
    """Products that factor, at the greatest sums."""
    top = torch.full((1, 70000), 255, dtype=torch.uint8)
    table = np.outer(np.arange(256), np.arange(256))
    for scale in (1, -1, 4097):
        multiplier = Multiplier.from_table(table * scale, a_signed=False, b_signed=False)
        assert int(matmul(top, top.T, multiplier)) == 70000 * 255 * 255 * scale


def test_odd_tables_of_large_products(level):
    """Sign and magnitude, with sums between 31 and 32 bits."""
    magnitude = np.outer(np.arange(128), np.arange(128)) * 2 + np.arange(128)[:, None] % 3
    values = np.concatenate([np.arange(128), np.arange(-128, 0)])
    table = (
        np.sign(values)[:, None]
        * np.sign(values)
        * magnitude[np.minimum(abs(values), 127)][:, np.minimum(abs(values), 127)]
    )
    multiplier = Multiplier.from_table(table, a_signed=True, b_signed=True)
    for sign in (1, -1):
        a = torch.full((2, 66000), 127, dtype=torch.int8)
        w = torch.full((66000, 3), 127 * sign, dtype=torch.int8)
        assert torch.equal(matmul(a, w, multiplier), gathered(a, w, table))


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_change_nothing(level, threads):
    table = make_table("16 bits", np.random.default_rng(3), 8, 8)
    multiplier = Multiplier.from_table(table, a_signed=True, b_signed=True)
    rng = np.random.default_rng(4)
    a, w = operand(rng, (300, 70), 8, True), operand(rng, (70, 65), 8, True)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        assert torch.equal(matmul(a, w, multiplier), gathered(a, w, table))
    finally:
        torch.set_num_threads(before)


def test_memory_layout_does_not_matter(level):
    table = make_table("16 bits", np.random.default_rng(3), 8, 8)
    multiplier = Multiplier.from_table(table, a_signed=False, b_signed=True)
    rng = np.random.default_rng(4)
    a, w = operand(rng, (40, 60), 8, False), operand(rng, (60, 50), 8, True)
    for x in (a.T.contiguous().T, a[::3, ::2], a[5:9, 1:2].expand(4, 30), a[:1].expand(7, 60)):
        y = w[: x.shape[1]]
        for right in (y, y.T.contiguous().T, y[:, ::4], y.flip(1)):
            assert torch.equal(matmul(x, right, multiplier), gathered(x, right, table))


@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0)])
def test_empty(level, shape):
    m, k, n = shape
    a, w = torch.zeros(m, k, dtype=torch.uint8), torch.zeros(k, n, dtype=torch.uint8)
    got = matmul(a, w, catalogue.get("mitchell8"))
    assert got.dtype == torch.int64
    assert torch.equal(got, torch.zeros(m, n, dtype=torch.int64))


def test_sums_at_the_edge_of_int64(level):
    """The largest and least int64 are results; one more is an error, though sums on the way may be beyond."""
    table = np.zeros((4, 4), np.int64)
    table[0, 0], table[1, 0], table[2, 0], table[3, 0] = INT64.max, INT64.min, 1, -1
    multiplier = Multiplier.from_table(table, a_signed=False, b_signed=False)

    def total(*codes):
        a = torch.tensor([codes], dtype=torch.uint8)
        return int(matmul(a, torch.zeros(len(codes), 1, dtype=torch.uint8), multiplier))

    assert total(0) == INT64.max
    assert total(1) == INT64.min
    assert total(0, 2, 3) == total(2, 0, 3) == INT64.max
    assert total(0, 0, 1, 1, 2, 2) == 0
    for codes in ((0, 2), (1, 3), (0, 0), (1, 1, 0)):
        with pytest.raises(DataError, match=r"row 0, column 0 of shape \(1, 1\) is outside -2\*\*63..2\*\*63 - 1"):
            total(*codes)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("kind", KINDS)
def test_other_devices(kind):
    rng = np.random.default_rng(6)
    table = make_table(kind, rng, 8, 8)
    multiplier = Multiplier.from_table(table, a_signed=False, b_signed=True)
    a, w = operand(rng, (70, 90), 8, False), operand(rng, (90, 40), 8, True)
    got = matmul(a.cuda(), w.cuda(), multiplier)
    assert got.device.type == "cuda"
    assert torch.equal(got.cpu(), gathered(a, w, table))


def codes(*shape, dtype=torch.uint8):
    return torch.zeros(*shape, dtype=dtype)


@pytest.mark.parametrize(
    ("a", "w", "message"),
    [
        (
            codes(2, 3, dtype=torch.int8),
            codes(3, 4),
            r"a is torch.int8 of shape \(2, 3\); the multiplier takes torch.u",
        ),
        (codes(2, 3), codes(3, 4, dtype=torch.int64), r"w is torch.int64 of shape \(3, 4\); the multiplier takes"),
        (codes(2, 3, dtype=torch.float32), codes(3, 4), r"a is torch.float32 of shape \(2, 3\)"),
        (codes(3), codes(3, 4), r"a is torch.uint8 of shape \(3,\).* of two dimensions"),
        (codes(2, 3), codes(1, 3, 4), r"w is torch.uint8 of shape \(1, 3, 4\)"),
        (codes(2, 3), codes(4, 3), r"a of shape \(2, 3\) and w of shape \(4, 3\) cannot be multiplied"),
        ([[1]], codes(1, 1), r"a is a list; give a torch.Tensor"),
        (codes(2, 3), codes(3, 4).to("meta"), r"a of shape \(2, 3\) is on cpu and w of shape \(3, 4\) on meta"),
    ],
)
def test_wrong_operands_are_named(a, w, message):
    with pytest.raises(DataError, match=message):
        matmul(a, w, catalogue.get("dadda8"))


@pytest.mark.parametrize(("bits", "signed", "value"), [(4, False, 16), (7, False, 255), (4, True, 8), (3, True, -5)])
@pytest.mark.parametrize("which", ["a", "w"])
def test_codes_outside_the_declared_width(bits, signed, value, which):
    multiplier = Multiplier.from_table(np.zeros((2**bits, 2**bits), int), a_signed=signed, b_signed=signed)
    dtype = torch.int8 if signed else torch.uint8
    operands = {"a": codes(2, 3, dtype=dtype), "w": codes(3, 4, dtype=dtype)}
    operands[which][1, 2] = value
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    shape = r"\(2, 3\)" if which == "a" else r"\(3, 4\)"
    wanted = rf"{which}, {dtype} of shape {shape}, holds code {value}; the {bits}-bit .* takes {low}..{high}"
    with pytest.raises(DataError, match=wanted):
        matmul(**operands, multiplier=multiplier)


def test_multipliers_that_have_no_codes_of_bytes():
    with pytest.raises(CircuitError, match="is no multiplier with a table"):
        matmul(codes(1, 1), codes(1, 1), exact_multiplier(16))
    wide = Multiplier.from_table(np.zeros((512, 4), int), a_signed=False, b_signed=False, name="nine")
    with pytest.raises(CircuitError, match="'nine' takes operands of 9 and 2 bits"):
        matmul(codes(1, 1), codes(1, 1), wide)
