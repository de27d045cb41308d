"""Product kernels: both agree with sums over the table, and factorisations are exact or refused."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.circuits import Multiplier, catalogue
from laxity.core.errors import PlanError
from laxity.kernels import Geometry, products_for
from laxity.kernels.analysis import Factorisation, factorise, reduce_table, signed_table
from laxity.kernels.factored import FactoredProducts
from laxity.kernels.gather import GatherProducts
from laxity.kernels.geometry import overlap_add

RANGES = st.sampled_from([(0, 15), (-7, 7), (0, 3), (-1, 1), (0, 255), (-127, 127)])
MOST = 8


def size(code_range):
    return code_range[1] - code_range[0] + 1


def rebuilt(found):
    return sum(np.multiply.outer(a, w) for a, w in zip(found.left, found.right, strict=True))


@settings(deadline=None, max_examples=60)
@given(left=RANGES, right=RANGES, rank=st.integers(0, 5), seed=st.integers(0, 1000), around=st.booleans())
def test_sums_of_few_products_are_found_exactly(left, right, rank, seed, around):
    """A table of low rank, or the exact product with an error of low rank, either factors exactly or is refused."""
    rng = np.random.default_rng(seed)
    a = rng.integers(-9, 10, (rank, size(left)))
    w = rng.integers(-9, 10, (rank, size(right)))
    table = np.einsum("ri,rj->ij", a, w)
    if around:
        table = table + np.multiply.outer(np.arange(left[0], left[1] + 1), np.arange(right[0], right[1] + 1))
    found = factorise(table, left, right, MOST)
    if found is not None:
        assert found.terms <= MOST
        assert found.left.dtype == found.right.dtype == np.int64
        assert np.array_equal(rebuilt(found), table) if found.terms else not table.any()


def test_bitwise_tables_are_found():
    """Truncation by bits has integer rows at powers of two, so these must factor, not merely may."""
    for name in ("optrunc8_2", "bam8_0_2", "coltrunc8_3", "udm8"):
        table = signed_table(catalogue.get(name), (0, 255), (-127, 127))
        found = factorise(table, (0, 255), (-127, 127), MOST)
        assert found is not None, name
        assert np.array_equal(rebuilt(found), table)


@settings(deadline=None, max_examples=40)
@given(left=RANGES, right=RANGES, seed=st.integers(0, 1000))
def test_full_tables_are_refused_or_exact(left, right, seed):
    table = np.random.default_rng(seed).integers(-999, 1000, (size(left), size(right)))
    found = factorise(table, left, right, MOST)
    if found is None:
        assert np.linalg.matrix_rank(table.astype(float)) > 1
    else:
        assert np.array_equal(rebuilt(found), table)


def test_exact_product_is_one_term():
    found = factorise(np.multiply.outer(np.arange(-7, 8), np.arange(16)), (-7, 7), (0, 15), MOST)
    assert found is not None
    assert found.terms == 1
    assert found.left[0].tolist() == list(range(-7, 8))


def test_more_terms_than_allowed_are_refused():
    rng = np.random.default_rng(0)
    table = rng.integers(-50, 50, (16, 3)) @ rng.integers(-50, 50, (3, 16))
    assert factorise(table, (0, 15), (0, 15), 2) is None


@settings(deadline=None, max_examples=60)
@given(
    name=st.sampled_from(catalogue.names()),
    bits=st.tuples(st.integers(2, 8), st.integers(2, 8)),
    negative=st.tuples(st.booleans(), st.booleans()),
)
def test_signed_table_is_the_circuit_on_magnitudes(name, bits, negative):
    circuit = catalogue.get(name)
    shifts = (8 - bits[0], 8 - bits[1])
    ranges = [
        (-(2 ** (b - 1)) + 1, 2 ** (b - 1) - 1) if n else (0, 2**b - 1) for b, n in zip(bits, negative, strict=True)
    ]
    table = signed_table(circuit, *ranges, shifts)
    assert table.shape == (size(ranges[0]), size(ranges[1]))
    for i, j in np.random.default_rng(0).integers(0, table.shape, (40, 2)):
        a, w = int(ranges[0][0] + i), int(ranges[1][0] + j)
        product = int(circuit.table[abs(a) << shifts[0], abs(w) << shifts[1]])
        assert table[i, j] == (-product if (a < 0) != (w < 0) else product)


def test_codes_outside_the_circuit_are_refused():
    circuit = catalogue.get("dadda4")
    for left, right, what in (
        ((0, 16), (0, 15), "activation codes 0..16"),
        ((0, 15), (-16, 16), "weight codes -16..16"),
    ):
        with pytest.raises(PlanError, match=rf"{what} do not fit the 4-bit operand of 'dadda4'; choose fewer bits"):
            signed_table(circuit, left, right)
    signed = catalogue.get("dadda4s")
    with pytest.raises(PlanError, match=r"activation codes 0..8 do not fit the 4-bit operand"):
        signed_table(signed, (0, 8), (-7, 7))
    assert np.array_equal(signed_table(signed, (-8, 7), (-8, 7)), np.multiply.outer(np.arange(-8, 8), np.arange(-8, 8)))


@given(seed=st.integers(0, 100), shift=st.integers(0, 6), twos=st.integers(0, 4))
def test_common_factors_of_two_are_divided_out(seed, shift, twos):
    table = np.random.default_rng(seed).integers(-20, 20, (5, 6)) << twos
    small, left = reduce_table(table, shift)
    assert np.array_equal(small << (shift - left), table)
    assert left == 0 or (small & 1).any()


def pair(rank, left, right, seed):
    """The same random table of known rank as a factored and as a look-up kernel."""
    rng = np.random.default_rng(seed)
    a, w = rng.integers(-5, 6, (rank, size(left))), rng.integers(-5, 6, (rank, size(right)))
    a[0], w[0] = np.arange(left[0], left[1] + 1), np.arange(right[0], right[1] + 1)
    table = np.einsum("ri,rj->ij", a, w)
    return FactoredProducts(left, right, Factorisation(a, w)), GatherProducts(left, right, table), table


def random_codes(rng, code_range, shape):
    return torch.from_numpy(rng.integers(code_range[0], code_range[1] + 1, shape).astype(np.float32))


@settings(deadline=None, max_examples=50)
@given(data=st.data(), left=RANGES, right=RANGES, rank=st.integers(1, 3), seed=st.integers(0, 100))
def test_kernels_agree_on_convolutions(data, left, right, rank, seed):
    factored, lookup, table = pair(rank, left, right, seed)
    rng = np.random.default_rng(seed)
    dims, groups = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    inputs, outputs = data.draw(st.integers(1, 2)), groups * data.draw(st.integers(1, 5))
    kernel = tuple(data.draw(st.integers(1, 3)) for _ in range(dims))
    geometry = Geometry(
        tuple(data.draw(st.integers(1, 3)) for _ in range(dims)),
        tuple(data.draw(st.integers(1, 2)) for _ in range(dims)),
        groups,
    )
    spatial = tuple(
        1 + d * (k - 1) + data.draw(st.integers(0, 3)) for d, k in zip(geometry.dilation, kernel, strict=True)
    )
    codes = random_codes(rng, left, (data.draw(st.integers(0, 2)), groups * inputs, *spatial))
    weight = random_codes(rng, right, (outputs, inputs, *kernel))
    one = factored.convolve(codes, factored.prepare(weight), geometry)
    other = lookup.convolve(codes, lookup.prepare(weight), geometry)
    assert one.shape == other.shape == geometry.convolve(codes, weight).shape
    assert torch.equal(one.double(), other.double())
    if len(codes):
        first = [codes[0, :inputs]]
        window = tuple(slice(0, 1 + d * (k - 1), d) for d, k in zip(geometry.dilation, kernel, strict=True))
        a = (first[0][(slice(None), *window)].numpy() - left[0]).astype(int)
        w = (weight[0].numpy() - right[0]).astype(int)
        assert one[(0, 0, *([0] * dims))] == table[a, w].sum()


@settings(deadline=None, max_examples=40)
@given(
    left=RANGES,
    right=RANGES,
    seed=st.integers(0, 100),
    shapes=st.sampled_from(
        [((3, 4), (4, 5)), ((2, 3, 4), (4, 2)), ((2, 3, 4), (2, 4, 5)), ((2, 1, 3, 4), (3, 4, 2)), ((0, 3, 4), (4, 2))]
    ),
)
def test_kernels_agree_on_matrix_products(left, right, seed, shapes):
    factored, lookup, table = pair(2, left, right, seed)
    rng = np.random.default_rng(seed)
    a, b = random_codes(rng, left, shapes[0]), random_codes(rng, right, shapes[1])
    one, other = factored.matmul(a, b), lookup.matmul(a, b)
    assert torch.equal(one.double(), other.double())
    assert one.shape == torch.matmul(a, b).shape
    flat_a, flat_b = a.reshape(-1, *a.shape[-2:]), b.reshape(-1, *b.shape[-2:])
    if len(flat_a):
        rows = [(flat_a[0, :1].T.numpy() - left[0]).astype(int), (flat_b[0, :, :1].numpy() - right[0]).astype(int)]
        assert one.reshape(-1)[0] == table[rows[0], rows[1]].sum()


def test_lookup_in_chunks_equals_lookup_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    _, lookup, _ = pair(2, (0, 15), (-7, 7), 0)
    geometry = Geometry((1, 1), (1, 1), 1)
    codes = random_codes(rng, (0, 15), (3, 4, 8, 8))
    for outputs in (2, 6):
        weight = lookup.prepare(random_codes(rng, (-7, 7), (outputs, 4, 3, 3)))
        whole = lookup.convolve(codes, weight, geometry)
        with monkeypatch.context() as patch:
            patch.setattr("laxity.kernels.gather._CHUNK", 500)
            assert torch.equal(lookup.convolve(codes, weight, geometry), whole)


def test_kernels_say_what_they_are():
    def described(name):
        kernel, _ = products_for(catalogue.get(name), (0, 255), (-127, 127))
        return getattr(kernel, "elsewhere", kernel).describe()

    assert described("dadda8") == described("array8") == "exact product"
    assert "factor terms" in described("udm8")
    assert described("mitchell8") == "table look-up"


def test_equal_tables_share_a_kernel():
    circuit = catalogue.get("mitchell8")
    renamed = Multiplier.from_table(circuit.table, a_signed=False, b_signed=False, name="other")
    ranges = ((0, 255), (-127, 127))
    assert products_for(circuit, *ranges)[0] is products_for(renamed, *ranges)[0]


@settings(deadline=None, max_examples=30)
@given(data=st.data(), dims=st.integers(1, 3), seed=st.integers(0, 100))
def test_overlap_add_scatters_every_tap(data, dims, seed):
    def sizes(low, high):
        return tuple(data.draw(st.integers(low, high)) for _ in range(dims))

    kernel, stride, dilation, spatial = sizes(1, 3), sizes(1, 3), sizes(1, 2), sizes(1, 3)
    extra = tuple(data.draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    taps, outputs = int(np.prod(kernel)), 2
    columns = torch.from_numpy(np.random.default_rng(seed).integers(-99, 99, (2, outputs * taps, *spatial))).double()
    got = overlap_add(columns, kernel, stride, (0,) * dims, extra, dilation)
    size_out = [
        (n - 1) * s + d * (k - 1) + e + 1
        for n, s, d, k, e in zip(spatial, stride, dilation, kernel, extra, strict=True)
    ]
    wanted = np.zeros((2, outputs, *size_out))
    for b, o, (t, tap) in itertools.product(range(2), range(outputs), enumerate(np.ndindex(*kernel))):
        for place in np.ndindex(*spatial):
            at = tuple(p * s + k * d for p, s, k, d in zip(place, stride, tap, dilation, strict=True))
            wanted[(b, o, *at)] += columns[(b, o * taps + t, *place)].item()
    assert np.array_equal(got.numpy(), wanted)
