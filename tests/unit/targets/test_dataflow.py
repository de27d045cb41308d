import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.core.demand import Demand
from laxity.core.op import Op, Site
from laxity.targets.dataflow import ArrayShape, BufferSizes, count, traffic


def demand(groups=1, rows=1, reduction=1, columns=1, calls=1, **changes):
    op = Op("conv2d", (reduction * groups, rows), (columns * groups, reduction), (columns * groups, rows),
            groups, rows, reduction, columns, calls)  # fmt: skip
    return replace(Demand.of(Site("site", op, (), "site")), **changes)


def spans(total, step):
    return [range(start, min(start + step, total)) for start in range(0, total, step)]


def shift_in(column):
    """Push the weights of one column from below into its chain of registers; count the registers that are clocked."""
    chain, clocked = [None] * len(column), 0
    for word in column:
        for register in range(len(chain)):
            chain[register] = chain[register + 1] if register + 1 < len(chain) else word
            clocked += 1
    assert chain == list(column)
    return clocked


def simulate(d, shape):
    """Walk over every tile and let the wavefront run: activation m meets row r and column c in cycle m + r + c."""
    names = ("cycles", "passes", "a_moves", "s_moves", "w_moves", "a_words", "s_words", "weights")
    totals = dict.fromkeys(names, 0)
    for _ in range(d.calls * d.groups):
        for chunk, n_tile, k_tile in itertools.product(
            spans(d.rows, shape.accumulator_words), spans(d.columns, shape.columns), spans(d.reduction, shape.rows)
        ):
            loading = shape.rows
            last_event = max(
                m + r + c for m in range(len(chunk)) for r in range(shape.rows) for c in range(shape.columns)
            )
            totals["cycles"] += loading + last_event + 1
            totals["passes"] += 1
            totals["weights"] += len(k_tile) * len(n_tile)
            totals["w_moves"] += sum(shift_in([(k, n) for k in k_tile]) for n in n_tile)
            held = np.zeros((shape.rows, shape.columns), dtype=bool)
            held[shape.rows - len(k_tile) :, : len(n_tile)] = True
            for _ in chunk:
                totals["a_words"] += len(k_tile)
                totals["s_words"] += len(n_tile)
                for r, c in itertools.product(range(shape.rows), range(shape.columns)):
                    totals["a_moves"] += held[r, c:].any()  # a weight to the right still waits for the activation
                    totals["s_moves"] += held[: r + 1, c].any()  # a weight above has begun the sum
    return totals


sizes = st.integers(1, 9)


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, sizes, st.integers(1, 3), st.integers(1, 2), *[st.integers(1, 4)] * 3)
def test_closed_form_equals_walk_over_tiles(rows, reduction, columns, groups, calls, r, c, depth):
    d = demand(groups, rows, reduction, columns, calls)
    shape = ArrayShape(r, c, depth)
    counts, walked = count(d, shape), simulate(d, shape)
    assert counts.cycles == walked["cycles"]
    assert counts.tile_passes == walked["passes"]
    assert counts.activation_words == walked["a_words"]
    assert counts.activation_moves == walked["a_moves"]
    assert counts.accumulator_words == walked["s_words"]
    assert counts.sum_moves == walked["s_moves"]
    assert counts.weight_moves == walked["w_moves"]
    assert counts.weight_passes * d.weight_elements == walked["weights"]
    assert 0 < counts.utilisation <= 1


def test_one_chunk_is_the_published_fold_time():
    # 2 S_R + S_C + T - 2 for a 16 x 16 array and 1024 positions, 9 x 1 folds of a 3 x 3 convolution from 16 to 16.
    counts = count(demand(rows=1024, reduction=144, columns=16), ArrayShape(16, 16, 1024))
    assert counts.cycles == 9 * (2 * 16 + 16 + 1024 - 2)


def test_a_tiny_layer_clocks_as_much_on_any_array_that_holds_it():
    d = demand(rows=9, reduction=5, columns=6)
    small, large = count(d, ArrayShape(5, 6, 512)), count(d, ArrayShape(32, 32, 512))
    for counts in (small, large):
        assert (counts.activation_moves, counts.sum_moves, counts.weight_moves) == (270, 270, 150)
    assert large.cycles > small.cycles


def test_utilisation_tends_to_one_for_long_streams_and_is_poor_for_depthwise():
    shape = ArrayShape(16, 16, 1 << 20)
    assert count(demand(rows=1 << 20, reduction=16, columns=16), shape).utilisation > 0.9999
    depthwise = count(demand(groups=16, rows=1 << 20, reduction=9, columns=1), shape)
    assert depthwise.utilisation == pytest.approx(9 / 256, rel=1e-3)


def test_skipped_macs_do_not_shorten_the_run():
    full, half = demand(rows=8, reduction=4, columns=4), demand(rows=8, reduction=4, columns=4, macs=64.0)
    shape = ArrayShape(4, 4, 64)
    assert count(half, shape).cycles == count(full, shape).cycles
    assert count(half, shape).utilisation == count(full, shape).utilisation / 2


def one_by_one():
    """A 1 x 1 convolution of a 3 x 3 picture: 5 channels in, 6 out, on a 4 x 4 array: 2 x 2 tiles of 9 positions."""
    return demand(rows=9, reduction=5, columns=6)


def moved(d, weight_bits=1 << 20, activation_bits=1 << 20, depth=16):
    shape = ArrayShape(4, 4, depth)
    return traffic([d], [count(d, shape)], BufferSizes(weight_bits, activation_bits))[0]


def test_hand_counted_one_by_one_convolution():
    counts = count(one_by_one(), ArrayShape(4, 4, 16))
    assert counts.cycles == 4 * (4 + 9 + 6)
    assert counts.activation_words == 9 * 5 * 2
    assert counts.accumulator_words == 9 * 6 * 2
    t = moved(one_by_one())
    assert t.weight_read_bits == 5 * 6 * 8
    assert t.weight_write_bits == t.dram_weight_bits == 0
    assert t.activation_read_bits == 90 * 8
    assert t.activation_write_bits == (54 + 45) * 8
    assert t.dram_boundary_bits == (54 + 45) * 8
    assert t.dram_spill_bits == 0
    assert t.dram_bits == 99 * 8


def test_hand_counted_with_two_chunks_reads_weights_twice():
    counts = count(one_by_one(), ArrayShape(4, 4, 5))
    assert counts.cycles == 4 * (9 + 2 * 10)
    assert moved(one_by_one(), depth=5).weight_read_bits == 2 * 5 * 6 * 8


def test_weights_beyond_the_buffer_are_streamed_in_proportion_to_storage():
    first, second = demand(rows=2, reduction=10, columns=10), demand(rows=2, reduction=10, columns=30)
    shape = ArrayShape(4, 4, 16)
    counts = [count(d, shape) for d in (first, second)]
    t = traffic([first, second], counts, BufferSizes(1600, 1 << 20))
    assert [x.dram_weight_bits for x in t] == [400, 1200]  # 3200 stored - 1600 resident, split 100 : 300
    assert t[0].weight_write_bits == 400
    assert all(x.dram_weight_bits == 0 for x in traffic([first, second], counts, BufferSizes(3200, 1 << 20)))


def test_activations_beyond_the_buffer_are_written_and_read_once():
    t = moved(one_by_one(), activation_bits=700)
    assert t.dram_spill_bits == 2 * (99 * 8 - 700)
    assert t.dram_boundary_bits == 99 * 8


def test_spill_is_judged_per_call():
    repeated = demand(rows=9, reduction=5, columns=6, calls=3)
    assert moved(repeated, activation_bits=99 * 8).dram_spill_bits == 0
    assert moved(repeated, activation_bits=99 * 8 - 1).dram_spill_bits == 6


def test_only_the_ends_of_the_network_cross_dram():
    d = one_by_one()
    n = count(d, ArrayShape(4, 4, 16))
    t = traffic([d, d, d], [n] * 3, BufferSizes(1 << 20, 1 << 20))
    assert [x.dram_boundary_bits for x in t] == [45 * 8, 0, 54 * 8]


def test_product_of_two_activations_reads_both_from_the_activation_buffer():
    d = replace(one_by_one(), kind="matmul", weight_elements=0, weight_nonzeros=0, weight_bits=6)
    t = moved(d)
    assert t.weight_read_bits == 0
    assert t.activation_read_bits == 90 * 8 + 30 * 6


def test_compressed_weights_read_their_indices():
    d = replace(one_by_one(), weight_nonzeros=10, index_bits=4)
    assert moved(d).weight_read_bits == 10 * (8 + 4)
