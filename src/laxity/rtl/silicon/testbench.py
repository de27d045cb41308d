"""Runs a mapped accelerator on its vectors and compares every integer, as the test bench in Verilog does.

Every image has a lane of its own and is worked off from reset on; all lanes run together, as no decision of the control
depends on data. That is checked, in every cycle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from laxity.circuits.simulate import Words
from laxity.core.errors import RunError
from laxity.rtl.accelerator.simulate import StepResult
from laxity.rtl.silicon.engine import Contents, Counts, Kind, State, make_engine, make_state
from laxity.rtl.silicon.netlist import Netlist
from laxity.rtl.silicon.vectors import Planned, Vectors

STREAM_IN, STREAM_OUT = "stream in", "stream out"
"""Names of the phases before and after the steps of the program."""

STREAM = "stream"
"""Their kind."""

ACTIVATIONS = "activations"
"""Memory whose words are compared after every step."""

Observer = Callable[[int, int, State], None]
"""Called in every cycle when all nets have settled: phase, cycle in it from 0, state."""

_ALL = ~np.uint64(0)
_CONTROL = ("s_axis_tready", "step_done", "total_valid", "m_axis_tvalid", "m_axis_tlast", "framing_error")
_SLACK = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Phase:
    """What happens in the cycles of one step, or while a stream is open, over all images.

    Attributes:
        name, kind: of the step; `STREAM_IN` or `STREAM_OUT` of kind `STREAM`.
        cycles: of one image.
        toggles: changes of settled values by row, int64 (rows,).
        reads, writes: accesses by memory, int64 (memories,).
    """

    name: str
    kind: str
    cycles: int
    toggles: Counts
    reads: Counts
    writes: Counts


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What a run found.

    Attributes:
        phases: what happened, in order; of a run that was given up, those that ended.
        steps: what was compared.
        results: integers of the result compared.
        wrong_results: of them, how many differ.
        errors: what is wrong besides integers that differ, in words.
        state: after the last cycle.
    """

    phases: tuple[Phase, ...]
    steps: tuple[StepResult, ...]
    results: int
    wrong_results: int
    errors: tuple[str, ...]
    state: State


class _GivenUpError(RunError):
    """The run cannot go on; says why."""


@dataclass(slots=True)
class _Comparison:
    """Counts of one step so far."""

    codes: int = 0
    wrong_codes: int = 0
    sums: int = 0
    wrong_sums: int = 0
    cycles: int = 0


def run_netlist(
    netlist: Netlist,
    vectors: Vectors,
    *,
    pauses: bool = True,
    kind: Kind = "auto",
    seed: int = 0,
    observer: Observer | None = None,
) -> Trace:
    """Run all images.

    Args:
        netlist: a mapped accelerator.
        vectors: of the same accelerator.
        pauses: both streams pause now and then, with the pattern of the test bench in Verilog.
        kind: of the engine.
        seed: of what flip-flops and memories hold before reset.
        observer: called in every cycle.

    Raises:
        CircuitError: the netlist lacks a port of an accelerator.
        RunError: it lacks the memory of activations.
    """
    bench = _Bench(netlist, vectors, pauses, kind, seed, observer)
    try:
        bench.run()
    except _GivenUpError as error:
        bench.errors.append(str(error))
    return bench.trace()


@dataclass(slots=True)
class _Streams:
    """The other ends of both streams: what they do in this cycle, and pauses that come from a shift register."""

    beats: int
    pauses: bool
    sent: int = 0
    s_valid: bool = False
    m_ready: bool = False
    register: int = 1

    def after(self, *, s_ready: bool) -> None:
        """Go on to the next cycle."""
        taken = self.s_valid and s_ready
        left = self.sent + taken < self.beats
        r = self.register
        if self.pauses:
            self.s_valid = (self.s_valid and not s_ready) or (bool(r & 1) and left)
            self.m_ready = bool(r >> 1 & 1 | r >> 4 & 1)
        else:
            self.s_valid, self.m_ready = left, True
        self.sent += taken
        self.register = (r << 1 & 0xFF) | ((r >> 7 ^ r >> 5 ^ r >> 4 ^ r >> 3) & 1)


class _Bench:
    def __init__(
        self, netlist: Netlist, vectors: Vectors, pauses: bool, kind: Kind, seed: int, observer: Observer | None
    ) -> None:
        self.netlist, self.vectors, self.observer = netlist, vectors, observer
        self.state = make_state(netlist, vectors.mask, seed)
        self.engine = make_engine(self.state, kind)
        rows = self.state.rows
        self.pins = {port.name: rows.rows(port.nets) for port in (*netlist.inputs, *netlist.outputs)}
        self.control = rows.rows([netlist.logic.port(name).nets[0] for name in _CONTROL])
        self.words = self._activations()
        self.driven = self.state.nets[rows.inputs : rows.flip_flops].copy()
        self.streams = _Streams(vectors.parameters["IN_WORDS"], pauses)
        self.names = [(STREAM_IN, STREAM), *((s.name, s.kind) for s in vectors.steps), (STREAM_OUT, STREAM)]
        self.compared = [_Comparison() for _ in vectors.steps]
        self.phases: list[Phase] = []
        self.errors: list[str] = []
        self.cycle = self.summed = self.received = self.wrong_results = 0
        self.seen = (self.state.toggles.copy(), self.state.reads.copy(), self.state.writes.copy())

    def _activations(self) -> Contents:
        for memory, store in zip(self.netlist.memories, self.state.stores, strict=True):
            if memory.name == ACTIVATIONS:
                return store
        raise RunError(f"{self.netlist.name} has no memory {ACTIVATIONS!r}, so it is no accelerator of laxity")

    def run(self) -> None:
        """Reset, and then all cycles until the result has left."""
        state = self.state
        self.drive(reset=True)
        for _ in range(self.vectors.parameters["ROWS"] + self.vectors.parameters["COLUMNS"] + 16):
            self.engine.settle()
            state.toggles[:], state.reads[:], state.writes[:] = 0, 0, 0
            self.engine.clock()
        self.streams.after(s_ready=False)
        while len(self.phases) < len(self.names):
            self.drive(reset=False)
            self.engine.settle()
            self.observe()

    def drive(self, *, reset: bool) -> None:
        """Put values on the inputs."""
        streams, state, first = self.streams, self.state, self.state.rows.inputs
        values = {
            "rst": reset,
            "s_axis_tvalid": streams.s_valid,
            "s_axis_tlast": streams.sent == streams.beats - 1,
            "m_axis_tready": streams.m_ready,
        }
        for name, value in values.items():
            self.driven[self.pins[name] - first] = _ALL if value else 0
        if "s_axis_tdata" in self.pins:
            self.driven[self.pins["s_axis_tdata"] - first] = self.vectors.inputs[min(streams.sent, streams.beats - 1)]
        part = slice(first, state.rows.flip_flops)
        changed = (state.nets[part] ^ self.driven) & state.mask
        state.toggles[part] += np.bitwise_count(changed).sum(1, dtype=np.int64)
        state.nets[part] = self.driven

    def observe(self) -> None:
        """Look at a cycle whose nets have settled, and apply the edge that ends it."""
        phase, streams = len(self.phases), self.streams
        if self.observer is not None:
            self.observer(phase, self.cycle, self.state)
        s_ready, done, total_valid, m_valid, m_last, framing = self.flags()
        if framing:
            raise _GivenUpError(f"the input stream reports a framing error {self.where()}")
        first, last = phase == 0, phase == len(self.names) - 1
        if s_ready != first or (m_valid and not last) or (done and (first or last)):
            raise _GivenUpError(f"the control does something else than planned {self.where()}")
        if total_valid:
            self.compare_sums(phase - 1)
        if last:
            ends = m_valid and streams.m_ready and self.receive(last=m_last)
        else:
            ends = streams.s_valid and streams.sent == streams.beats - 1 if first else done
        if done:
            self.compared[phase - 1].cycles = self.integer("step_cycles")
        self.edge(phase, ends=ends)
        streams.after(s_ready=s_ready)

    def edge(self, phase: int, *, ends: bool) -> None:
        """Apply an edge; where a phase ends with it, note what happened and compare what it left."""
        toggles = self.state.toggles.copy() if ends else self.seen[0]
        self.engine.clock()
        self.cycle += 1
        if not ends:
            limit = 9 * len(self.vectors.inputs) + 9 * len(self.vectors.results) + _SLACK
            if 0 < phase < len(self.names) - 1:
                limit += self.vectors.steps[phase - 1].cycles
            if self.cycle > limit:
                raise _GivenUpError(f"nothing ends {self.where()}")
            return
        now = (toggles, self.state.reads.copy(), self.state.writes.copy())
        name, kind = self.names[phase]
        self.phases.append(Phase(name, kind, self.cycle, *(a - b for a, b in zip(now, self.seen, strict=True))))
        self.seen, self.cycle = now, 0
        if kind != STREAM:
            self.compare_codes(phase - 1)

    def flags(self) -> list[bool]:
        """The signals of `_CONTROL`, which are the same for all images."""
        words = self.state.nets[self.control]
        if not ((words == 0) | (words == _ALL)).all() or (words != words[:, :1]).any():
            ready = words[_CONTROL.index("m_axis_tvalid")].any()
            names = [n for n, w in zip(_CONTROL, words, strict=True) if w.any() and (w != _ALL).any()]
            if ready or names != ["m_axis_tlast"]:
                raise _GivenUpError(f"images part: {', '.join(names)} differ(s) between them {self.where()}")
        return [bool(word) for word in words[:, 0].tolist()]

    def integer(self, name: str) -> int:
        """An output that is the same for all images."""
        words = self.state.nets[self.pins[name]]
        if not ((words == 0) | (words == _ALL)).all() or (words != words[:, :1]).any():
            raise _GivenUpError(f"images part: {name} differs between them {self.where()}")
        return sum(1 << bit for bit, word in enumerate(words[:, 0].tolist()) if word)

    def where(self) -> str:
        """Say which cycle it is."""
        return f"in cycle {self.cycle} of {self.names[len(self.phases)][0]}"

    def differ(self, found: Words, expected: Words, lanes: int) -> npt.NDArray[np.int64]:
        """How many images differ in each lane of some words (words, bits, image words): int64 (words, lanes)."""
        wrong = (found ^ expected).reshape(len(found), lanes, -1, found.shape[2])
        return np.bitwise_count(np.bitwise_or.reduce(wrong, 2) & self.vectors.mask).sum(2, dtype=np.int64)

    def compare_codes(self, step: int) -> None:
        """Words of activations after a step, and its cycles."""
        planned, compared = self.vectors.steps[step], self.compared[step]
        lanes, images = self.vectors.parameters["ROWS"], self.vectors.images
        if planned.cycles != compared.cycles or self.phases[-1].cycles != compared.cycles:
            self.errors.append(
                f"{planned.name} took {self.phases[-1].cycles} cycles, counted {compared.cycles} and was planned with "
                f"{planned.cycles}"
            )
        first = sum(s.words for s in self.vectors.steps[:step])
        expected = self.vectors.codes[first : first + planned.words]
        if planned.words:
            found = self.words.words[planned.base : planned.base + planned.words]
            compared.codes = planned.words * lanes * images
            compared.wrong_codes = int(self.differ(found, expected, lanes).sum())

    def compare_sums(self, step: int) -> None:
        """Sums that go to requantisation in this cycle."""
        lanes = self.vectors.parameters["ROWS"]
        if not 0 <= step < len(self.compared) or self.summed >= len(self.vectors.sums):
            raise _GivenUpError(f"there are more sums than planned {self.where()}")
        expected = self.vectors.sums[self.summed]
        chosen = expected[32 * lanes :, 0] != 0
        found = self.state.nets[self.pins["total"]][None]
        wrong = self.differ(found, expected[None, : 32 * lanes], lanes)[0]
        self.compared[step].sums += int(chosen.sum()) * self.vectors.images
        self.compared[step].wrong_sums += int(wrong[chosen].sum())
        self.summed += 1

    def receive(self, *, last: bool) -> bool:
        """Take an integer of the result; whether it is the last one."""
        if self.received >= len(self.vectors.results):
            raise _GivenUpError(f"more leaves than the result {self.where()}")
        expected = self.vectors.results[self.received]
        found = self.state.nets[self.pins["m_axis_tdata"]]
        self.wrong_results += int(self.differ(found[None], expected[None], 1).sum())
        self.received += 1
        if last != (self.received == len(self.vectors.results)):
            raise _GivenUpError(f"tlast comes with integer {self.received} of {len(self.vectors.results)}")
        return last

    def trace(self) -> Trace:
        """Everything that was found."""
        if len(self.phases) == len(self.names) and self.summed != len(self.vectors.sums):
            self.errors.append(f"{self.summed} words of sums came instead of {len(self.vectors.sums)}")
        pairs = zip(self.vectors.steps, self.compared, strict=True)
        steps = tuple(_result(planned, compared) for planned, compared in pairs)
        results = self.received * self.vectors.images
        return Trace(tuple(self.phases), steps, results, self.wrong_results, tuple(self.errors), self.state)


def _result(planned: Planned, found: _Comparison) -> StepResult:
    return StepResult(
        planned.name,
        planned.kind,
        found.codes,
        found.wrong_codes,
        found.sums,
        found.wrong_sums,
        found.cycles,
        planned.cycles,
    )
