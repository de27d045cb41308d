import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.core.demand import Demand
from laxity.core.op import Op, Site
from laxity.targets.reuse import SpatialArray, mapping, reuse


def product(groups=1, rows=1, reduction=1, columns=1, calls=1, **changes):
    op = Op("conv2d", (reduction * groups, rows), (columns * groups, reduction), (columns * groups, rows),
            groups, rows, reduction, columns, calls)  # fmt: skip
    return replace(Demand.of(Site("site", op, (), "site")), **changes)


def slices(total, size):
    return [range(start, min(start + size, total)) for start in range(0, total, size)]


def walk(d, array):
    """The loop nest, product by product: which element computes it and what its registers must first receive."""
    k = math.ceil(d.reduction / array.rows)
    k = min(k, array.input_words)
    at_once = min(array.columns, d.rows)
    blocks = array.columns // at_once
    p = min(array.sum_words, array.weight_words // k, math.ceil(d.columns / blocks))
    names = ("cycles", "weight_fills", "input_fills", "sum_hops", "weight_reads", "input_reads", "spills", "products")
    totals = dict.fromkeys(names, 0)
    for _ in range(d.groups * d.calls):
        for outputs in slices(d.columns, p * blocks):
            read = set()
            for number, indices in enumerate(slices(d.reduction, k * array.rows)):
                row_of = {index: i // k for i, index in enumerate(indices)}
                block_of = {n: i // p for i, n in enumerate(outputs)}
                weights = {(row_of[i], block_of[n], c, i, n) for i in indices for n in outputs for c in range(at_once)}
                totals["weight_fills"] += len(weights)
                totals["weight_reads"] += len({(i, n) for _, _, _, i, n in weights})
                for positions in slices(d.rows, at_once):
                    held, work = set(), {}
                    for c, m in enumerate(positions):
                        for i in indices:
                            read.add((m, i))
                            for n in outputs:
                                where = (row_of[i], block_of[n], c)
                                assert (*where, i, n) in weights
                                held.add((*where, i))
                                work[where] = work.get(where, 0) + 1
                        for _ in outputs:
                            totals["sum_hops"] += len(set(row_of.values())) - 1
                            totals["spills"] += number > 0
                    totals["input_fills"] += len(held)
                    totals["cycles"] += max(work.values())
                    totals["products"] += sum(work.values())
                    assert all(r < array.rows and b * at_once + c < array.columns for r, b, c in work)
            totals["input_reads"] += len(read)
    return totals


sizes = st.integers(1, 9)


@settings(max_examples=80, deadline=None)
@given(sizes, sizes, sizes, st.integers(1, 2), st.integers(1, 2), st.integers(1, 4), st.integers(1, 5),
       st.integers(1, 3), st.integers(3, 8), st.integers(1, 4))  # fmt: skip
def test_closed_form_equals_the_loop_nest(rows, reduction, columns, groups, calls, h, w, inputs, weights, sums):
    d = product(groups, rows, reduction, columns, calls)
    array = SpatialArray(h, w, inputs, weights, sums)
    counts, walked = reuse(d, array), walk(d, array)
    assert walked["products"] == d.macs
    assert counts.cycles == walked["cycles"]
    assert counts.weight_fills == walked["weight_fills"]
    assert counts.input_fills == walked["input_fills"]
    assert counts.sum_hops == walked["sum_hops"]
    assert counts.weight_reads == walked["weight_reads"]
    assert counts.input_reads == walked["input_reads"]
    assert counts.sum_spills == walked["spills"]
    assert 0 < counts.utilisation <= 1


def distinct_inputs(channels, size, kernel, stride):
    """Input elements that the windows of a convolution without padding touch, counted one by one."""
    places = range(0, size - kernel + 1, stride)
    return len(
        {(c, y + r, x + s) for y in places for x in places for c in range(channels) for r in range(kernel)
         for s in range(kernel)}
    )  # fmt: skip


@pytest.mark.parametrize(("kernel", "stride", "size"), [(3, 1, 8), (3, 1, 5), (1, 1, 6), (2, 2, 8), (5, 1, 9)])
def test_a_convolution_reads_each_input_once_per_output_tile(kernel, stride, size):
    out = (size - kernel) // stride + 1
    op = Op("conv2d", (4, size, size), (50, 4, kernel, kernel), (50, out, out), 1, out * out, 4 * kernel**2, 50)
    d = Demand.of(Site("conv", op, (), "conv"))
    array = SpatialArray(16, 16, 12, 224, 24)
    assert reuse(d, array).input_reads == distinct_inputs(4, size, kernel, stride) * mapping(d, array).output_tiles


def test_a_matrix_times_a_vector_uses_all_columns():
    lie = mapping(product(rows=1, reduction=512, columns=64), SpatialArray(16, 16, 12, 224, 24))
    assert (lie.positions, lie.blocks) == (1, 16)
    assert reuse(product(rows=1, reduction=192, columns=64), SpatialArray(16, 16, 12, 224, 24)).utilisation == 1


def test_hand_counted_three_by_three_convolution():
    # 27 products on 16 rows: 2 per element, 14 rows in use; 8 outputs in one block; 64 positions in 4 steps.
    d = product(rows=64, reduction=27, columns=8)
    counts = reuse(d, SpatialArray(16, 16, 12, 224, 24))
    assert counts.cycles == 4 * 2 * 8
    assert counts.weight_fills == 27 * 8 * 16
    assert counts.input_fills == 64 * 27
    assert counts.sum_hops == 64 * 8 * 13
    assert counts.sum_spills == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 2000), st.integers(1, 300), st.integers(1, 300))
def test_more_work_never_moves_less(rows, reduction, columns, more):
    array = SpatialArray(16, 16, 12, 224, 24)
    d = product(rows=rows, reduction=reduction, columns=columns)
    longer = product(rows=rows + more, reduction=reduction, columns=columns)
    few, many = reuse(d, array), reuse(longer, array)
    assert many.weight_fills >= few.weight_fills
    assert many.weight_reads == few.weight_reads
    assert many.cycles * 256 >= longer.macs
