"""What protections of stored weights remove, what they store, and what reading through them costs.

For the network in float32 and in 8-bit integers, each with every protection at all sites:

- accuracy on the test split, check bits per stored weight bit;
- every single wrong bit of the memories, check bits among them, read once: how many change a word that is read, how
  many give the alarm. This is all of them, without sampling;
- a campaign of single flips, each on a random image: SDC and DUE with intervals at 99 %. ``removed`` is the share of
  the SDC that is gone, per network: SDC times struck bits over the same of the unprotected network; its lower end takes
  both intervals at their unfavourable ends, and where that is not above 0 nothing is said;
- in integers: area, delay and energy of the readers, and energy, area and stored bits of the whole network over those
  of the unprotected one on ``mac-array-45nm``.

In-place ECC is also measured with the scales of the source, before and after training.

Usage: ``python benchmarks/protections.py [--json] [--task digits] [--data-dir DIR] [--weights FILE] [--faults 60000]
[--epochs 4] [--formats fp32 int8] [--only 'SEC-DED 64' 'in-place ECC']``; ``--formats`` without names measures in-place
ECC only.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

import laxity as lx
from laxity.campaign import Aim, Campaign, Subject, run_campaign
from laxity.circuits.cells import default_library
from laxity.circuits.protection import reader
from laxity.circuits.timing import delay_ns
from laxity.core.approximation import Approximation
from laxity.core.demand import Demand
from laxity.core.errors import LaxityError
from laxity.evaluation.cost import demands
from laxity.evaluation.memory import WeightMemory, weight_memories
from laxity.evaluation.quality import predict
from laxity.targets.dataflow import count
from laxity.techniques import InPlaceEcc, Integer, Parity, Secded, Tmr, TmrBits, WeightClip

TARGET = "mac-array-45nm"
PROTECTIONS: dict[str, tuple[Approximation, ...]] = {
    "fp32": (
        Secded(), Parity(), Parity(then="zero"), TmrBits(bits="30"), Tmr(), WeightClip("layer"), WeightClip(),
        WeightClip(then="saturate"),
    ),
    "int8": (
        Secded(), Secded(16), Parity(8), Parity(then="zero"), TmrBits(2), Tmr(), InPlaceEcc(), WeightClip("layer"),
    ),
}  # fmt: skip
SEED = 1


def main() -> None:
    """Measure and print."""
    options = _options()
    torch.set_num_threads(1)
    try:
        task = lx.load_task(options.task, data_dir=options.data_dir, weights=options.weights)
        found = {
            "task": task.name,
            "faults": options.faults,
            "rows": [row for name in options.formats for row in compare(task, name, options)],
            "in_place": in_place(task, options.epochs),
        }
    except LaxityError as error:
        sys.exit(str(error))
    sys.stdout.write((json.dumps(found, indent=2) if options.json else _text(found)) + "\n")


def compare(task: Any, name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The unprotected network of a format, and the same with each protection."""
    base: tuple[Approximation, ...] = (Integer(),) if name == "int8" else ()
    sites = lx.find_sites(task.model, task.example_input, exact=task.exact)
    plain, rows = None, []
    for choice in (None, *(c for c in PROTECTIONS[name] if not options.only or c.label() in options.only)):
        plan = lx.Plan.assign(sites, [*base, *([] if choice is None else [choice])])
        model = lx.approximate(task, plan) if plan.choices else task.model
        campaign = _campaign(task, model, options.faults)
        row = {"format": name, "protection": "none" if choice is None else choice.label()}
        row |= {"accuracy": predict(model, task, "test").quality().value} | _shares(campaign)
        row |= every_flip(weight_memories(model, task.example_input))
        if name == "int8":
            row |= _priced(model, plan, task, choice)
        if plain is None:
            plain = row
        rows.append(row | _relative(row, plain))
    return rows


def _campaign(task: Any, model: nn.Module, faults: int) -> Campaign:
    return run_campaign(lambda: (model, task), Subject(seed=SEED), Aim(faults=faults))


def _shares(campaign: Campaign) -> dict[str, Any]:
    found: dict[str, Any] = {"bits": campaign.cells.size}
    for name in ("sdc", "due"):
        interval = campaign.interval(name)
        found[name] = [interval.estimate, interval.low, interval.high]
    return found


def every_flip(memories: list[WeightMemory]) -> dict[str, int]:
    """All single flips of stored bits and check bits: how many change what is read, and how many are noticed."""
    changed = noticed = 0
    for memory in memories:
        places = np.arange(len(memory.words))
        for bit in range(memory.width_bits):
            struck = memory.stored ^ memory.words.dtype.type(1 << bit)
            if memory.protection is None:
                changed += len(places)
                continue
            read = memory.protection.read(memory.stored, struck, memory.layout, places)
            changed += int(((read.words != memory.words) | (read.place >= 0)).sum())
            noticed += int(read.noticed.sum())
        numbers = np.arange(memory.check_words)
        for bit in range(memory.check_width):
            assert memory.protection is not None  # it has check words
            flips = np.full(len(numbers), 1 << bit, np.uint64)
            read = memory.protection.read_checks(flips, numbers, memory.stored, memory.layout)
            changed += int((read.place >= 0).sum())
            noticed += int(read.noticed.sum())
    return {"flips_that_change_words": changed, "flips_noticed": noticed}


def _priced(model: nn.Module, plan: Any, task: Any, choice: Approximation | None) -> dict[str, Any]:
    """Energy, area and storage of the network, and of the readers alone."""
    x, _ = task.calibration.fetch(range(64))
    asked, target = demands(model, plan, x, seed=0), lx.load_target(TARGET)
    cost = target.cost(asked)
    found = {
        "energy_pj": cost.energy_pj.value,
        "area_um2": cost.area_um2.value,
        "memory_bits": cost.memory_bits.value,
        "weight_buffer_pj": sum(e.value for _, part, e in cost.energy_parts_pj if part == "weight_buffer"),
        "readers_pj": sum(e.value for _, part, e in cost.energy_parts_pj if part == "protection"),
    }
    if choice is None or asked[0].protection is None:
        return found
    circuit = reader(asked[0].protection.circuit)
    weights = sum(_read_weights(d, target) for d in asked)
    return found | {
        "reader": asked[0].protection.circuit,
        "reader_area_um2": default_library().area_um2(circuit),
        "reader_delay_ns": delay_ns(circuit, default_library()),
        "reader_fj_per_weight": 1e3 * found["readers_pj"] / weights,
    }


def _read_weights(demand: Demand, target: Any) -> float:
    return demand.weight_elements * count(demand, target.shape).weight_passes


def _relative(row: dict[str, Any], plain: dict[str, Any]) -> dict[str, Any]:
    """What is removed, and what is added, against the unprotected network."""
    more = row["bits"] / plain["bits"]
    found: dict[str, Any] = {"check_bits_ratio": more - 1}
    if plain["sdc"][1] > more * row["sdc"][2]:
        found["removed"] = 1 - more * row["sdc"][0] / plain["sdc"][0]
        found["removed_low"] = 1 - more * row["sdc"][2] / plain["sdc"][1]
    for name in ("energy_pj", "area_um2", "memory_bits"):
        if name in row:
            found[f"{name.partition('_')[0]}_ratio"] = row[name] / plain[name] - 1
    return found


def in_place(task: Any, epochs: int) -> list[dict[str, Any]]:
    """Test accuracy with 7 of 8 weights within +-63: scales fitted or kept, before and after training."""
    sites = lx.find_sites(task.model, task.example_input, exact=task.exact)
    rows = []
    trainings = {"": None, f"{epochs} epochs": lx.Recovery(epochs=epochs, learning_rate=1e-3)}
    scales: dict[str, tuple[Approximation, ...]] = {
        "none": (), "fitted": (InPlaceEcc(),), "kept": (InPlaceEcc("kept"),)
    }  # fmt: skip
    for name, choices in scales.items():
        for trained, recovery in trainings.items():
            if recovery is not None and (name != "kept" or not epochs):
                continue
            model = lx.approximate(task, lx.Plan.assign(sites, [Integer(), *choices]))
            if recovery is not None:
                lx.retrain(model, task, recovery, seed=SEED, teacher=task.model)
            quality = predict(model, task, "test").quality()
            rows.append({"scale": name, "training": trained, "accuracy": quality.value, "images": quality.samples})
    return rows


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--task", default="digits")
    parser.add_argument("--data-dir", default=None)
    parser.add_argument("--weights", default=None)
    parser.add_argument("--faults", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=4, help="of training with the scales kept; 0 for none")
    parser.add_argument("--only", nargs="+", default=(), help="labels of protections")
    parser.add_argument("--formats", nargs="*", choices=list(PROTECTIONS), default=list(PROTECTIONS))
    return parser.parse_args()


def _text(found: dict[str, Any]) -> str:
    lines = [f"{found['task']}, {found['faults']} faults each, intervals at 99 %"]
    percent: Callable[[list[float]], str] = lambda x: f"{100 * x[0]:.4f} ({100 * x[1]:.4f} .. {100 * x[2]:.4f})"  # noqa: E731
    for row in found["rows"]:
        parts = [
            f"{row['format']} {row['protection']:<22}",
            f"accuracy {100 * row['accuracy']:.2f} %",
            f"check bits {100 * row['check_bits_ratio']:+.2f} %",
            f"flips that change words {row['flips_that_change_words']} of {row['bits']}",
            f"noticed {row['flips_noticed']}",
            f"SDC % {percent(row['sdc'])}",
            f"DUE % {percent(row['due'])}",
        ]
        if "removed" in row:
            parts.append(f"removed {100 * row['removed']:.2f} %, at least {100 * row['removed_low']:.2f} %")
        if "reader" in row:
            parts += [
                f"{row['reader']}: {row['reader_area_um2']:.0f} um2, {row['reader_delay_ns']:.2f} ns, "
                f"{row['reader_fj_per_weight']:.1f} fJ per weight",
                f"network: energy {100 * row['energy_ratio']:+.3f} %, area {100 * row['area_ratio']:+.3f} %, "
                f"stored bits {100 * row['memory_ratio']:+.2f} %",
            ]
        lines.append("; ".join(parts))
    for row in found["in_place"]:
        lines.append(
            f"in place, scales {row['scale']}, {row['training'] or 'untrained'}: {100 * row['accuracy']:.2f} %"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
