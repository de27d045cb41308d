"""The accelerator in a folder: Verilog, memory images, test bench with vectors, and how to use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from laxity.circuits import Multiplier
from laxity.core.errors import DataError
from laxity.core.interpret import run_program
from laxity.core.program import INPUT, Program
from laxity.core.seeds import stream
from laxity.core.serial import canonical, to_json, write_atomic
from laxity.rtl.accelerator.bench import bench_text, hex_words, vectors
from laxity.rtl.accelerator.configuration import Configuration
from laxity.rtl.accelerator.readme import readme_text
from laxity.rtl.accelerator.schedule import Schedule, make_schedule
from laxity.rtl.accelerator.verilog import Design, design, table_module, table_text, verilog_files

REPORT = "accelerator.json"
"""File that says what the folder holds: configuration, steps, counts."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes:
        files: all paths.
        schedule: what the accelerator executes, with counts per step.
    """

    files: tuple[Path, ...]
    schedule: Schedule


def write_accelerator(
    program: Program,
    circuits: Mapping[str, Multiplier],
    configuration: Configuration,
    folder: Path,
    inputs: NDArray[np.integer] | None = None,
    origin: Mapping[str, str] | None = None,
) -> Written:
    """Write an accelerator for an integer-only network.

    Args:
        program: the network.
        circuits: the multipliers that it names, each with its netlist.
        configuration: size of the array.
        folder: is made; gets ``rtl/`` (synthesisable Verilog), ``memory/`` (contents of memories), ``bench/`` (test
            bench and product tables for simulation), README.txt and accelerator.json. Vectors lie in ``memory/`` too.
        inputs: codes of test images, integers (batch, *program.input_shape), from which vectors are made; two images of
            random codes if None.
        origin: what the network was made of, name to hash; kept in accelerator.json.

    Raises:
        PlanError: the accelerator cannot compute a step; names it and says why.
        CircuitError: a multiplier is missing, another one than that of the program, or has no netlist.
        DataError: there is no image, or codes are out of range.
        RunError: the folder cannot be written.
    """
    planned = make_schedule(program, circuits, configuration)
    found = design(planned, circuits)
    images = _random(program) if inputs is None else inputs
    if len(images) == 0:
        raise DataError("vectors are made from at least one image; give input codes of one or more")
    trace = run_program(program, images, {name: m.table for name, m in circuits.items()})
    made = vectors(found, trace)
    texts = {f"rtl/{name}": text for name, text in verilog_files(found).items()}
    texts |= {f"memory/{name}": text for name, text in {**_memories(found), **made.memories}.items()}
    texts["bench/bench.v"] = bench_text(found, made)
    for core in found.cores:
        texts[f"bench/{table_module(core)}.v"] = table_text(core)
        texts[f"memory/{core.table_file}"] = hex_words(core.multiplier.table.reshape(-1, 1), core.product_bits)
    texts["README.txt"] = readme_text(found)
    texts[REPORT] = canonical({**_report(found, made.images), "origin": dict(origin or {})}) + "\n"
    for name, text in texts.items():
        write_atomic(folder / name, text)
    return Written(tuple(folder / name for name in texts), planned)


def _random(program: Program) -> NDArray[np.integer]:
    code = program.input_code
    return stream(0, "accelerator").integers(code.low, code.high + 1, (2, *program.input_shape))


def _memories(found: Design) -> dict[str, str]:
    images, p = found.schedule.images, found.parameters
    weights = np.concatenate([bits | (signs.astype(np.int64) << p["W_BITS"]) for bits, signs in images.weights])
    width = p["WEIGHT_ZERO_BITS"]
    lanes = [
        [
            (lane.bias & 0xFFFFFFFF)
            | lane.multiplier << 32
            | lane.shift << 48
            | (lane.weight_zero & ((1 << width) - 1)) << 54
            for lane in word
        ]
        for word in images.parameters
    ]
    digits = -(-found.descriptor.bits // 4)
    return {
        "weights.hex": hex_words(weights, p["W_BITS"] + 1),
        "parameters.hex": hex_words(np.array(lanes, object), 54 + width),
        "program.hex": "".join(f"{found.descriptor.encode(one):0{digits}x}\n" for one in found.schedule.passes),
    }


def _report(found: Design, images: int) -> dict[str, object]:
    planned, places = found.schedule, found.schedule.layout.places
    compared = {
        s.step.name: {
            "base": places[s.step.name].base,
            "words": 0 if places[s.step.name].output else places[s.step.name].words,
        }
        for s in planned.steps
    }
    return {
        "configuration": to_json(planned.configuration),
        "images": images,
        "input_shape": list(planned.program.shape_of(INPUT)),
        "multipliers": [core.multiplier.name for core in found.cores],
        "cycles": planned.cycles,
        "utilisation": planned.utilisation,
        "parameters": dict(found.parameters),
        "steps": [
            {"name": s.step.name, "kind": s.step.kind, **compared[s.step.name], **to_json(s.counts)}
            for s in planned.steps
        ],
    }
