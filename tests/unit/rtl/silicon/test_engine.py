"""Both engines do what the plainest simulation does, bit by bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.core.errors import ToolError
from laxity.rtl.silicon import engine as engines
from laxity.rtl.silicon.engine import make_engine, make_state

CYCLES = 12
KINDS = ("numpy", "native")


def mask_of(images):
    return np.packbits(np.arange(-(-images // 64) * 64) < images, bitorder="little").view(np.uint64)


def needed(kind):
    if kind == "native" and engines.compiled() is None:
        pytest.skip("laxity was installed without a compiler")


def run(netlist, kind, images, seed, *, same):
    """All nets after every cycle, and the state; inputs are the same for all images or drawn for each."""
    state = make_state(netlist, mask_of(images), seed)
    start = state.nets.copy(), [s.words.copy() for s in state.stores]
    engine, random, seen, driven = make_engine(state, kind), np.random.default_rng(seed), [], []
    first, last = state.rows.inputs, state.rows.flip_flops
    for _ in range(CYCLES):
        words = random.integers(0, 2**64, (last - first, state.nets.shape[1]), dtype=np.uint64)
        if same:
            words[:] = np.where(random.integers(0, 2, (last - first, 1)) > 0, ~np.uint64(0), np.uint64(0))
        changed = (state.nets[first:last] ^ words) & state.mask
        state.toggles[first:last] += np.bitwise_count(changed).sum(1, dtype=np.int64)
        state.nets[first:last] = words
        engine.settle()
        driven.append(words)
        seen.append(state.nets.copy())
        engine.clock()
    return start, driven, seen, state


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**20), images=st.sampled_from([1, 3, 64, 70, 130]), same=st.booleans())
@settings(max_examples=12, deadline=None)
def test_like_the_plainest_simulation(designs, kind, seed, images, same):
    needed(kind)
    netlist = designs.random_netlist(seed)
    (nets, contents), driven, seen, state = run(netlist, kind, images, seed, same=same)
    rows = state.rows
    inputs = [net for port in netlist.inputs for net in port.nets]
    held = [f.q for f in netlist.flip_flops] + [net for m in netlist.memories for net in m.data]
    toggles, reads, writes = np.zeros(rows.count, int), np.zeros(2, int), np.zeros(2, int)
    for image in {0, images // 2, images - 1} if images > 3 else range(images):
        plain = designs.Plain(
            netlist,
            {net: designs.bit_of(nets[rows.of_net[net]], image) for net in held},
            [
                [sum(designs.bit_of(plane, image) << bit for bit, plane in enumerate(word)) for word in words]
                for words in contents
            ],
        )
        for words, after in zip(driven, seen, strict=True):
            plain.settle({net: designs.bit_of(words[k], image) for k, net in enumerate(inputs)})
            found = {net: designs.bit_of(after[rows.of_net[net]], image) for net in plain.nets}
            assert found == plain.nets
            plain.clock()
        for index, words in enumerate(plain.contents):
            planes = state.stores[index].words
            stored = [sum(designs.bit_of(plane, image) << bit for bit, plane in enumerate(w)) for w in planes]
            assert stored == words
        reads, writes = reads + plain.reads, writes + plain.writes
        for net, count in plain.toggles.items():
            toggles[rows.of_net[net]] += count
    if images <= 3:
        assert (state.toggles == toggles).all()
        assert (state.reads == reads).all()
        assert (state.writes == writes).all()


@given(seed=st.integers(0, 2**20), images=st.sampled_from([2, 64, 100, 200]), same=st.booleans())
@settings(max_examples=15, deadline=None)
def test_both_engines_are_equal(designs, seed, images, same):
    needed("native")
    netlist = designs.random_netlist(seed, gates=80, flip_flops=15)
    (_, _, nets, one), (_, _, others, other) = (run(netlist, kind, images, seed, same=same) for kind in KINDS)
    assert all((a == b).all() for a, b in zip(nets, others, strict=True))
    assert (one.toggles == other.toggles).all()
    assert one.toggles.any()
    assert (one.reads == other.reads).all()
    assert (one.writes == other.writes).all()
    assert all((a.words == b.words).all() for a, b in zip(one.stores, other.stores, strict=True))


def test_each_image_starts_from_other_bits(designs):
    state = make_state(designs.random_netlist(3, flip_flops=64), mask_of(64), 0)
    held = state.nets[state.rows.flip_flops : state.rows.memories]
    columns = {tuple(designs.bit_of(word, image) for word in held) for image in range(64)}
    assert len(columns) == 64


def test_without_a_compiler_numpy_simulates(designs, monkeypatch):
    monkeypatch.setattr(engines, "compiled", lambda: None)
    state = make_state(designs.random_netlist(0), mask_of(1), 0)
    assert isinstance(make_engine(state), engines.NumpyEngine)
    with pytest.raises(ToolError, match=r"C\+\+17 compiler"):
        make_engine(state, "native")


def test_unknown_engine(designs):
    with pytest.raises(ToolError, match="unknown engine 'fast'"):
        make_engine(make_state(designs.random_netlist(0), mask_of(1), 0), "fast")


def test_a_module_of_another_version_is_refused(monkeypatch):
    needed("native")
    engines.compiled.cache_clear()
    monkeypatch.setattr(engines, "INTERFACE", -1)
    with pytest.raises(ToolError, match="another version of laxity"):
        engines.compiled()
    monkeypatch.undo()
    engines.compiled.cache_clear()


def test_the_compiled_engine_checks_its_arrays(designs):
    needed("native")
    state = make_state(designs.random_netlist(0), mask_of(1), 0)
    rows, module = state.rows, engines.compiled()
    fitting = [rows.groups, rows.pins, rows.next, rows.flip_flops, state.nets, state.toggles, state.mask]
    beyond = np.int32(rows.count)
    for place, wrong in (
        (0, rows.groups + beyond),
        (1, rows.pins + beyond),
        (2, rows.next + beyond),
        (3, rows.count),
        (5, state.toggles[1:].copy()),
        (6, np.zeros(2, np.uint64)),
    ):
        with pytest.raises(ValueError, match=r"range|fit"):
            module.Engine(*fitting[:place], wrong, *fitting[place + 1 :])
    store = state.stores[0]
    engine = module.Engine(*fitting)
    with pytest.raises(ValueError, match="a memory"):
        engine.add_write(*store.writes[0], state.writes)
    with pytest.raises(ValueError, match="do not fit"):
        engine.add_memory(store.address, store.data[1:].copy(), store.words, store.last, store.stale, state.reads)
    with pytest.raises(ValueError, match="out of range"):
        engine.add_memory(store.address + beyond, store.data, store.words, store.last, store.stale, state.reads)
    engine.add_memory(store.address, store.data, store.words, store.last, store.stale, state.reads)
    enable, address, data = store.writes[0]
    with pytest.raises(ValueError, match="does not fit"):
        engine.add_write(enable[1:].copy(), address, data, state.writes)
