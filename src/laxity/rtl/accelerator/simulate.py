"""Simulation of a written accelerator against its vectors, step by step."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from laxity.core.errors import RunError, ToolError
from laxity.eda.run import Finished, ToolRunError, run
from laxity.eda.tools import Tool, available, find
from laxity.rtl.accelerator.write import REPORT

TIMEOUT_S = 3600.0
"""Time that a simulation may take unless the caller says otherwise."""

GATES = "gates"
"""Simulator of laxity itself, which runs the accelerator mapped to standard cells; it needs nothing but Yosys."""

_PROGRAMS = {"iverilog": ("iverilog", "vvp"), "verilator": ("verilator",), GATES: ("yosys",)}

SIMULATORS = tuple(_PROGRAMS)
"""What can simulate an accelerator."""

_COMPILED = "bench.out"
# The makefile in the wheel was written on a machine without a compiler to ask, so that these are empty.
_WHEEL_MAKE = "CFG_CXXFLAGS_STD=-std=c++20 CFG_CXXFLAGS_PCH_I=-include CFG_LDLIBS_THREADS=-pthread PYTHON3=python3"
_STEP = re.compile(r"^STEP (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)$", re.M)
_RESULT = re.compile(r"^RESULT (\d+) (\d+)$", re.M)
_END = re.compile(r"^(PASS|FAIL) .*$", re.M)


@dataclass(frozen=True, slots=True)
class StepResult:
    """What the simulation says of one step, over all images.

    Attributes:
        name, kind: of the step.
        codes: integers compared after the step, lanes without a channel among them; 0 for the step that makes the
            result, whose integers are compared as they leave.
        wrong_codes: of them, how many differ.
        sums: sums of a product step compared before requantisation.
        wrong_sums: of them, how many differ.
        cycles: that the step took for the last image.
        planned_cycles: by the schedule.
    """

    name: str
    kind: str
    codes: int
    wrong_codes: int
    sums: int
    wrong_sums: int
    cycles: int
    planned_cycles: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a simulation says.

    Attributes:
        tool: that simulated, with its version.
        images: how many.
        steps: one after the other.
        results: integers of the result compared.
        wrong_results: of them, how many differ.
        passed: nothing differs, for any image, cycles and framing included.
        message: last line of the test bench.
        time_s: of the simulation, without compilation.
    """

    tool: str
    images: int
    steps: tuple[StepResult, ...]
    results: int
    wrong_results: int
    passed: bool
    message: str
    time_s: float

    @property
    def compared(self) -> int:
        """All integers that were compared."""
        return self.results + sum(s.codes + s.sums for s in self.steps)

    @property
    def mismatches(self) -> int:
        """All integers that differ."""
        return self.wrong_results + sum(s.wrong_codes + s.wrong_sums for s in self.steps)

    @property
    def cycles(self) -> int:
        """Clock cycles of one image."""
        return sum(s.cycles for s in self.steps)


def default_simulator() -> str:
    """Icarus Verilog where it is installed, which simulates what was written, and otherwise `GATES`."""
    return "iverilog" if available("iverilog") and available("vvp") else GATES


def find_simulator(tool: str | None = None) -> None:
    """Look for the programs that `simulate` needs with a tool; for the default one if None.

    Raises:
        ToolError: one is missing or too old, or the tool is unknown.
    """
    for program in _PROGRAMS[_known(tool)]:
        find(program)


def _known(tool: str | None) -> str:
    tool = default_simulator() if tool is None else tool
    if tool not in SIMULATORS:
        raise ToolError(f"laxity simulates with {' or '.join(SIMULATORS)}, not with {tool!r}")
    return tool


def simulate(
    folder: Path, tool: str | None = None, *, structural: bool = False, timeout_s: float = TIMEOUT_S
) -> Simulation:
    """Simulate a written accelerator on its vectors.

    Args:
        folder: from `write_accelerator`.
        tool: ``iverilog``; ``verilator``, which takes a minute or more to compile and then is much faster, and needs
            make and a C++ compiler; or ``gates``, all cells of the accelerator that Yosys has mapped, all images at
            once. The first or the last if None, see `default_simulator`.
        structural: simulate the netlists of multipliers gate by gate instead of looking products up; ``verilator`` and
            ``gates`` do so always.
        timeout_s: wall-clock limit of compilation, and of simulation, of other tools than ``gates``.

    Raises:
        ToolError: the tool is missing, too old or unknown.
        ToolRunError: it fails, warns, or runs out of time.
        RunError: the folder holds no accelerator.
    """
    tool = _known(tool)
    if tool == GATES:
        from laxity.rtl.silicon import simulate_gates

        return simulate_gates(folder)
    compiler = find(tool)
    report, sources, memories = _read(folder, structural or tool == "verilator")
    if tool == "verilator":
        done = _verilator(compiler, sources, memories, timeout_s)
    else:
        done = _iverilog(compiler, sources, memories, timeout_s, [] if structural else ["-DSIM_TABLE"])
    return _parse(done.stdout, report, compiler.identity, done.seconds)


def _iverilog(
    compiler: Tool,
    sources: Mapping[str, bytes],
    memories: Mapping[str, bytes],
    timeout_s: float,
    definitions: Sequence[str],
) -> Finished:
    runtime = find("vvp")
    options = ["-g2005", "-Wall", *definitions, "-o", _COMPILED]
    built = run(compiler, [*options, *sources], sources, [_COMPILED], timeout_s)
    warnings = [line for line in (built.stdout + built.stderr).splitlines() if line.strip()]
    if warnings:
        raise ToolRunError(f"{compiler.identity} warns about the Verilog: {' | '.join(warnings[:4])}")
    files = {_COMPILED: built.outputs[_COMPILED], **memories}
    return run(runtime, ["-n", _COMPILED], files, [], timeout_s)


def _verilator(
    compiler: Tool, sources: Mapping[str, bytes], memories: Mapping[str, bytes], timeout_s: float
) -> Finished:
    options = ["--binary", "--timing", "-O3", "-Wno-fatal", "--Mdir", ".", "-o", _COMPILED, "--top-module", "bench"]
    if compiler.provider == "wheel":
        options += ["-MAKEFLAGS", _WHEEL_MAKE]
    built = run(compiler, [*options, *sources], sources, [_COMPILED], timeout_s)
    files = {_COMPILED: built.outputs[_COMPILED], **memories}
    # What Verilator makes is a program of its own; files arrive without the right to be executed.
    shell = replace(compiler, command=("/bin/sh",), provider="system")
    return run(shell, ["-c", f"chmod +x {_COMPILED} && ./{_COMPILED}"], files, [], timeout_s)


def _read(folder: Path, structural: bool) -> tuple[dict[str, object], dict[str, bytes], dict[str, bytes]]:
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        sources = {p.name: p.read_bytes() for p in sorted((folder / "rtl").glob("*.v"))}
        bench = sorted((folder / "bench").glob("bench.v" if structural else "*.v"))
        sources |= {p.name: p.read_bytes() for p in bench}
        memories = {p.name: p.read_bytes() for p in sorted((folder / "memory").glob("*.hex"))}
    except (OSError, ValueError) as error:
        raise RunError(f"{folder} holds no accelerator: {error}; write one with write_accelerator") from error
    return report, sources, memories


def _parse(said: str, report: Mapping[str, object], tool: str, time_s: float) -> Simulation:
    result, end = _RESULT.search(said), _END.search(said)
    planned = report["steps"]
    found = [tuple(int(v) for v in line) for line in _STEP.findall(said)]
    if result is None or end is None or not isinstance(planned, list) or len(found) != len(planned):
        raise ToolRunError(f"{tool}: the test bench ended early; it printed {said.strip()[-300:]!r}")
    steps = tuple(_step(p, numbers) for p, numbers in zip(planned, found, strict=True))
    images = int(str(report["images"]))
    return Simulation(tool, images, steps, int(result[1]), int(result[2]), end[1] == "PASS", end[0], time_s)


def _step(planned: Mapping[str, Any], numbers: tuple[int, ...]) -> StepResult:
    _, codes, wrong_codes, sums, wrong_sums, cycles = numbers
    return StepResult(planned["name"], planned["kind"], codes, wrong_codes, sums, wrong_sums, cycles, planned["cycles"])
