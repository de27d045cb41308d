"""Test bench and vectors: inputs, the integers after every step, and the sums of every product step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from laxity.core.interpret import SUMS
from laxity.core.program import INPUT, CodeArray, Product
from laxity.rtl.accelerator.layout import Place, map_of
from laxity.rtl.accelerator.passes import Pass
from laxity.rtl.accelerator.schedule import StepSchedule
from laxity.rtl.accelerator.verilog import Design

IntArray = NDArray[np.int64]

UNKNOWN = 1 << 32
"""Stands for a sum that is not compared: that of a lane without a channel."""


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """What a test bench sends and expects.

    Attributes:
        images: how many.
        memories: text of the files by name.
        sizes: lines of each file.
    """

    images: int
    memories: Mapping[str, str]
    sizes: Mapping[str, int]


def hex_words(lanes: IntArray, bits: int) -> str:
    """Words of lanes (words, lanes), the first lane in the low bits, one hexadecimal word per line."""
    digits = -(-bits * lanes.shape[-1] // 4)
    mask = (1 << bits) - 1
    lines = []
    for word in lanes.tolist():
        value = 0
        for lane in reversed(word):
            value = value << bits | (lane & mask)
        lines.append(f"{value:0{digits}x}\n")
    return "".join(lines)


def vectors(design: Design, trace: Mapping[str, CodeArray]) -> Vectors:
    """Vectors for the trace of `laxity.core.interpret.run_program`, with the sums of product steps."""
    schedule, p = design.schedule, design.parameters
    places = schedule.layout.places
    inputs = places[INPUT].pack(trace[INPUT])
    kept = [s for s in schedule.steps if not places[s.step.name].output]
    parts = {
        "input.hex": hex_words(inputs.reshape(-1, p["ROWS"]), p["BEAT_BITS"]),
        "codes.hex": hex_words(_joined([places[s.step.name].pack(trace[s.step.name]) for s in kept]), p["CODE_BITS"]),
        "result.hex": _result(places[schedule.program.output.name], trace[schedule.steps[-1].step.name]),
        "sums.hex": _sum_text(_joined([_sums(s, trace, places, p["COLUMNS"]) for s in schedule.steps])),
    }
    images = len(trace[INPUT])
    texts = {name: text or "0\n" for name, text in parts.items()}
    return Vectors(images, texts, {name: text.count("\n") for name, text in texts.items()})


def _joined(parts: list[IntArray]) -> IntArray:
    """Words (images, words, lanes) of several values, image by image."""
    if not parts:
        return np.zeros((0, 1), np.int64)
    both = np.concatenate(parts, 1)
    return both.reshape(-1, both.shape[-1])


def _result(place: Place, codes: CodeArray) -> str:
    """What leaves through the stream: integers without the lanes that carry no channel, one per line."""
    words = place.pack(codes)
    index = np.arange(place.blocks * place.lanes).reshape(place.blocks, 1, place.lanes)
    used = np.broadcast_to(index < place.channels, (place.blocks, place.area, place.lanes)).reshape(-1)
    return hex_words(words.reshape(len(words), -1)[:, used].reshape(-1, 1), 32)


def _sums(found: StepSchedule, trace: Mapping[str, CodeArray], places: Mapping[str, Place], columns: int) -> IntArray:
    """Sums of a product step in the order in which they are made, int64 (images, words, lanes)."""
    step, lanes = found.step, places[found.step.name].lanes
    if not isinstance(step, Product):
        return np.zeros((len(trace[INPUT]), 0, lanes), np.int64)
    channels, height, width = map_of(step.shape, step.name)
    sums = trace[step.name + SUMS].astype(np.int64).reshape(-1, channels, height, width)
    groups = max(1, columns // lanes)
    full = np.full((len(sums), -(-channels // (lanes * groups)) * lanes * groups, height, width), UNKNOWN, np.int64)
    full[:, :channels] = sums
    words, target = [], places[step.name]
    for one in found.passes:
        words.append(_pass_sums(one, full, target, groups, columns))
    return np.concatenate(words, 1)


def _pass_sums(one: Pass, full: IntArray, target: Place, groups: int, columns: int) -> IntArray:
    block, place = divmod(one.out_base - target.base, target.area)
    rows = slice(place // target.width, place // target.width + one.rows)
    lanes, images = target.lanes, len(full)
    part = full[:, block * lanes : (block + groups) * lanes, rows].reshape(images, groups, lanes, -1)
    first = (one.lanes & -one.lanes).bit_length() - 1
    own = (np.arange(lanes) >= first) & (np.arange(lanes) < first + columns)
    masked: IntArray = np.where(own[:, None], part, UNKNOWN)
    return masked.transpose(0, 3, 1, 2).reshape(images, -1, lanes)


def _sum_text(words: IntArray) -> str:
    """Words of sums, above them one bit per lane that says whether it is compared."""
    lines = []
    for word in words.tolist():
        compared = sum((v != UNKNOWN) << lane for lane, v in enumerate(word))
        lanes = (f"{v & 0xFFFFFFFF:08x}" for v in reversed(word))
        lines.append(f"{compared:0{-(-len(word) // 4)}x}" + "".join(lanes) + "\n")
    return "".join(lines)


def bench_text(design: Design, found: Vectors) -> str:
    """The self-checking test bench for these vectors."""
    schedule, p = design.schedule, design.parameters
    places = schedule.layout.places
    lines, first = [], 0
    for index, scheduled in enumerate(schedule.steps):
        place, step = places[scheduled.step.name], scheduled.step
        words = 0 if place.output else place.words
        arguments = (index, place.base, words, first, scheduled.counts.cycles)
        lines.append(f"        {index}: compare({', '.join(map(str, arguments))});  // {step.name}")
        first += words
    used = place_of_result(design)
    values = {
        "STEPS": len(schedule.steps),
        "IMAGES": found.images,
        "ROWS": p["ROWS"],
        "CODE_BITS": p["CODE_BITS"],
        "BEAT_BITS": p["BEAT_BITS"],
        "IN_WORDS": p["IN_WORDS"],
        "CODE_WORDS": first,
        "RESULTS": used.channels * used.area,
        "RESET_CYCLES": p["ROWS"] + p["COLUMNS"] + 16,
        **{f"{name.removesuffix('.hex').upper()}_LINES": n for name, n in found.sizes.items()},
    }
    text = (files(__package__) / "modules" / "bench.v.in").read_text(encoding="ascii")
    parameters = "\n".join(f"  localparam {name} = {value};" for name, value in values.items())
    return text.replace("@PARAMETERS@", parameters).replace("@COMPARISONS@", "\n".join(lines))


def place_of_result(design: Design) -> Place:
    """Where the output lies."""
    return design.schedule.layout.places[design.schedule.program.output.name]
