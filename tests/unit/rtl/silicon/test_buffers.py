"""Buffers: the same function with few gates behind every output."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.circuits.cells import default_library
from laxity.circuits.netlist import ONE, ZERO, Gate, Port
from laxity.rtl.silicon.buffers import MOST, buffered
from laxity.rtl.silicon.netlist import FlipFlop, Netlist
from laxity.rtl.silicon.timing import Timing


def fan_out(netlist):
    return Counter(net for gate in netlist.gates for net in gate.inputs if net not in (ZERO, ONE))


@given(seed=st.integers(0, 2**20), most=st.integers(2, 5))
@settings(max_examples=30, deadline=None)
def test_random_designs_compute_the_same(designs, seed, most):
    """Every net that was there before has the value that it had, in every cycle of the plainest simulation."""
    plain = designs.random_netlist(seed)
    made = buffered(plain, most)
    assert max(fan_out(made).values()) <= most
    assert [g for g in made.gates if g.cell != "BUF"] == [
        g.__class__(g.cell, m.inputs, g.outputs, g.block)
        for g, m in zip(
            (g for g in plain.gates if g.cell != "BUF"), (g for g in made.gates if g.cell != "BUF"), strict=True
        )
    ]
    held = {f.q: (f.q * 7919 + seed) % 2 for f in plain.flip_flops}
    held |= {net: (net * 31 + seed) % 3 % 2 for memory in plain.memories for net in memory.data}
    contents = [[(seed + k) % (1 << m.bits) for k in range(m.words)] for m in plain.memories]
    both = [designs.Plain(netlist, held, contents) for netlist in (plain, made)]
    nets = [net for port in plain.inputs for net in port.nets]
    for cycle in range(6):
        for one in both:
            one.settle({net: (net + cycle * seed) % 2 for net in nets})
        assert all(both[1].nets[net] == value for net, value in both[0].nets.items())
        for one in both:
            one.clock()


@pytest.mark.parametrize(("sinks", "buffers"), [(16, 0), (17, 2), (32, 2), (33, 3), (256, 16), (257, 17 + 2)])
def test_as_many_buffers_as_the_tree_has(sinks, buffers):
    """A register that drives inverters: a level of sinks / 16 buffers, and another one where these are too many."""
    gates = tuple(Gate("INV", (3,), (4 + k,), "far") for k in range(sinks))
    flip_flop = FlipFlop(2, 3, "r", "near")
    netlist = Netlist("tree", (Port("x", (2,)),), (Port("y", (4,)),), (flip_flop,), (), gates)
    made = buffered(netlist)
    added = [g for g in made.gates if g.cell == "BUF"]
    assert len(added) == buffers
    assert {g.block for g in added} <= {"near"}
    counts = fan_out(made)
    assert max(counts.values()) <= MOST
    if buffers == 2:
        assert sorted(counts[g.outputs[0]] for g in added) == [sinks // 2, -(-sinks // 2)]


def test_nets_that_drive_few_gates_stay_as_they_are(designs):
    plain = designs.random_netlist(3)
    assert buffered(plain, 10**6).gates == plain.gates


def test_a_wide_enable_becomes_faster():
    gates = (Gate("INV", (2,), (3,), ""), *(Gate("NAND2", (2, 3), (4 + k,), "") for k in range(512)))
    netlist = Netlist("wide", (Port("x", (2,)),), (Port("y", (515,)),), (), (), gates)
    before, after = (Timing(n, default_library(), ()).critical_path().delay_ns for n in (netlist, buffered(netlist)))
    assert after < before / 3
