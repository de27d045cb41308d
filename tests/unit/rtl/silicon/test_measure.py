"""The measurement of an accelerator: energies against all settled values of all cycles, and what is written."""

import itertools
import json

import numpy as np
import pytest

from laxity.circuits import default_library
from laxity.core.errors import ConfigError
from laxity.eda.run import ToolRunError
from laxity.rtl.silicon import measure_accelerator, write_silicon
from laxity.rtl.silicon.energy import by_row, toggle_energies_fj
from laxity.rtl.silicon.measure import FILE
from laxity.rtl.silicon.samples import Samples
from laxity.rtl.silicon.testbench import run_netlist
from laxity.rtl.silicon.vectors import read_vectors

STEP_KEYS = ["name", "kind", "cycles", "logic_pj", "logic_glitch_pj", "logic_glitch_low_pj", "logic_glitch_high_pj"]
STEP_KEYS += ["clock_pj", "memory_pj", "leakage_pj", "energy_pj"]
KEYS = ["library", "tool", "area_um2", "memory_area_um2", "delay_ns", "critical_path", "leakage_nw", "flip_flops"]
KEYS += ["parts", "memories", "images", "frequency_mhz", "steps", "energy_pj"]


@pytest.fixture(scope="module")
def measured(written, mapped, store):
    return measure_accelerator(written.folder, store=store, samples=192)


def test_logic_against_all_values_of_all_cycles(written, mapped, measured):
    values = {}

    def observe(phase, cycle, state):
        values.setdefault(phase, []).append(state.nets[:, 0].copy())

    vectors = read_vectors(written.folder)
    trace = run_netlist(mapped.netlist, vectors, pauses=False, observer=observe)
    energies = by_row(toggle_energies_fj(mapped.netlist, default_library()), trace.state.rows)
    before = None
    for phase, step in enumerate(measured.steps):
        assert len(values[phase]) == step.cycles
        spent = 0.0
        for nets in values[phase]:
            if before is not None:
                spent += float((np.bitwise_count((nets ^ before) & vectors.mask[0]) * energies).sum())
            before = nets
        if phase:  # the first transition of the first phase is that out of reset
            assert step.logic_pj == pytest.approx(spent * 1e-3 / 3)


def test_parts_of_the_energy(written, mapped, measured):
    clock_pj = 1e-3 * (16.5 + 8.22 * 1.1**2) * len(mapped.netlist.flip_flops)
    leakage_nw = sum(p.leakage_nw for p in measured.parts) + sum(m.leakage_nw for m in measured.memories)
    assert measured.leakage_nw == pytest.approx(leakage_nw)
    for step in measured.steps:
        assert step.clock_pj == pytest.approx(clock_pj * step.cycles)
        assert step.leakage_pj == pytest.approx(1e-9 * leakage_nw * step.cycles / 200e6 * 1e12)
        assert step.logic_glitch_low_pj <= step.logic_glitch_pj <= step.logic_glitch_high_pj
        assert step.logic_glitch_pj > step.logic_pj
        total = step.logic_glitch_pj + step.clock_pj + step.memory_pj + step.leakage_pj
        assert step.energy_pj == pytest.approx(total)
    assert measured.energy_pj == pytest.approx(sum(step.energy_pj for step in measured.steps))
    switched = sum(step.logic_pj for step in measured.steps)
    assert 0.5 * switched < sum(part.logic_pj for part in measured.parts) < switched
    planned = [s.counts.cycles for s in written.schedule.steps]
    assert [s.cycles for s in measured.steps if s.kind != "stream"] == planned


def test_a_slower_clock_leaks_longer(written, mapped, store, measured):
    slow = measure_accelerator(written.folder, store=store, samples=192, frequency_mhz=100.0)
    for one, other in zip(slow.steps, measured.steps, strict=True):
        assert one.leakage_pj == pytest.approx(2 * other.leakage_pj)
        assert one.logic_glitch_pj == other.logic_glitch_pj
    assert slow.frequency_mhz == 100.0


def test_more_samples_agree(written, mapped, store, measured):
    more = measure_accelerator(written.folder, store=store, samples=512, seed=7)
    for one, other in zip(more.steps, measured.steps, strict=True):
        assert one.logic_pj == pytest.approx(other.logic_pj)
        assert one.logic_glitch_pj == pytest.approx(other.logic_glitch_pj, rel=0.2)


def test_what_is_written(measured, tmp_path):
    path = write_silicon(tmp_path, measured)
    found = json.loads(path.read_text())
    assert path.name == FILE
    assert list(found) == KEYS
    assert all(list(step) == STEP_KEYS for step in found["steps"])
    assert [step["name"] for step in found["steps"]] == ["stream in", "s0", "s1", "s3", "stream out"]
    assert found["steps"][0]["kind"] == found["steps"][-1]["kind"] == "stream"
    assert {"name", "cells", "flip_flops", "area_um2", "leakage_nw"} <= set(found["parts"][0])
    assert {"name", "words", "bits", "area_um2", "read_pj", "write_pj", "leakage_nw"} <= set(found["memories"][0])
    assert found["area_um2"] == pytest.approx(sum(part["area_um2"] for part in found["parts"]))
    assert found["memory_area_um2"] == pytest.approx(sum(memory["area_um2"] for memory in found["memories"]))


def test_no_figure_of_a_wrong_network(copied, mapped, store):
    path = copied / "memory" / "result.hex"
    path.write_text("".join(f"{int(line, 16) ^ 1:08x}\n" for line in path.read_text().split()))
    with pytest.raises(ToolRunError, match="does not compute the network"):
        measure_accelerator(copied, store=store, samples=128)


@pytest.mark.parametrize("options", [{"samples": 64}, {"frequency_mhz": 0.0}, {"frequency_mhz": float("nan")}])
def test_options_that_are_refused(written, options):
    with pytest.raises(ConfigError, match="at least 128 samples"):
        measure_accelerator(written.folder, **options)


def test_samples_are_pairs_of_neighbouring_cycles(written, mapped, designs):
    vectors = read_vectors(written.folder)
    cycles = [vectors.parameters["IN_WORDS"], *(s.cycles for s in vectors.steps), 3]
    drawn, history = Samples(cycles, 3, 100, seed=1), {}

    def observe(phase, cycle, state):
        drawn.observe(phase, cycle, state)
        history[phase, cycle] = state.nets[state.rows.inputs : state.rows.gates, 0].copy()

    run_netlist(mapped.netlist, vectors, pauses=False, observer=observe)
    order = list(history.values())
    states = [[tuple((nets >> np.uint64(image) & np.uint64(1)).tolist()) for image in range(3)] for nets in order]
    follow = {(before[i], after[i]) for before, after in itertools.pairwise(states) for i in range(3)}
    assert (drawn.words, drawn.missing) == (2, 0)
    for slot in range(0, 128 * len(cycles), 7):
        before, after = (
            tuple(((planes[:, slot // 64] >> np.uint64(slot % 64)) & np.uint64(1)).tolist())
            for planes in (drawn.before, drawn.after)
        )
        assert (before, after) in follow
