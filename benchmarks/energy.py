"""Which multipliers save energy, on uniform operands without glitches and on operands of a network with them.

Every multiplier is measured alone and inside a processing element (sign logic, accumulator, registers, clock) on
uniform operands and on those sampled in the layers of a network, by settled values (zero delay) and with glitches
(inertial). Savings are relative to the exact Dadda multiplier under the same condition; layers count by their
multiplications. Accuracy is that of the network with the multiplier in every layer, without retraining.

Usage: ``python benchmarks/energy.py [--json] [--task cifar10] [--data-dir DIR] [--flow netlist|yosys] [--quick]
[--figure FILE.svg]``
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from energy_figure import figure
from scipy.stats import spearmanr
from torch import nn

import laxity as lx
from laxity.circuits import Circuit, catalogue, default_library
from laxity.circuits.activity import Delays, switching_energy
from laxity.circuits.pe import ProcessingElement, processing_element
from laxity.circuits.synthesis import map_circuit, trace_streams, uniform_streams
from laxity.circuits.timing import delay_ns
from laxity.core.demand import OperandTrace
from laxity.core.seeds import stream
from laxity.emulate.operands import TRACE_SAMPLES, operand_traces
from laxity.targets import load_target
from laxity.targets.pe_energy import measure
from laxity.task.splits import batches

BASELINE = "dadda8"
CIRCUITS = (
    *("dadda8", "array8", "wallace8", "booth8", "coltrunc8_4", "coltrunc8_6", "coltrunc8_8", "bam8_6_2"),
    *("optrunc8_2", "perf8_0_2", "udm8", "venka8_8", "drum8_3", "drum8_4", "drum8_6", "ssm8_4", "dsm8_4"),
    *("tosam8_1_5", "roba8", "mitchell8", "mbm8"),
)
QUICK = ("dadda8", "coltrunc8_6", "drum8_4", "mitchell8")
ROWS = 16
"""Of the array, over which partial sums run; sums of 16 products of 8-bit magnitudes have 21 bits with sign."""

ACCUMULATOR_BITS = 21
UNIFORM_SEGMENTS, UNIFORM_STEPS = 1024, 33
DELAYS: tuple[Delays, ...] = ("zero", "inertial")
PARTS = ("multiplier", "accumulator", "registers", "clock")

Values = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of the network.

    Attributes:
        name: of the site.
        macs: multiplications for one sample.
        zeros: fraction of the sampled activations that are 0.
        activation_bits: mean number of bits up to the leading one of the others.
        weight_bits: likewise of the weights that are not 0.
    """

    name: str
    macs: int
    zeros: float
    activation_bits: float
    weight_bits: float


@dataclass(frozen=True, slots=True)
class Saving:
    """Saving against the exact multiplier under one condition, as a fraction; negative if it takes more.

    Attributes:
        mean: over the layers, by their multiplications.
        error: standard error of the mean over repeated samplings; 0 where the operands are uniform.
        low, high: of single layers.
    """

    mean: float
    error: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """One multiplier; conditions are named ``operands/delays``, such as ``uniform/zero``.

    Attributes:
        name: in the catalogue.
        nmed: mean error distance over the largest product, uniform operands.
        accuracy: of the network with this multiplier everywhere, a fraction.
        area_um2, delay_ns: of the multiplier.
        alone_pj: mean energy per operation of the multiplier by condition.
        element_pj: mean energy per multiply-accumulate of each part of the element, by condition.
        alone: savings of the multiplier by condition.
        element: savings of the whole element by condition.
    """

    name: str
    nmed: float
    accuracy: float
    area_um2: float
    delay_ns: float
    alone_pj: dict[str, float]
    element_pj: dict[str, dict[str, float]]
    alone: dict[str, Saving]
    element: dict[str, Saving]


@dataclass(frozen=True, slots=True)
class Measured:
    """Energies of one circuit by condition.

    Attributes:
        alone: (samplings, layers).
        element: (samplings, layers, parts).
    """

    alone: dict[str, Values]
    element: dict[str, Values]


@dataclass(frozen=True, slots=True)
class Registers:
    """Energy of flip-flops besides the clock, in pJ per bit that changes: its output and its input."""

    toggle_pj: float

    @staticmethod
    def of_target() -> Registers:
        """Constants of the built-in target."""
        constants = load_target("mac-array-45nm").constants
        return Registers(1e-3 * sum(constants.value(f"registers.{side}_toggle") for side in ("output", "input")))


def uniform_trace(segments: int) -> OperandTrace:
    """Uniform operands of an element: activations of 8 bits, resting weights of -128..127, sums of the rows above."""
    generator = stream(0, "energy benchmark", segments)
    columns = max(1, segments // ROWS)
    activations = generator.integers(0, 256, (columns, ROWS, UNIFORM_STEPS))
    weights = generator.integers(-128, 128, (columns, ROWS))
    products = activations * weights[:, :, None]
    above = np.cumsum(products, axis=1) - products
    shape = (columns * ROWS, UNIFORM_STEPS)
    return OperandTrace(
        activations.reshape(shape),
        np.zeros(shape, np.int64),
        np.abs(weights).ravel(),
        (weights < 0).astype(np.int64).ravel(),
        above.reshape(shape),
    )


def network(task: lx.Task, multiplier: str) -> nn.Module:
    """The network in 8-bit integers, with one multiplier in all layers."""
    sites = lx.find_sites(task.model, task.example_input, exact=task.exact)
    plan = lx.Plan.assign(sites, [lx.Integer(), lx.CircuitMultiplier(multiplier)])
    return lx.approximate(task.model, plan, calibration=next(batches(task.calibration, 256))[0])


@torch.no_grad()
def accuracy(task: lx.Task, multiplier: str, samples: int) -> float:
    """Accuracy on the first samples of the test split; nothing is chosen by it."""
    model, right, seen = network(task, multiplier).eval(), 0, 0
    for inputs, targets in batches(task.test, 250, limit=samples):
        right += int((model(inputs).argmax(1) == targets).sum())
        seen += len(targets)
    return right / seen


def network_traces(
    task: lx.Task, samplings: int, wanted: int | None
) -> tuple[list[Layer], list[dict[str, OperandTrace]]]:
    """Layers with their multiplications, and the operands of each in the network with the exact multiplier."""
    sites = lx.find_sites(task.model, task.example_input, exact=task.exact)
    model = network(task, BASELINE)
    inputs = next(batches(task.validation, TRACE_SAMPLES * samplings))[0]
    traces = [
        operand_traces(model, inputs[TRACE_SAMPLES * k :][:TRACE_SAMPLES], seed=k, tile_rows=ROWS)
        for k in range(samplings)
    ]
    layers = [
        _layer(site.name, site.op.macs, [t[site.name] for t in traces]) for site in sites if site.name in traces[0]
    ]
    return layers[:wanted], traces


def _layer(name: str, macs: int, traces: Sequence[OperandTrace]) -> Layer:
    activations = np.concatenate([t.activations.ravel() for t in traces])
    weights = np.concatenate([t.weights for t in traces])
    return Layer(name, macs, float((activations == 0).mean()), _bits(activations), _bits(weights))


def _bits(values: np.ndarray[Any, np.dtype[np.int64]]) -> float:
    present = values[values > 0]
    return float((np.floor(np.log2(present)) + 1).mean()) if present.size else 0.0


def measured(
    core: Circuit, uniform: OperandTrace, traces: Sequence[Sequence[OperandTrace]], registers: Registers
) -> Measured:
    """All energies of one circuit.

    Args:
        core: the multiplier.
        uniform: uniform operands of an element.
        traces: by sampling and layer.
        registers: energy of flip-flops.
    """
    element, library = processing_element(core, ACCUMULATOR_BITS), default_library()
    alone, parts = {}, {}
    for delays in DELAYS:
        fresh = switching_energy(core, uniform_streams(core), library, delays).energy_pj
        alone[f"uniform/{delays}"] = np.array([[fresh]])
        resting = switching_energy(core, trace_streams(core, uniform), library, delays).energy_pj
        alone[f"resting/{delays}"] = np.array([[resting]])
        parts[f"uniform/{delays}"] = np.array([[_parts(element, uniform, delays, registers)]])
        alone[f"trace/{delays}"] = np.array(
            [[switching_energy(core, trace_streams(core, t), library, delays).energy_pj for t in ts] for ts in traces]
        )
        parts[f"trace/{delays}"] = np.array([[_parts(element, t, delays, registers) for t in ts] for ts in traces])
    return Measured(alone, parts)


def _parts(element: ProcessingElement, trace: OperandTrace, delays: Delays, registers: Registers) -> list[float]:
    """Energies of `PARTS`; the register of the resting weight is not clocked."""
    mac = measure(element, trace, delays)
    toggles = mac.activation_toggles + mac.sum_toggles
    clocked = element.flip_flops - element.core.port("b").width - 1
    return [
        mac.multiplier_pj,
        mac.accumulator_pj,
        mac.register_load_pj + toggles * registers.toggle_pj,
        clocked * default_library().clock_energy_fj() * 1e-3,
    ]


def saving(energy: Values, exact: Values, weights: Values) -> Saving:
    """Saving from energies (samplings, layers) of a circuit and of the exact one; uniform ones have one layer."""
    weights = weights if energy.shape[1] == weights.size else np.ones(energy.shape[1])
    per_sampling = 1 - (energy @ weights) / (exact @ weights)
    per_layer = 1 - energy.mean(0) / exact.mean(0)
    count = len(per_sampling)
    error = float(per_sampling.std(ddof=1) / math.sqrt(count)) if count > 1 else 0.0
    total = 1 - float((energy.mean(0) @ weights) / (exact.mean(0) @ weights))
    return Saving(total, error, float(per_layer.min()), float(per_layer.max()))


def row(name: str, core: Circuit, right: float, found: Measured, exact: Measured, weights: Values) -> Row:
    """What is reported of one circuit."""
    library = default_library()

    def mean(energy: Values) -> float:
        by_layer = energy.mean(0)
        return float(np.average(by_layer, weights=weights if by_layer.size == weights.size else None))

    return Row(
        name,
        catalogue.get(name).metrics().nmed,
        right,
        library.area_um2(core),
        delay_ns(core, library),
        {key: mean(energy) for key, energy in found.alone.items()},
        {key: {part: mean(energy[..., i]) for i, part in enumerate(PARTS)} for key, energy in found.element.items()},
        {key: saving(energy, exact.alone[key], weights) for key, energy in found.alone.items()},
        {key: saving(energy.sum(2), exact.element[key].sum(2), weights) for key, energy in found.element.items()},
    )


def conclusions(rows: Sequence[Row]) -> dict[str, Any]:
    """What turns round, how orders agree, and what registers and clock take of the exact element."""
    others = [r for r in rows if r.name != BASELINE]
    weight_clock_pj = 9 * default_library().clock_energy_fj() * 1e-3
    shares = {}
    for key, parts in next(r for r in rows if r.name == BASELINE).element_pj.items():
        total, kept = sum(parts.values()), parts["registers"] + parts["clock"]
        shares[key] = {
            "weight_gated": kept / total,
            "all_clocked": (kept + weight_clock_pj) / (total + weight_clock_pj),
        }
    found: dict[str, Any] = {"registers_and_clock": shares}
    for scope in ("alone", "element"):
        savings = {r.name: getattr(r, scope) for r in others}
        paper = {name: s["uniform/zero"].mean for name, s in savings.items()}
        real = {name: s["trace/inertial"].mean for name, s in savings.items()}
        found[scope] = {
            "good_then_bad": [n for n in paper if paper[n] > 0 > real[n]],
            "bad_then_good": [n for n in paper if paper[n] < 0 < real[n]],
            "good_on_average_bad_in_a_layer": [n for n in real if real[n] > 0 > savings[n]["trace/inertial"].low],
            "spearman": float(spearmanr(list(paper.values()), list(real.values())).statistic),
        }
    return found


def show(rows: Sequence[Row], summary: Mapping[str, Any]) -> None:
    """Tables for people."""
    for scope, title in (("alone", "multiplier alone"), ("element", "processing element")):
        keys = list(getattr(rows[0], scope))
        print(f"\nsaving against {BASELINE}, {title}, %")
        print(
            f"{'circuit':12} {'nmed %':>7} {'right %':>7} "
            + " ".join(f"{key:>16}" for key in keys)
            + "  layers, trace/inertial"
        )
        for r in rows:
            cells = getattr(r, scope)
            real = cells["trace/inertial"]
            texts = " ".join(f"{100 * cells[key].mean:16.1f}" for key in keys)
            layers = f"{100 * real.low:.0f} to {100 * real.high:.0f}"
            print(f"{r.name:12} {100 * r.nmed:7.3f} {100 * r.accuracy:7.2f} {texts}  {layers}")
    print()
    for key, value in summary.items():
        print(f"{key}: {value}")


def main() -> None:
    """Measure all circuits and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--task", help="built-in task with its network; cifar10, with --quick digits if not given")
    parser.add_argument("--data-dir", type=Path, help="folder of data sets")
    parser.add_argument(
        "--flow", choices=("netlist", "yosys"), default="netlist", help="multipliers as they are, or mapped"
    )
    parser.add_argument("--circuits", help="names joined by commas")
    parser.add_argument("--samplings", type=int, default=4, help="repetitions with other images and places")
    parser.add_argument("--samples", type=int, default=2000, help="of the test split, for the accuracy")
    parser.add_argument("--quick", action="store_true", help="four circuits, two layers, one sampling")
    parser.add_argument("--figure", type=Path, help="write a picture, SVG")
    options = parser.parse_args()
    if min(options.samplings, options.samples) < 1:
        parser.error("--samplings and --samples are 1 or more")
    names = options.circuits.split(",") if options.circuits else list(QUICK if options.quick else CIRCUITS)
    names = [BASELINE, *(name for name in names if name != BASELINE)]
    cores = {name: catalogue.circuit(name) for name in names}
    start = time.perf_counter()
    torch.set_num_threads(1)
    task = lx.load_task(options.task or ("digits" if options.quick else "cifar10"), data_dir=options.data_dir)
    layers, sampled = network_traces(task, 1 if options.quick else options.samplings, 2 if options.quick else None)
    traces = [[one[layer.name] for layer in layers] for one in sampled]
    uniform, registers = uniform_trace(64 if options.quick else UNIFORM_SEGMENTS), Registers.of_target()
    weights = np.array([layer.macs for layer in layers], dtype=np.float64)
    rows: list[Row] = []
    exact: Measured | None = None
    for i, (name, core) in enumerate(cores.items(), start=1):
        print(f"{i} of {len(names)}: {name}", file=sys.stderr, flush=True)
        used = map_circuit(core, default_library()).circuit if options.flow == "yosys" else core
        found = measured(used, uniform, traces, registers)
        exact = exact or found
        rows.append(row(name, used, accuracy(task, name, options.samples), found, exact, weights))
    summary = conclusions(rows) | {
        "task": task.name,
        "layers": len(layers),
        "transitions_per_layer": sum(t[0].activations.size - len(t[0].weights) for t in traces),
        "samples": min(options.samples, len(task.test)),
        "flow": options.flow,
        "library": default_library().name,
        "wall_s": time.perf_counter() - start,
    }
    if options.figure:
        options.figure.write_text(figure([asdict(r) for r in rows]), encoding="utf-8")
    if options.json:
        document = {
            "rows": [asdict(r) for r in rows],
            "layers": [asdict(layer) for layer in layers],
            "summary": summary,
        }
        print(json.dumps(document))
    else:
        show(rows, summary)


if __name__ == "__main__":
    main()
