"""Accumulators against loops written from their definition: one product after the other, on Python integers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.circuits import CircuitBuilder, adder_catalogue, catalogue, curable_states, partial_sums
from laxity.circuits.netlist import ONE, ZERO
from laxity.core.errors import CircuitError, PlanError
from laxity.core.seeds import stream
from laxity.kernels import Geometry, native, products_for
from laxity.kernels.accumulators import AdderAccumulator, CurableAccumulator
from laxity.kernels.analysis import signed_table
from laxity.kernels.native import levels
from laxity.kernels.program import compile_stage
from laxity.kernels.sequential import SequentialProducts

LEFT, RIGHT = (0, 255), (-127, 127)
COMPILED = pytest.mark.skipif(not levels(), reason="laxity is installed without compiled kernels")


def wrap(value, bits):
    half = 1 << (bits - 1)
    return (value + half) % (2 * half) - half


def loa(a, b, bits, low):
    """Two's complement sum by the lower-part OR adder, from its definition."""
    a, b = a % (1 << bits), b % (1 << bits)
    carry = (a >> (low - 1)) & (b >> (low - 1)) & 1
    return wrap((((a >> low) + (b >> low) + carry) << low) | ((a | b) % (1 << low)), bits)


def aca(a, b, bits, window):
    a, b, total = a % (1 << bits), b % (1 << bits), 0
    for i in range(bits):
        low = max(i - window, 0)
        part = (a >> low) % (1 << (i - low)) + (b >> low) % (1 << (i - low))
        total |= ((part >> (i - low) if i else 0) ^ (a >> i) ^ (b >> i)) % 2 << i
    return wrap(total, bits)


def clamp(a, b, bits):
    return min(max(a + b, -(1 << (bits - 1))), (1 << (bits - 1)) - 1)


ADDITIONS = {
    "ripple12": lambda a, b: wrap(a + b, 12),
    "sklansky17": lambda a, b: wrap(a + b, 17),
    "loa20_6": lambda a, b: loa(a, b, 20, 6),
    "loa14_3": lambda a, b: loa(a, b, 14, 3),
    "aca18_5": lambda a, b: aca(a, b, 18, 5),
    "trunc20_4": lambda a, b: wrap((a >> 4 << 4) + (b >> 4 << 4), 20),
}


def loop(products, bits, add, chain=0):
    """Sum of one output: products in order, in chains."""
    total = 0
    for start in range(0, len(products), chain or len(products)):
        state = 0
        for p in products[start : start + (chain or len(products))]:
            state = add(state, wrap(int(p), bits))
        total += state
    return total


def operands(rng, rows, reduction, outputs):
    a = torch.from_numpy(rng.integers(LEFT[0], LEFT[1] + 1, (rows, reduction))).float()
    w = torch.from_numpy(rng.integers(RIGHT[0], RIGHT[1] + 1, (reduction, outputs))).float()
    return a, w


def reference(table, a, w, bits, add, chain=0):
    p = table[a.long().numpy()[:, :, None] - LEFT[0], w.long().numpy()[None] - RIGHT[0]]
    sums = [[loop(p[m, :, n].tolist(), bits, add, chain) for n in range(p.shape[2])] for m in range(p.shape[0])]
    return torch.tensor(sums, dtype=torch.int64)


def accumulator(name, overflow="wrap", chain=0):
    return AdderAccumulator(adder_catalogue.get(name), overflow, chain)


@pytest.mark.parametrize("multiplier", ["dadda8", "drum8_4"])
@pytest.mark.parametrize("chain", [0, 1, 5, 16])
@pytest.mark.parametrize("name", list(ADDITIONS))
def test_matrix_products(name, chain, multiplier):
    found = accumulator(name, chain=chain)
    kernel, factor = products_for(catalogue.get(multiplier), LEFT, RIGHT, (0, 0), found)
    assert factor == 1
    table = signed_table(catalogue.get(multiplier), LEFT, RIGHT)
    a, w = operands(stream(1, name, chain), 5, 37, 11)
    wanted = reference(table, a, w, found.adder.bits, ADDITIONS[name], chain)
    assert torch.equal(kernel.matmul(a, w).long(), wanted)


@pytest.mark.parametrize("chain", [0, 7])
@pytest.mark.parametrize(("bits", "outputs"), [(10, 1), (16, 9), (18, 64), (20, 65), (28, 3)])
def test_saturation(bits, outputs, chain):
    """From widths that every column leaves to one that none leaves."""
    kernel, _ = products_for(
        catalogue.get("dadda8"), LEFT, RIGHT, (0, 0), accumulator(f"ripple{bits}", "saturate", chain)
    )
    table = signed_table(catalogue.get("dadda8"), LEFT, RIGHT)
    a, w = operands(stream(2, bits, outputs), 3, 40, outputs)
    w = w.abs() if bits == 18 else w
    wanted = reference(table, a, w, bits, lambda x, y: clamp(x, y, bits), chain)
    assert torch.equal(kernel.matmul(a, w).long(), wanted)
    exact = (a.double() @ w.double()).long()
    if bits in (10, 28):
        assert torch.equal(wanted, exact) == (bits == 28)


@settings(deadline=None, max_examples=25)
@given(
    bits=st.integers(4, 30), rows=st.integers(1, 20), reduction=st.integers(1, 30), outputs=st.integers(1, 70),
    seed=st.integers(0, 1000),
)  # fmt: skip
def test_wrapping_at_the_end_is_wrapping_at_every_step(bits, rows, reduction, outputs, seed):
    """The short cut of exact adders agrees with their gates, product by product."""
    table = signed_table(catalogue.get("mitchell8"), LEFT, RIGHT)
    a, w = operands(np.random.default_rng(seed), rows, reduction, outputs)
    kernel, _ = products_for(catalogue.get("mitchell8"), LEFT, RIGHT, (0, 0), accumulator(f"ripple{bits}"))
    gates = SequentialProducts(LEFT, RIGHT, table, accumulator(f"ripple{bits}").stage)
    assert torch.equal(kernel.matmul(a, w).long(), gates.matmul(a, w).long())


@pytest.mark.parametrize(("groups", "outputs", "kernel"), [(1, 10, (3, 2)), (2, 6, (2, 2)), (6, 6, (3, 3))])
@pytest.mark.parametrize("name", ["loa20_6", "ripple12"])
def test_convolutions_add_channel_by_channel_then_tap_by_tap(name, groups, outputs, kernel):
    rng = stream(3, name, groups)
    found = accumulator(name)
    products, _ = products_for(catalogue.get("drum8_4"), LEFT, RIGHT, (0, 0), found)
    table = signed_table(catalogue.get("drum8_4"), LEFT, RIGHT)
    x = torch.from_numpy(rng.integers(0, 256, (2, 6, 7, 6))).float()
    weight = torch.from_numpy(rng.integers(-127, 128, (outputs, 6 // groups, *kernel))).float()
    geometry = Geometry((2, 1), (1, 1), groups)
    sums = products.convolve(x, products.prepare(weight), geometry)
    for b, n, i, j in [(0, 0, 0, 0), (1, outputs - 1, 1, 2), (0, outputs // 2, 2, 1), (1, 1, 0, 3)]:
        first = n // (outputs // groups) * (6 // groups)
        order = [
            table[int(x[b, first + c, 2 * i + u, j + v]), int(weight[n, c, u, v]) + 127]
            for c in range(6 // groups)
            for u in range(kernel[0])
            for v in range(kernel[1])
        ]
        assert sums[b, n, i, j] == loop(order, found.adder.bits, ADDITIONS[name])


def both(kernel, a, w, monkeypatch):
    """Sums by the compiled gates and by those of torch."""
    compiled = kernel.matmul(a, w)
    monkeypatch.setenv("LAXITY_ISA", "torch")
    plain = kernel.matmul(a, w)
    monkeypatch.delenv("LAXITY_ISA")
    return compiled, plain


@COMPILED
@pytest.mark.parametrize("chain", [0, 5])
@pytest.mark.parametrize("bits", [6, 17, 24])
def test_compiled_gates_agree_for_every_family(bits, chain, monkeypatch):
    """All adders of the catalogue, wrapping and saturating, with outputs that fill no, one and several words."""
    table = np.random.default_rng(bits).integers(-60_000, 60_000, (37, 19))
    for number, name in enumerate(adder_catalogue.names(bits)):
        for overflow in ("wrap", "saturate"):
            stage = accumulator(name, overflow).stage
            kernel = SequentialProducts((0, 36), (-9, 9), table, stage, chain)
            rng = stream(11, name, overflow, chain)
            rows, outputs = int(rng.integers(1, 700)), (1, 7, 9, 20, 64, 65, 130)[number % 7]
            a = torch.from_numpy(rng.integers(0, 37, (rows, 12))).float()
            w = torch.from_numpy(rng.integers(-9, 10, (12, outputs))).float()
            compiled, plain = both(kernel, a, w, monkeypatch)
            assert torch.equal(compiled, plain), name


def crossed(bits):
    """A stage that moves bits of its sum about, so that registers exchange their contents."""
    builder = CircuitBuilder("crossed", "test")
    a, b = builder.input("a", bits), builder.input("b", bits)
    mixed = [builder.xor(x, y) for x, y in zip(a[: bits - 4], b, strict=False)]
    builder.output("s", [a[1], a[0], a[bits - 1], *mixed[3:5], ZERO, ONE, mixed[0], mixed[0], mixed[1], a[2], a[2]])
    return builder.build()


@COMPILED
def test_registers_that_exchange_their_contents(monkeypatch):
    table = np.arange(-50, 50).reshape(10, 10)
    kernel = SequentialProducts((0, 9), (0, 9), table, crossed(12))
    rng = stream(12, "crossed")
    a = torch.from_numpy(rng.integers(0, 10, (100, 9))).float()
    w = torch.from_numpy(rng.integers(0, 10, (9, 33))).float()
    compiled, plain = both(kernel, a, w, monkeypatch)
    assert torch.equal(compiled, plain)
    products = table[a.long().numpy()[:, :, None], w.long().numpy()[None]].transpose(1, 0, 2)
    assert np.array_equal(partial_sums(kernel.stage, products)[-1], plain.long().numpy())


@COMPILED
def test_compiled_gates_use_few_registers():
    """Registers are used again: a ripple-carry chain needs one beside the sum and the product."""
    cells = native.compiled().sequential_cells()
    program = compile_stage(accumulator("ripple24").stage, 17, cells)
    assert program.registers <= 24 + 17 + 2 + 2
    assert len(program.gates) == len(accumulator("ripple24").stage.gates)
    assert program.gates[:, 0].tolist() == [cells.index(g.cell) for g in accumulator("ripple24").stage.gates]


@COMPILED
def test_threads_share_the_work():
    kernel, _ = products_for(catalogue.get("dadda8"), LEFT, RIGHT, (0, 0), accumulator("aca20_5"))
    a, w = operands(stream(13, "threads"), 3000, 9, 70)
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(kernel.matmul(a, w))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)


@COMPILED
def test_nonsense_is_refused():
    module = native.compiled()
    with pytest.raises(ValueError, match="10 sizes and 5 addresses"):
        module.sequential_products(1, [1], [1])
    gates = torch.tensor([[99, 0, 0, 0, 0, 0, 0]], dtype=torch.int32)
    sizes = [1, 4, 2, 8, 1, 1, 1, 1, 1, 1]
    with pytest.raises(ValueError, match="unknown cell or register"):
        module.sequential_products(1, sizes, [gates.data_ptr(), 0, 0, 0, 0])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("chain", [0, 16])
def test_other_devices_agree(chain):
    for found in (accumulator("aca20_5", "saturate", chain), CurableAccumulator(14, (7,), chain)):
        kernel, _ = products_for(catalogue.get("dadda8"), LEFT, RIGHT, (0, 0), found)
        a, w = operands(stream(14, "device"), 300, 40, 33)
        assert torch.equal(kernel.matmul(a.cuda(), w.cuda()).cpu().double(), kernel.matmul(a, w).double())


def test_stages_of_uneven_width():
    builder = CircuitBuilder("uneven", "test")
    a, b = builder.input("a", 4), builder.input("b", 3)
    builder.output("s", builder.add(a, b)[0])
    with pytest.raises(CircuitError, match="one width"):
        SequentialProducts((0, 1), (0, 1), np.zeros((2, 2), np.int64), builder.build())


def test_codes_outside_the_table():
    """A code that the table lacks is an error, in whatever way products are computed."""
    kernel, _ = products_for(catalogue.get("dadda8"), (0, 15), (-7, 7), (4, 4), accumulator("aca20_5"))
    for a, w in ((16.0, 0.0), (-1.0, 0.0), (0.0, 8.0), (0.0, -8.0)):
        with pytest.raises(PlanError, match="outside"):
            kernel.matmul(torch.full((3, 2), a), torch.full((2, 3), w))


def test_the_order_matters_where_the_adder_is_approximate():
    a, w = operands(stream(4, "order"), 8, 30, 12)
    same = []
    for name in ("aca20_5", "gear20_5_5", "loa20_6", "trunc20_4"):
        kernel, _ = products_for(catalogue.get("dadda8"), LEFT, RIGHT, (0, 0), accumulator(name))
        same.append(torch.equal(kernel.matmul(a, w), kernel.matmul(a.flip(1), w.flip(0))))
    # In an OR of many terms, and with cleared bits, the order does not matter.
    assert same == [False, False, True, True]


@pytest.mark.parametrize("cuts", [(12,), (5, 11, 18)])
def test_cured_sums_are_exact_and_their_states_are_not(cuts):
    found = CurableAccumulator(24, cuts)
    kernel, _ = products_for(catalogue.get("dadda8"), LEFT, RIGHT, (0, 0), found)
    a, w = operands(stream(5, "cured"), 6, 50, 20)
    exact = (a.double() @ w.double()).long()
    assert torch.equal(kernel.matmul(a, w).long(), exact)
    products = np.einsum("mk,kn->kmn", a.long().numpy(), w.long().numpy())
    sums, pending = curable_states(24, cuts, products)
    running = np.cumsum(products, axis=0) % (1 << 24)
    assert (sums != running).mean() > 0.3
    repaired = sums + sum(((pending >> i) & 1) << cut for i, cut in enumerate(cuts))
    assert np.array_equal(repaired % (1 << 24), running)


def test_narrow_curable_accumulators_wrap():
    a, w = operands(stream(6, "narrow"), 4, 30, 5)
    for chain in (0, 4):
        kernel, _ = products_for(catalogue.get("dadda8"), LEFT, RIGHT, (0, 0), CurableAccumulator(14, (7,), chain))
        other, _ = products_for(catalogue.get("dadda8"), LEFT, RIGHT, (0, 0), accumulator("ripple14", chain=chain))
        assert torch.equal(kernel.matmul(a, w), other.matmul(a, w))
        assert not torch.equal(kernel.matmul(a, w).double(), a.double() @ w.double())


def test_partial_sums_end_in_the_kernel_s_sum():
    found = accumulator("aca18_5", "saturate")
    a, w = operands(stream(7, "partial"), 4, 25, 6)
    kernel, _ = products_for(catalogue.get("dadda8"), LEFT, RIGHT, (0, 0), found)
    products = np.einsum("mk,kn->kmn", a.long().numpy(), w.long().numpy())
    states = partial_sums(found.stage, products)
    assert np.array_equal(states[-1], kernel.matmul(a, w).long().numpy())
    assert np.array_equal(states[0], products[0])


def test_batches_and_empty_operands():
    kernel, _ = products_for(catalogue.get("dadda8"), (0, 15), (-7, 7), (4, 4), accumulator("loa12_3"))
    rng = stream(8, "batches")
    a = torch.from_numpy(rng.integers(0, 16, (2, 1, 4, 9))).float()
    b = torch.from_numpy(rng.integers(-7, 8, (3, 9, 5))).float()
    sums = kernel.matmul(a, b)
    assert sums.shape == (2, 3, 4, 5)
    for i in range(2):
        for j in range(3):
            assert torch.equal(sums[i, j], kernel.matmul(a[i, 0], b[j]))
    assert kernel.matmul(a[..., :0], b[:, :0]).tolist() == torch.zeros(2, 3, 4, 5).tolist()
    assert kernel.matmul(a, b[..., :0]).shape == (2, 3, 4, 0)


def test_many_rows_are_cut_into_blocks():
    """More sums than one block of words holds, in numbers that fill no block."""
    kernel, _ = products_for(catalogue.get("dadda8"), LEFT, RIGHT, (0, 0), accumulator("loa20_6"))
    a, w = operands(stream(9, "rows"), 9001, 3, 40)
    sums = kernel.matmul(a, w)
    for start in (0, 4095, 8999):
        assert torch.equal(sums[start : start + 2], kernel.matmul(a[start : start + 2], w))


def test_values_are_compared_by_content():
    assert accumulator("loa20_6") == accumulator("loa20_6")
    assert hash(accumulator("loa20_6")) == hash(accumulator("loa20_6"))
    assert accumulator("loa20_6") != accumulator("loa20_6", "saturate")
    assert CurableAccumulator(24, (12,)) == CurableAccumulator(24, (12,))


def test_impossible_values():
    with pytest.raises(PlanError, match="chains of -1"):
        accumulator("ripple20", chain=-1)
    with pytest.raises(PlanError, match="chains of -1"):
        CurableAccumulator(20, (10,), -1)
    with pytest.raises(CircuitError, match="choose one of"):
        accumulator("ripple20", "clip")
    kernel, _ = products_for(catalogue.get("dadda8"), LEFT, RIGHT, (0, 0), accumulator("loa46_6", chain=1))
    with pytest.raises(PlanError, match="use longer chains"):
        kernel.prepare(torch.zeros(1, 9))
