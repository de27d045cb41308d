"""Flips of partial sums: which register holds one in which cycle, and what the generated Verilog makes of a flip."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.unit.campaign import arrays

from laxity.campaign.registers import LayerRegisters, Upset, sum_bits
from laxity.campaign.systolic import ArrayNetwork
from laxity.emulate.integer import integer_model
from laxity.rtl.accelerator import Simulation, simulate, write_accelerator
from laxity.rtl.accelerator.bench import vectors
from laxity.rtl.accelerator.verilog import design

ARRAYS = [
    (4, 4, "weight-stationary"),
    (2, 4, "weight-stationary"),
    (4, 4, "output-stationary"),
    (4, 2, "output-stationary"),
    (2, 4, "output-stationary"),
]
every_array = pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a[0]}x{a[1]} {a[2]}")

Flip = tuple[str, Upset, int]
"""Layer, register and bit."""


def placed_on(array: tuple[int, int, str]) -> tuple[ArrayNetwork, dict[str, LayerRegisters], int]:
    options = dict(zip(("rows", "columns", "dataflow"), array, strict=True))
    network = ArrayNetwork.of(arrays.network(), arrays.inputs(), options)
    bits = sum_bits(network)
    made = {
        name: LayerRegisters(place, network.circuits[place.use.name].table, network.configuration, bits)
        for name, place in network.placements.items()
    }
    return network, made, bits


def verilog(network: ArrayNetwork, registers: dict[str, LayerRegisters], flips: list[Flip], folder: Path) -> Simulation:
    """Simulate one image for each flip, and compare with what the flips are said to do."""
    integer = integer_model(arrays.network(), arrays.inputs())
    codes = integer.quantise(arrays.inputs()[: len(flips)])
    written = write_accelerator(integer.program, integer.multipliers, network.configuration, folder, codes.numpy())

    def change(step: Any, given: np.ndarray) -> np.ndarray:
        found = np.zeros((len(given), len(step.weight), network.placements[step.site].positions), np.int64)
        for image, (name, upset, bit) in enumerate(flips):
            if name == step.site:
                _, more = registers[name].change(upset, bit, given[image].astype(np.int64))
                found[image, upset.output, upset.position] = int(more * 2**step.fraction_bits)
        return found

    trace = arrays.faulty_trace(integer, codes, change)
    for name, text in vectors(design(written.schedule, integer.multipliers), trace).memories.items():
        (folder / "memory" / name).write_text(text)
    order = [s.step.name for s in written.schedule.steps]
    register = "sum_out" if network.configuration.dataflow == "weight-stationary" else "sum"
    lines = []
    for image, (name, upset, bit) in enumerate(flips):
        one = f"dut.engine.array.row[{upset.row}].column[{upset.column}].pe.{register}"
        when = f"image == {image} && step == {order.index(name)} && dut.step_cycles == {upset.cycle}"
        lines.append(f"  always @(negedge clk) if ({when}) {one} = {one} ^ (64'd1 << {bit});\n")
    bench = folder / "bench" / "bench.v"
    bench.write_text(bench.read_text().rstrip().removesuffix("endmodule") + "".join(lines) + "endmodule\n")
    return simulate(folder, "iverilog")


@every_array
def test_no_register_is_counted_twice_in_one_cycle(array: tuple[int, int, str]) -> None:
    network, registers, _ = placed_on(array)
    counts = {s.step.name: s.counts for s in network.schedule.steps}
    for name, one in registers.items():
        seen = [one.upset(site) for site in range(one.live)]
        assert len({(u.row, u.column, u.cycle) for u in seen}) == one.live
        assert max(u.cycle for u in seen) <= counts[name].cycles
        assert {u.row for u in seen} <= set(range(array[0]))
        assert {u.column for u in seen} <= set(range(array[1]))
        place = network.placements[name]
        wanted = {(u.output, u.position) for u in seen}
        assert wanted == {(o, p) for o in range(len(place.step.weight)) for p in range(place.positions)}


@every_array
def test_sums_without_fault_are_those_of_the_layer(array: tuple[int, int, str]) -> None:
    _, registers, _ = placed_on(array)
    model, x = arrays.network(), arrays.inputs()
    taken: dict[str, torch.Tensor] = {}
    for name in registers:
        layer: Any = model.get_submodule(name)
        layer.register_forward_hook(lambda _, args, __, name=name: taken.update({name: args[0]}))
    with torch.no_grad():
        model(x)
    rng = np.random.default_rng(0)
    for name, one in registers.items():
        layer = model.get_submodule(name)
        codes = layer.operand.input.codes(taken[name])
        sums = layer.integer_sums(codes).reshape(len(x), layer.outputs, -1)
        for site in rng.integers(0, one.live, 40).tolist():
            upset, sample = one.upset(site), site % len(x)
            total, _ = one.change(upset, 0, codes[sample].long().numpy())
            assert total == float(sums[sample, upset.output, upset.position])


def drawn(registers: dict[str, LayerRegisters], bits: int, count: int, seed: int) -> list[Flip]:
    rng, found = np.random.default_rng(seed), []
    for _ in range(count):
        name = list(registers)[rng.integers(len(registers))]
        found.append((name, registers[name].upset(int(rng.integers(registers[name].live))), int(rng.integers(bits))))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@every_array
def test_the_generated_verilog_makes_the_same_of_a_flip(array: tuple[int, int, str], seed: int, tmp_path: Path) -> None:
    """A register is inverted in one bit in the middle of one cycle while Icarus Verilog simulates the accelerator."""
    if shutil.which("iverilog") is None:
        pytest.skip("Icarus Verilog is not installed")
    network, registers, bits = placed_on(array)
    flips = drawn(registers, bits, arrays.SAMPLES, seed)
    flips[0] = (*flips[0][:2], bits - 1)
    found = verilog(network, registers, flips, tmp_path)
    assert found.mismatches == 0
    assert found.passed


@pytest.mark.slow
@every_array
def test_flips_of_idle_registers_change_nothing(array: tuple[int, int, str], tmp_path: Path) -> None:
    if shutil.which("iverilog") is None:
        pytest.skip("Icarus Verilog is not installed")
    network, registers, bits = placed_on(array)
    counts, rng, flips = {s.step.name: s.counts for s in network.schedule.steps}, np.random.default_rng(1), []
    for name, one in list(registers.items())[: arrays.SAMPLES]:
        live = {(u.row, u.column, u.cycle) for u in map(one.upset, range(one.live))}
        every = {(r, c, k) for r in range(array[0]) for c in range(array[1]) for k in range(1, counts[name].cycles + 1)}
        row, column, cycle = sorted(every - live)[rng.integers(len(every - live))]
        flips.append((name, Upset(row, column, cycle, 0, 0, 0, 1), int(rng.integers(bits))))
    nothing = {name: _Nothing() for name in registers}
    assert verilog(network, nothing, flips, tmp_path).passed  # type: ignore[arg-type]


class _Nothing:
    def change(self, upset: Upset, bit: int, codes: np.ndarray) -> tuple[float, float]:
        return 0.0, 0.0
