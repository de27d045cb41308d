"""The mapped accelerator gives the integers of the network at every step, and what is wrong is found."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from laxity.core.errors import DataError, RunError
from laxity.eda.run import ToolInputError, ToolRunError
from laxity.eda.store import Store
from laxity.rtl.accelerator import Configuration, simulate, write_accelerator
from laxity.rtl.accelerator import simulate as simulation_of
from laxity.rtl.accelerator.simulate import GATES, SIMULATORS, default_simulator
from laxity.rtl.silicon import map_accelerator, mapping, simulate_gates
from laxity.rtl.silicon.check import as_simulation
from laxity.rtl.silicon.testbench import STREAM_IN, STREAM_OUT, run_netlist
from laxity.rtl.silicon.vectors import read_vectors

REPLACED = {"XOR2": "XNOR2", "XNOR2": "XOR2", "AND2": "NAND2", "NAND2": "AND2", "OR2": "NOR2", "NOR2": "OR2"}


def network(lab, multiplier):
    """Convolution with padding, residual addition, both kinds of pooling, a linear layer."""
    b = lab.Builder(3, (3, 5, 5))
    first = b.product(5, multiplier, (3, 3), before=(1, 1), after=(1, 1))
    b.add(first, b.rescale())
    b.pool("max", 2, 2, 0)
    b.pool("average", 2, 1, 0)
    b.flatten()
    b.product(4, multiplier, code=lab.SUMS)
    return b


def check(written, found):
    planned = written.schedule.steps
    assert [(s.name, s.kind, s.cycles) for s in found.steps] == [
        (s.step.name, s.step.kind, s.counts.cycles) for s in planned
    ]
    assert found.passed, found.message
    assert found.mismatches == 0
    assert all(s.sums for s in found.steps if s.kind == "product")
    assert all(s.codes for s in found.steps[:-1])


def test_every_integer_of_a_small_accelerator(written, store, yosys):
    found = simulate_gates(written.folder, store=store)
    check(written, found)
    assert found.results == written.images * 3
    assert found.message == "PASS 3 images"
    assert "yosys" in found.tool


def test_engines_and_images_and_pauses(written, mapped):
    vectors = read_vectors(written.folder)
    paused, steady, plain = (
        run_netlist(mapped.netlist, vectors, pauses=pauses, kind=kind)
        for pauses, kind in ((True, "auto"), (False, "auto"), (False, "numpy"))
    )
    assert [p.name for p in steady.phases] == [STREAM_IN, *(s.name for s in vectors.steps), STREAM_OUT]
    for a, b, c in zip(paused.phases, steady.phases, plain.phases, strict=True):
        assert b.cycles == c.cycles
        assert (b.toggles == c.toggles).all()
        assert (b.reads == c.reads).all()
        assert (b.writes == c.writes).all()
        assert (a.cycles > b.cycles) == (a.kind == "stream")
    one = run_netlist(mapped.netlist, read_vectors(written.folder, 1))
    assert not one.errors
    assert one.results * written.images == steady.results


def test_writes_are_those_of_the_schedule(written, mapped):
    vectors = read_vectors(written.folder)
    trace = run_netlist(mapped.netlist, vectors)
    names = [memory.name for memory in mapped.netlist.memories]
    to_activations, to_result = names.index("activations"), names.index("result_memory")
    for step, phase in zip(written.schedule.steps, trace.phases[1:-1], strict=True):
        counts, written_words = step.counts, phase.writes // written.images
        assert written_words[to_activations] + written_words[to_result] == counts.activation_writes
        assert written_words[names.index("engine.accumulators.partial")] == counts.accumulator_writes
        reads = phase.reads / written.images
        assert counts.activation_reads * 0.5 <= reads[to_activations] <= phase.cycles
        assert (reads <= phase.cycles).all()


def test_nothing_depends_on_what_registers_hold_before_reset(written, mapped):
    vectors = read_vectors(written.folder)
    for seed in range(3):
        trace = run_netlist(mapped.netlist, vectors, seed=seed)
        assert not trace.errors
        assert not any(s.wrong_codes + s.wrong_sums for s in trace.steps)


@pytest.mark.parametrize("name", ["codes", "sums", "result"])
def test_a_wrong_bit_of_a_vector_is_found(copied, mapped, name):
    path = copied / "memory" / f"{name}.hex"
    lines = path.read_text().splitlines()
    lines[1] = lines[1][:-1] + f"{int(lines[1][-1], 16) ^ 1:x}"
    path.write_text("\n".join(lines) + "\n")
    vectors = read_vectors(copied)
    found = as_simulation(run_netlist(mapped.netlist, vectors), mapped, vectors, 0.0)
    assert found.mismatches == 1
    assert not found.passed
    assert found.message == "FAIL 3 images: 1 integers differ"


def test_wrong_inputs_are_found(copied, mapped):
    path = copied / "memory" / "input.hex"
    path.write_text("".join(f"{int(line, 16) ^ 0x0F0F:04x}\n" for line in path.read_text().split()))
    vectors = read_vectors(copied)
    assert as_simulation(run_netlist(mapped.netlist, vectors), mapped, vectors, 0.0).mismatches > 10


def test_wrong_cycles_are_found(copied, mapped):
    path = copied / "accelerator.json"
    report = json.loads(path.read_text())
    report["steps"][0]["cycles"] += 1
    path.write_text(json.dumps(report))
    vectors = read_vectors(copied)
    found = as_simulation(run_netlist(mapped.netlist, vectors), mapped, vectors, 0.0)
    cycles = report["steps"][0]["cycles"]
    assert not found.passed
    assert f"took {cycles - 1} cycles, counted {cycles - 1} and was planned with {cycles}" in found.message


@pytest.mark.parametrize("part", ["engine.array", "post", "controller", "stream_out", "walker"])
def test_a_wrong_gate_is_found(written, mapped, part, rng):
    vectors = read_vectors(written.folder)
    netlist = mapped.netlist
    places = [k for k, g in enumerate(netlist.gates) if g.block.startswith(part) and g.cell in REPLACED]
    caught = 0
    for place in rng.choice(places, 4, replace=False).tolist():
        gates = list(netlist.gates)
        gates[place] = dataclasses.replace(gates[place], cell=REPLACED[gates[place].cell])
        spoilt = dataclasses.replace(netlist, gates=tuple(gates))
        caught += not as_simulation(run_netlist(spoilt, vectors), mapped, vectors, 0.0).passed
    # Gates exist that no network uses, such as those for another rotation or a wider sum.
    assert caught >= 2


def test_images_that_part_are_found(written, mapped):
    """A register of the control that no reset reaches, and whose bits differ between images."""
    vectors, netlist = read_vectors(written.folder), mapped.netlist
    done = netlist.logic.port("step_done").nets[0]
    stuck = next(f for f in netlist.flip_flops if f.name.startswith("controller.cycles"))
    gates = tuple(
        dataclasses.replace(g, inputs=tuple(stuck.q if n == done else n for n in g.inputs)) for g in netlist.gates
    )
    ports = tuple(dataclasses.replace(p, nets=(stuck.q,)) if p.name == "step_done" else p for p in netlist.outputs)
    held = tuple(dataclasses.replace(f, d=f.q) if f is stuck else f for f in netlist.flip_flops)
    spoilt = dataclasses.replace(netlist, gates=gates, outputs=ports, flip_flops=held)
    trace = run_netlist(spoilt, vectors)
    assert any("images part: step_done" in error for error in trace.errors)


def test_a_standstill_is_found(written, mapped):
    netlist = mapped.netlist
    held = tuple(dataclasses.replace(f, d=0) if f.block == "controller" else f for f in netlist.flip_flops)
    trace = run_netlist(dataclasses.replace(netlist, flip_flops=held), read_vectors(written.folder))
    assert trace.errors
    assert len(trace.phases) < len(written.schedule.steps) + 2


def test_what_is_kept_is_used(written, store, mapped, monkeypatch):
    monkeypatch.setattr(mapping, "yosys", lambda *a, **k: pytest.fail("mapped again"))
    again = map_accelerator(written.folder, store=store)
    assert again.key == mapped.key
    assert again.netlist.logic == mapped.netlist.logic


def test_what_is_kept_and_damaged_is_made_again(written, mapped, monkeypatch, tmp_path):
    def refuse(*_arguments, **_more):
        raise ToolRunError("mapped again")

    monkeypatch.setattr(mapping, "yosys", refuse)
    store = Store(tmp_path)
    store.write("silicon", mapped.key, {"name": "accelerator", "inputs": [["x", [0]]]})
    with pytest.raises(ToolRunError, match="mapped again"):
        map_accelerator(written.folder, store=store)


def test_other_sources_are_mapped_again(copied, mapped, monkeypatch, store):
    monkeypatch.setattr(mapping, "yosys", lambda *a, **k: (_ for _ in ()).throw(ToolRunError("mapped again")))
    path = copied / "memory" / "weights.hex"
    path.write_text(path.read_text().replace("1", "2", 1))
    with pytest.raises(ToolRunError, match="mapped again"):
        map_accelerator(copied, store=store)


def test_sources_that_are_no_verilog(copied, yosys):
    (copied / "rtl" / "walker.v").write_text("module walker (;\n")
    with pytest.raises(ToolInputError, match=r"walker.v, line 1"):
        map_accelerator(copied, store=Store(None))


def test_folders_without_an_accelerator(tmp_path, copied, yosys):
    with pytest.raises(RunError, match="holds no accelerator"):
        simulate_gates(tmp_path / "nowhere")
    with pytest.raises(RunError, match="holds no accelerator"):
        map_accelerator(tmp_path / "nowhere", store=Store(None))
    (copied / "rtl" / "accelerator.v").unlink()
    with pytest.raises(RunError, match=r"rtl/accelerator.v is missing"):
        map_accelerator(copied, store=Store(None))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("codes", "zz\n", "lines of other than"),
        ("result", "0000000g\n", "not hexadecimal"),
        ("result", "", "lines of other than"),
        ("input", "00\n", "lines of other than"),
    ],
)
def test_vectors_that_do_not_fit(copied, name, text, message):
    (copied / "memory" / f"{name}.hex").write_text(text)
    with pytest.raises(DataError, match=message):
        read_vectors(copied)


def test_missing_lines_of_vectors(copied):
    path = copied / "memory" / "codes.hex"
    path.write_text("\n".join(path.read_text().split()[:-1]) + "\n")
    with pytest.raises(DataError, match="lines for 3 images"):
        read_vectors(copied)


@pytest.mark.parametrize("images", [0, 4])
def test_images_that_are_not_there(written, images):
    with pytest.raises(DataError, match=f"vectors of 3 images, not {images}"):
        read_vectors(written.folder, images)


def test_reports_of_older_versions(copied):
    path = copied / "accelerator.json"
    report = json.loads(path.read_text())
    del report["steps"][0]["base"]
    path.write_text(json.dumps(report))
    with pytest.raises(RunError, match="write it with write_accelerator of this version"):
        read_vectors(copied)


def test_vectors_as_planes(written, designs):
    vectors = read_vectors(written.folder)
    lines = [int(line, 16) for line in (written.folder / "memory" / "result.hex").read_text().split()]
    of_image = np.array(lines).reshape(3, -1)
    for image in range(3):
        words = [sum(designs.bit_of(p, image) << k for k, p in enumerate(word)) for word in vectors.results]
        assert words == of_image[image].tolist()
    assert vectors.mask.tolist() == [0b111]


def test_the_default_simulator(monkeypatch):
    module = __import__(simulation_of.__module__, fromlist=["available"])
    monkeypatch.setattr(module, "available", lambda program: object())
    assert default_simulator() == "iverilog"
    monkeypatch.setattr(module, "available", lambda program: None if program == "vvp" else object())
    assert default_simulator() == GATES
    assert GATES in SIMULATORS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("multiplier", "configuration"),
    [
        ("dadda8", Configuration(4, 4, "output-stationary")),
        ("drum8_4", Configuration(4, 8)),
        ("drum8_4", Configuration(4, 2, "output-stationary")),
        ("drum8s_4", Configuration(4, 4)),
    ],
    ids=str,
)
def test_networks_on_gates(lab, multiplier, configuration, tmp_path, store, yosys):
    b = network(lab, multiplier)
    written = write_accelerator(b.program, b.used, configuration, tmp_path, b.inputs(5))
    found = simulate_gates(tmp_path, store=store)
    check(written, found)
    if shutil.which("iverilog"):
        assert simulate(tmp_path, "iverilog").steps == found.steps


@pytest.mark.slow
def test_two_multipliers_groups_and_affine_weights(lab, tmp_path, store, yosys):
    b = lab.Builder(1, (4, 6, 6))
    left = b.product(4, "drum8_4", (3, 3), before=(1, 1), after=(1, 1))
    right = b.product(4, "dadda8", (3, 3), groups=4, code=b.codes[left], before=(1, 1), after=(1, 1))
    b.join([left, right], 0)
    b.product(4, "dadda8", (1, 2), zeros=True)
    b.flatten()
    b.product(3, "drum8_4", code=lab.SUMS)
    written = write_accelerator(b.program, b.used, Configuration(4, 4), tmp_path, b.inputs(70))
    check(written, simulate_gates(tmp_path, store=store))
