"""Kernels beyond tables: closed forms and composed products against whole numbers of Python."""

import itertools

import numpy as np
import pytest
import torch

from laxity.circuits import catalogue
from laxity.circuits.wide import ComposedMultiplier, wide
from laxity.core.errors import PlanError
from laxity.kernels import Geometry
from laxity.kernels.factored import FactoredProducts
from laxity.kernels.products import WeightOperand
from laxity.kernels.wide import ComposedProducts, FormulaProducts, closed_factors, integer_products

UNSIGNED, SIGNED = (0, 65535), (-32767, 32767)
NARROW = {(0, 4095): 12, (-2047, 2047): 12, UNSIGNED: 16, SIGNED: 16, (-127, 127): 8}


def signed_product(core, a, w, shifts):
    """One product of two codes from the definition, in whole numbers of Python."""
    x, y = abs(a) << shifts[0], abs(w) << shifts[1]
    if isinstance(core, ComposedMultiplier):
        n, m, table = core.part.a_bits, core.part.b_bits, core.part.table
        magnitude = 0
        for i, j in itertools.product(range(-(-x.bit_length() // n)), range(-(-y.bit_length() // m))):
            part = int(table[(x >> (i * n)) & (2**n - 1), (y >> (j * m)) & (2**m - 1)])
            magnitude += part << (i * n + j * m)
    else:
        magnitude = int(core.product(np.array([x]), np.array([y]))[0])
    return -magnitude if (a < 0) != (w < 0) else magnitude


def draw(code_range, shape, seed):
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(code_range[0], code_range[1] + 1, shape, generator=generator)
    codes.view(-1)[:3] = torch.tensor([code_range[0], code_range[1], 0])
    return codes.to(torch.float32)


def expected_matmul(core, left, right, shifts):
    rows, columns = left.to(torch.int64).tolist(), right.T.to(torch.int64).tolist()
    return [
        [sum(signed_product(core, a, w, shifts) for a, w in zip(row, column, strict=True)) for column in columns]
        for row in rows
    ]


EXACT_FOR_ZERO = ("dadda16", "drum16_6", "optrunc16_5", "roba16", "udm16", "coltrunc16_9", "mitchell16", "boothi16_8")
CORES = [wide(n) for n in (*EXACT_FOR_ZERO, "coltruncc16_9", "boothii16_8")]
COMPOSED = [ComposedMultiplier(catalogue.get(n)) for n in ("dadda8", "drum8_4", "mitchell8", "udm4")]


def shifts_of(core, left, right):
    bits = NARROW[left], NARROW[right]
    if isinstance(core, ComposedMultiplier):
        pieces = core.pieces(*bits)
        return pieces[0] * core.part.a_bits - bits[0], pieces[1] * core.part.b_bits - bits[1]
    return core.a_bits - bits[0], core.b_bits - bits[1]


@pytest.mark.parametrize("core", [*CORES, *COMPOSED], ids=lambda c: f"{type(c).__name__[0]}-{c.name}")
@pytest.mark.parametrize(("left", "right"), [(UNSIGNED, SIGNED), (SIGNED, SIGNED), ((0, 4095), (-127, 127))])
def test_products_are_exact(core, left, right):
    shifts = shifts_of(core, left, right)
    kernel, unshift = integer_products(core, left, right, shifts, None)
    assert unshift == 2.0 ** -sum(shifts)
    a, w = draw(left, (5, 6), 1), draw(right, (6, 4), 2)
    wanted = expected_matmul(core, a, w, shifts)
    assert kernel.matmul(a, w).tolist() == wanted
    operand = kernel.prepare(w.T[:, :, None].contiguous())
    sums = kernel.convolve(a[:, :, None], operand, Geometry((1,), (1,), 1))
    assert sums[:, :, 0].tolist() == wanted


@pytest.mark.parametrize("core", [CORES[1], CORES[6], COMPOSED[1]], ids=lambda c: c.name)
def test_grouped_strided_convolution(core):
    kernel, _ = integer_products(core, UNSIGNED, SIGNED, (0, 0), None)
    codes, weight = draw(UNSIGNED, (2, 4, 7, 6), 3), draw(SIGNED, (6, 2, 3, 2), 4)
    geometry = Geometry((2, 1), (1, 2), 2)
    sums = kernel.convolve(codes, kernel.prepare(weight), geometry)
    assert sums.shape == (2, 6, 3, 4)
    x, w = codes.to(torch.int64).tolist(), weight.to(torch.int64).tolist()
    for n, o, p, q in itertools.product(range(2), range(6), range(3), range(4)):
        total = 0
        for c, i, j in itertools.product(range(2), range(3), range(2)):
            total += signed_product(core, x[n][(o // 3) * 2 + c][2 * p + i][q + 2 * j], w[o][c][i][j], (0, 0))
        assert sums[n, o, p, q] == total


@pytest.mark.parametrize("core", [CORES[-1], COMPOSED[2]], ids=lambda c: c.name)
def test_batched_matmul(core):
    kernel, _ = integer_products(core, SIGNED, SIGNED, (0, 0), None)
    a, w = draw(SIGNED, (2, 3, 4, 5), 5), draw(SIGNED, (3, 5, 2), 6)
    got = kernel.matmul(a, w)
    for i, j in itertools.product(range(2), range(3)):
        assert got[i, j].tolist() == expected_matmul(core, a[i, j], w[j], (0, 0))


def test_chunks_do_not_show(monkeypatch):
    kernel = FormulaProducts(SIGNED, SIGNED, wide("mitchell16"), (0, 0))
    a, w = draw(SIGNED, (40, 9), 7), draw(SIGNED, (9, 3), 8)
    whole = kernel.matmul(a, w)
    monkeypatch.setattr("laxity.kernels.pairwise._CHUNK", 50)
    assert torch.equal(kernel.matmul(a, w), whole)


def test_empty_operands():
    kernel = FormulaProducts(SIGNED, SIGNED, wide("mitchell16"), (0, 0))
    assert kernel.matmul(torch.zeros(0, 3), torch.zeros(3, 2)).shape == (0, 2)
    assert kernel.matmul(torch.zeros(0, 2, 3), torch.zeros(0, 3, 2)).shape == (0, 2, 2)


def test_kernels_by_structure():
    def kernel(core):
        return integer_products(core, UNSIGNED, SIGNED, (0, 0), None)[0]

    assert kernel(wide("dadda16")).describe() == "exact product"
    assert kernel(wide("drum16_6")).describe() == "1 integer factor term"
    assert kernel(wide("udm16")).describe() == "2 integer factor terms"
    assert kernel(wide("mitchell16")).describe() == "closed form, pair by pair"
    assert kernel(COMPOSED[1]).describe().startswith("2 x 2 parts, each by ")
    assert isinstance(kernel(wide("roba16")), FactoredProducts)
    assert isinstance(kernel(COMPOSED[0]), ComposedProducts)


def test_misuse_is_refused():
    class Wrapping:
        def products(self, table, left, right):
            raise AssertionError

    with pytest.raises(PlanError, match="'dadda16' works without a table here"):
        integer_products(wide("dadda16"), UNSIGNED, SIGNED, (0, 0), Wrapping())
    with pytest.raises(PlanError, match=r"codes 0\.\.65535 shifted by 1 do not fit the 16-bit operand of 'drum16_6'"):
        closed_factors(wide("drum16_6"), UNSIGNED, SIGNED, (1, 0))
    with pytest.raises(PlanError, match="'drum16_6' is a sum of products"):
        FormulaProducts(UNSIGNED, SIGNED, wide("drum16_6"), (0, 0))
    kernel = ComposedProducts(UNSIGNED, SIGNED, COMPOSED[0], (0, 0))
    with pytest.raises(PlanError, match="must come from their own prepare"):
        kernel.convolve(torch.zeros(1, 1, 1), WeightOperand(torch.zeros(1), (1, 1, 1), 0.0), Geometry((1,), (1,), 1))
