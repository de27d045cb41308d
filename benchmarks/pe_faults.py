"""What faults in the elements of a systolic array cost to simulate, and whether the logits are right.

For both dataflows: single stuck-at faults of the multiplier in one element, and flips of partial sums at any time of an
inference, both uniform over their populations, each with an image of its own. Times are CPU time of one thread: the
native float32 network in batches of 128, the same with 8-bit integers, and a trial of each kind; all in one run, taken
in turns, shortest of some rounds. The tables of faults are made before.

Some trials are computed a second time, from the network's start: every product of every layer is looked up in the table
of the multiplier or, where the faulty element makes it, in that of the netlist with the line tied. Goal: equal logits,
and a trial of a faulty multiplier in twice the time of a native inference.

Usage: ``python benchmarks/pe_faults.py [--json] [--task cifar10] [--data-dir DIR] [--trials 1024] [--reference 16]
[--rows 16] [--columns 16] [--images 256] [--rounds 3]``
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import laxity as lx
from laxity.campaign.population import Faults, Population
from laxity.campaign.populations import Gates, Macs
from laxity.campaign.systolic import ArrayNetwork
from laxity.circuits.simulate import product_table
from laxity.circuits.stuck_at import faulty_circuit
from laxity.core.seeds import stream
from laxity.emulate.layer import EmulatedLayer
from laxity.faults import FaultModel
from laxity.rtl.accelerator.configuration import DATAFLOWS
from laxity.statistics import clopper_pearson

BATCH, CALIBRATION, GOAL = 128, 64, 2.0


@dataclass(frozen=True, slots=True)
class Row:
    """One dataflow.

    Attributes:
        dataflow: of the array.
        native_ms, emulated_ms: an inference in float32, and in 8-bit integers.
        gates_ms, gates_ratio: a trial of a faulty multiplier, and its share of a native inference.
        gates_sdc, gates_low, gates_high: trials whose prediction changes, with a 99 % interval.
        gates_unchanged: trials whose logits do not change at all.
        reference, equal: trials computed twice, and those with equal logits, bit for bit.
        macs_ms, macs_ratio: a trial of a flip in a register that holds a sum.
        macs_sdc, macs_low, macs_high: of those, trials whose prediction changes, with a 99 % interval.
        idle_share: of registers and cycles, those without a sum that is read.
    """

    dataflow: str
    native_ms: float
    emulated_ms: float
    gates_ms: float
    gates_ratio: float
    gates_sdc: float
    gates_low: float
    gates_high: float
    gates_unchanged: float
    reference: int
    equal: int
    macs_ms: float
    macs_ratio: float
    macs_sdc: float
    macs_low: float
    macs_high: float
    idle_share: float


def measure(native: nn.Module, model: nn.Module, data: tuple[Tensor, Tensor], chosen: argparse.Namespace) -> list[Row]:
    """Both dataflows."""
    example, images = data
    rows = []
    for dataflow in DATAFLOWS:
        options = {"rows": chosen.rows, "columns": chosen.columns, "dataflow": dataflow}
        stuck, flip = (FaultModel.from_json({"kind": k, "rate_per_bit": 0.0}) for k in ("stuck_at", "bit_flip"))
        gates, macs = Gates.of(model, stuck, example, options), Macs.of(model, flip, example, options)
        live = macs.cells.place != macs.cells.places.index("idle")
        faults = drawn(gates, chosen.trials, len(images), np.ones(len(gates.cells.sites), bool))
        flips = drawn(macs, chosen.trials, len(images), live)
        golden, golden_macs = gates.golden(images), macs.golden(images)
        found, flipped = gates.logits(faults, golden), macs.logits(flips, golden_macs)
        times = shortest(
            {
                "native": lambda: native(images[:BATCH]),
                "emulated": lambda: model(images[:BATCH]),
                "gates": lambda: gates.logits(faults, golden),  # noqa: B023 (called at once)
                "macs": lambda: macs.logits(flips, golden_macs),  # noqa: B023
            },
            chosen.rounds,
        )
        sizes = {"native": min(BATCH, len(images)), "emulated": min(BATCH, len(images))}
        ms = {name: 1e3 * seconds / sizes.get(name, chosen.trials) for name, seconds in times.items()}
        changed = found != golden.logits[torch.from_numpy(faults.image)]
        sdc, sdc_macs = wrong(found, golden.logits, faults), wrong(flipped, golden.logits, flips)
        rows.append(
            Row(
                dataflow,
                ms["native"],
                ms["emulated"],
                ms["gates"],
                ms["gates"] / ms["native"],
                *sdc,
                1 - float(changed.any(1).float().mean()),
                chosen.reference,
                agreement(gates, model, images, faults, found, chosen.reference),
                ms["macs"],
                ms["macs"] / ms["native"],
                *sdc_macs,
                macs.idle_share,
            )
        )
    return rows


def drawn(population: Population, count: int, images: int, cells: np.ndarray) -> Faults:
    """Faults and images, uniform over some cells."""
    rng = stream(0, "pe faults")
    sites = np.where(cells, population.cells.sites, 0)
    cell = rng.choice(len(sites), count, p=sites / sites.sum())
    site = rng.integers(0, population.cells.sites[cell])
    return Faults(cell, site, np.zeros((count, 0), np.uint64), rng.integers(0, images, count))


def shortest(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """CPU seconds of each, in turns."""
    best = dict.fromkeys(ways, np.inf)
    for _ in range(rounds):
        for name, call in ways.items():
            start = time.process_time()
            with torch.no_grad():
                call()
            best[name] = min(best[name], time.process_time() - start)
    return best


def wrong(logits: Tensor, golden: Tensor, faults: Faults) -> tuple[float, float, float]:
    """Share of changed predictions with a 99 % interval."""
    other = logits.argmax(1) != golden.argmax(1)[torch.from_numpy(faults.image)]
    interval = clopper_pearson(int(other.sum()), len(other), 0.99)
    return float(other.float().mean()), interval.low, interval.high


def agreement(gates: Gates, model: nn.Module, images: Tensor, faults: Faults, found: Tensor, count: int) -> int:
    """How many of the first trials have the logits of the plain way."""
    number, row, column = gates.elements(faults)
    equal = 0
    for i in range(count):
        study = gates.faults.studies[gates.faults.name_of(int(number[i]))]
        table = product_table(faulty_circuit(study.device.circuit, gates.faults.fault(int(number[i]))))
        tables = gates.faults.golden[gates.faults.name_of(int(number[i]))], table
        element = int(row[i]), int(column[i])
        with torch.no_grad():
            logits = plainly(model, images[faults.image[i], None], gates.network, element, tables)
        equal += bool(torch.equal(logits[0], found[i]))
    return equal


def plainly(model: nn.Module, x: Tensor, network: ArrayNetwork, element: tuple[int, int], tables: Any) -> Tensor:
    """The network from its start, with all products of every layer looked up."""
    sources, array = {name: p.source for name, p in network.placements.items()}, network.configuration
    maps = {name: (source.channels, source.height, source.width) for name, source in sources.items()}

    def hook(layer: EmulatedLayer, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        assert layer.operand is not None  # the plan gives one to every layer
        codes, weights = layer.operand.input.codes(args[0]), layer.stored_codes()[0]
        if layer.form.linear:  # the array reads a flattened map as a map
            shape = maps[layer.site.name]
            codes, weights = codes.reshape(-1, *shape), weights.reshape(-1, *shape)
        sums = looked_up(layer, codes, weights, array, element, tables)
        return layer.scaled(sums.reshape(output.shape))

    layers = [m for m in model.modules() if isinstance(m, EmulatedLayer)]
    handles = [layer.register_forward_hook(hook) for layer in layers]
    try:
        return model(x)
    finally:
        for handle in handles:
            handle.remove()


def looked_up(layer: EmulatedLayer, codes: Tensor, weights: Tensor, array: Any, element: Any, tables: Any) -> Tensor:
    """Sums of one sample (outputs, positions), for convolutions without groups and linear layers."""
    spare = -codes.shape[1] % array.rows  # lanes without a channel multiply 0 by 0
    codes, weights = F.pad(codes, (0, 0, 0, 0, 0, spare)), F.pad(weights, (0, 0, 0, 0, 0, spare))
    kernel = weights.shape[2:]
    stride, padding = (1, 0) if layer.form.linear else (layer.form.stride[0], layer.form.padding[0][0])
    seen = F.unfold(codes, tuple(kernel), stride=stride, padding=padding)[0].numpy().astype(np.int64)
    flat = weights.flatten(1).numpy().astype(np.int64)
    lane = np.arange(len(seen)) // (kernel[0] * kernel[1]) % array.rows == element[0]
    position = np.arange(seen.shape[1]) % array.rows == element[0]
    own = lane[:, None] if array.dataflow == DATAFLOWS[0] else position[None]
    sums = np.empty((len(flat), seen.shape[1]))
    right, broken = tables
    for output, w in enumerate(flat):
        signs = np.where((w < 0)[:, None] ^ (seen < 0), -1, 1)
        index = np.abs(seen), np.abs(w)[:, None]
        good = right[index]
        mixed = np.where(own, broken[index], good) if output % array.columns == element[1] else good
        sums[output] = (signs * mixed).sum(0)
        if spare and right[0, 0]:
            raise SystemExit("the reference takes products of 0 and 0 for 0")
    return torch.from_numpy(sums)


def options() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--task", default="cifar10", help="a built-in task whose layers are plain convolutions")
    parser.add_argument("--data-dir", help="folder of data sets")
    parser.add_argument("--trials", type=int, default=1024, help="of each kind; 1024 if not given")
    parser.add_argument("--reference", type=int, default=16, help="trials that are computed twice; 16 if not given")
    parser.add_argument("--images", type=int, default=256, help="test images; 256 if not given")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--columns", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3, help="times that everything is timed")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    chosen = options()
    torch.set_num_threads(1)
    task = lx.load_task(chosen.task, **({} if chosen.data_dir is None else {"data_dir": chosen.data_dir}))
    plan = lx.Plan.assign(lx.find_sites(task.model, task.example_input), (lx.Integer(),))
    model = lx.approximate(task, plan).eval()
    data = task.calibration.fetch(range(CALIBRATION))[0], task.test.fetch(range(chosen.images))[0]
    rows = measure(task.model.eval(), model, data, chosen)
    summary = {
        "task": chosen.task,
        "array": [chosen.rows, chosen.columns],
        "trials": chosen.trials,
        "goal_ratio": GOAL,
        "goal_met": all(row.gates_ratio <= GOAL and row.equal == row.reference for row in rows),
        "machine": platform.machine(),
        "torch": torch.__version__,
    }
    if chosen.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "summary": summary}))
        return
    for row in rows:
        for key, value in asdict(row).items():
            print(f"{key:16} {value:.4g}" if isinstance(value, float) else f"{key:16} {value}")
    for key, value in summary.items():
        print(f"{key:16} {value}")


if __name__ == "__main__":
    main()
