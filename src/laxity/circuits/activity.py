"""Switching energy of a netlist on given operand streams, with or without glitches.

Source: energy per toggle of an output is its internal energy plus 1/2 C V^2 of the input pins it drives. Glitches come
from an event simulation with one delay per output pin in steps of 10 ps, bit-parallel over transitions: every net
carries a list of times and, for each, the bits of all transitions from then on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from laxity.circuits.cells import CellLibrary
from laxity.circuits.netlist import ONE, ZERO, Circuit, Gate
from laxity.circuits.simulate import CELL_FUNCTIONS, Words, checked_inputs, pack, settle
from laxity.circuits.timing import gate_delays_ps
from laxity.core.errors import CircuitError

Delays = Literal["inertial", "zero"]
"""Delay model: ``"inertial"`` counts glitches at least as long as the gate delay, ``"zero"`` settled values only."""

Counts = npt.NDArray[np.uint8]
"""Toggles of one net: (times, words), each word standing for 64 transitions."""

STEP_PS = 10.0
"""Time step of the event simulation."""

INPUT_BLOCK = "inputs"
"""Block to which the energy of nets driven by input ports is charged."""

_CHUNK = 8192  # transitions simulated together: enough to amortise a numpy call, few enough to stay in cache


@dataclass(frozen=True, slots=True)
class BlockEnergy:
    """Mean energy per transition of one block.

    Attributes:
        block: name of the block; `INPUT_BLOCK` for the nets of input ports.
        net_pj: charging of the nets that the block drives.
        internal_pj: inside its cells.
    """

    block: str
    net_pj: float
    internal_pj: float

    @property
    def energy_pj(self) -> float:
        """Net and internal energy together."""
        return self.net_pj + self.internal_pj


@dataclass(frozen=True, slots=True)
class Switching:
    """Mean switching energy per transition (one step of the streams).

    Attributes:
        blocks: parts by block, sorted by name; they add up to the total.
        transitions: number of transitions averaged over.
        delays: delay model.
    """

    blocks: tuple[BlockEnergy, ...]
    transitions: int
    delays: Delays

    @property
    def energy_pj(self) -> float:
        """Net and internal energy of all blocks."""
        return self.net_pj + self.internal_pj

    @property
    def net_pj(self) -> float:
        """Charging of all nets."""
        return sum(part.net_pj for part in self.blocks)

    @property
    def internal_pj(self) -> float:
        """Energy inside all cells."""
        return sum(part.internal_pj for part in self.blocks)

    def block_pj(self, block: str) -> float:
        """Energy of one block; 0 for a block without gates."""
        return sum(part.energy_pj for part in self.blocks if part.block == block)


def switching_energy(
    circuit: Circuit,
    streams: Mapping[str, npt.ArrayLike],
    library: CellLibrary,
    delays: Delays = "inertial",
) -> Switching:
    """Mean energy per transition when `streams` are applied step by step.

    Args:
        circuit: the netlist; its inputs change together at time 0 and settle before the next step.
        streams: for each input port, unsigned integers (segments, length); a transition is a step inside a segment.
        library: cell figures.
        delays: delay model.

    Raises:
        CircuitError: as `toggle_counts`.
    """
    counts = toggle_counts(circuit, streams, library, delays)
    transitions = _transitions(streams)
    half_v2 = 0.5 * library.voltage_v**2
    loads = library.loads_ff(circuit)
    energy = {INPUT_BLOCK: [0.0, 0.0]}
    for port in circuit.inputs:
        energy[INPUT_BLOCK][0] += sum(int(counts[net]) * half_v2 * loads[net] for net in port.nets)
    for gate in circuit.gates:
        part = energy.setdefault(gate.block, [0.0, 0.0])
        for net, internal in zip(gate.outputs, library.cells[gate.cell].internal_energy_fj, strict=True):
            part[0] += int(counts[net]) * half_v2 * loads[net]
            part[1] += int(counts[net]) * internal
    scale = 1e-3 / transitions
    blocks = tuple(BlockEnergy(name, net * scale, inner * scale) for name, (net, inner) in sorted(energy.items()))
    return Switching(blocks, transitions, delays)


def toggle_counts(
    circuit: Circuit,
    streams: Mapping[str, npt.ArrayLike],
    library: CellLibrary,
    delays: Delays = "inertial",
) -> npt.NDArray[np.int64]:
    """Number of toggles of each net over all transitions, int64 (nets,) by net number.

    Args:
        circuit: the netlist.
        streams: as for `switching_energy`.
        library: cell figures, for the delays.
        delays: delay model.

    Raises:
        CircuitError: an unknown delay model, a port without a stream, streams of different shapes or of fewer than two
            steps, or values that do not fit.
    """
    counts = np.zeros(circuit.net_count(), dtype=np.int64)
    for _, net, toggles in _toggles(circuit, streams, library, delays):
        counts[net] += int(toggles.sum(dtype=np.int64))
    return counts


def segment_energies(
    circuit: Circuit,
    streams: Mapping[str, npt.ArrayLike],
    library: CellLibrary,
    delays: Delays = "inertial",
) -> npt.NDArray[np.float64]:
    """Mean energy per transition of each segment in pJ, float64 (segments,): how energy depends on the operands.

    Args:
        circuit: the netlist.
        streams: as for `switching_energy`; the number of transitions in a segment is a multiple of 64.
        library: cell figures.
        delays: delay model.

    Raises:
        CircuitError: as `toggle_counts`, or segments of other lengths.
    """
    segments, length = np.shape(next(iter(streams.values())))
    if length < 2 or (length - 1) % 64:
        raise CircuitError(
            f"segments have {length - 1} transitions; give a multiple of 64 to tell their energies apart"
        )
    loads = library.loads_ff(circuit)
    toggle_fj = [0.5 * library.voltage_v**2 * load for load in loads]
    for gate in circuit.gates:
        for net, internal in zip(gate.outputs, library.cells[gate.cell].internal_energy_fj, strict=True):
            toggle_fj[net] += internal
    words = np.zeros(segments * (length - 1) // 64)
    for first, net, toggles in _toggles(circuit, streams, library, delays):
        words[first : first + toggles.shape[1]] += toggle_fj[net] * toggles.sum(axis=0, dtype=np.int64)
    return words.reshape(segments, -1).sum(axis=1) * 1e-3 / (length - 1)


def _toggles(
    circuit: Circuit, streams: Mapping[str, npt.ArrayLike], library: CellLibrary, delays: Delays
) -> Iterator[tuple[int, int, Counts]]:
    """First word of a part of the transitions, a net, and its toggles by time and word, for all parts and nets."""
    if delays not in get_args(Delays):
        raise CircuitError(f"unknown delay model {delays!r}; use one of {', '.join(get_args(Delays))}")
    arrays = checked_inputs(circuit, streams)
    shape = next(iter(arrays.values())).shape
    if len(shape) != 2 or shape[0] < 1 or shape[1] < 2:
        raise CircuitError(f"streams have shape {shape}; give (segments, length) with at least two steps in a segment")
    before = {name: array[:, :-1].ravel() for name, array in arrays.items()}
    after = {name: array[:, 1:].ravel() for name, array in arrays.items()}
    for start in range(0, shape[0] * (shape[1] - 1), _CHUNK):
        part = slice(start, start + _CHUNK)
        old = {port.name: pack(before[port.name][part], port.width) for port in circuit.inputs}
        new = {port.name: pack(after[port.name][part], port.width) for port in circuit.inputs}
        for net, toggles in plane_toggles(circuit, old, new, library, delays):
            yield start // 64, net, toggles


def plane_toggles(
    circuit: Circuit, old: Mapping[str, Words], new: Mapping[str, Words], library: CellLibrary, delays: Delays
) -> Iterator[tuple[int, Counts]]:
    """Every net and its toggles when the inputs change from one set of vectors to another.

    Args:
        circuit: the netlist.
        old: bit planes (width, words) of every input port before the change; ports may have any width.
        new: as `old`, after it.
        library: cell figures, for the delays.
        delays: delay model.
    """
    if delays == "zero":
        return _settled_toggles(circuit, old, new)
    return _event_toggles(circuit, old, new, _delay_steps(circuit, library))


def _transitions(streams: Mapping[str, npt.ArrayLike]) -> int:
    segments, length = np.shape(next(iter(streams.values())))
    return int(segments * (length - 1))


def _delay_steps(circuit: Circuit, library: CellLibrary) -> list[tuple[int, ...]]:
    """Delay of each output pin in whole time steps, at least one."""
    return [tuple(max(1, round(delay / STEP_PS)) for delay in delays) for delays in gate_delays_ps(circuit, library)]


def _settled_toggles(
    circuit: Circuit, old: Mapping[str, Words], new: Mapping[str, Words]
) -> Iterator[tuple[int, Counts]]:
    both = {name: np.concatenate([planes, new[name]], axis=1) for name, planes in old.items()}
    nets = settle(circuit, both)
    words = next(iter(old.values())).shape[1]
    for net, values in enumerate(nets):
        yield net, np.bitwise_count(values[:words] ^ values[words:])[None]


@dataclass(slots=True)
class _Wave:
    """Value of one net over time, for all transitions at once.

    Slot 0 of the time axis stands for the time before the step; slot t + 1 for time step t.

    Attributes:
        changes: bool (slots,), True at slot 0 and where any transition changes the net.
        row_at: (slots,), the row of `rows` that holds at each slot.
        rows: (changes, words).
    """

    changes: npt.NDArray[np.bool_]
    row_at: npt.NDArray[np.intp]
    rows: Words


def _event_toggles(
    circuit: Circuit, old: Mapping[str, Words], new: Mapping[str, Words], steps: list[tuple[int, ...]]
) -> Iterator[tuple[int, Counts]]:
    slots = _last_slot(circuit, steps) + 1
    waves: dict[int, _Wave] = {}
    zeros = np.zeros((1, next(iter(old.values())).shape[1]), dtype=np.uint64)
    start = np.array([0])
    waves[ZERO], waves[ONE] = _wave(start, zeros, slots), _wave(start, ~zeros, slots)
    for net, level in circuit.tied_nets():
        waves[net] = _wave(start, ~zeros if level else zeros, slots)
    for port in circuit.inputs:
        for net, was, becomes in zip(port.nets, old[port.name], new[port.name], strict=True):
            waves[net], toggles = _compress(np.array([0, 1]), np.stack([was, becomes]), slots)
            yield net, toggles
    last = {net: index for index, gate in enumerate(circuit.gates) for net in gate.inputs}
    for index, (gate, delays) in enumerate(zip(circuit.gates, steps, strict=True)):
        times, values = _gate_values(gate, waves)
        for net, rows, delay in zip(gate.outputs, values, delays, strict=True):
            waves[net], toggles = _compress(times + delay, _inertial(times, rows, delay), slots)
            yield net, toggles
        for net in {*gate.inputs, *gate.outputs}:
            if last.get(net, index) <= index:
                del waves[net]  # nobody reads it any more; large netlists would fill the memory


def _last_slot(circuit: Circuit, steps: list[tuple[int, ...]]) -> int:
    """Slot of the latest possible event of any net."""
    last = [1] * circuit.net_count()
    for gate, delays in zip(circuit.gates, steps, strict=True):
        latest = max(last[net] for net in gate.inputs)
        for net, delay in zip(gate.outputs, delays, strict=True):
            last[net] = latest + delay
    return max(last)


def _wave(times: npt.NDArray[np.intp], rows: Words, slots: int) -> _Wave:
    changes = np.zeros(slots, dtype=np.bool_)
    changes[times] = True
    return _Wave(changes, changes.cumsum() - 1, rows)


def _compress(times: npt.NDArray[np.intp], rows: Words, slots: int) -> tuple[_Wave, Counts]:
    """Drop times at which nothing changes; returns the wave and its toggles by time and word."""
    toggles = np.bitwise_count(rows[1:] ^ rows[:-1])
    changing = toggles.any(axis=1)
    times[0] = 0
    if not changing.all():
        kept = np.concatenate([[0], np.flatnonzero(changing) + 1])
        times, rows = times[kept], rows[kept]
    return _wave(times, rows, slots), toggles


def _gate_values(gate: Gate, waves: Mapping[int, _Wave]) -> tuple[npt.NDArray[np.intp], tuple[Words, ...]]:
    """Times at which any input changes, and the undelayed outputs from each of them on."""
    inputs = [waves[net] for net in gate.inputs]
    changes = inputs[0].changes
    for wave in inputs[1:]:
        changes = changes | wave.changes
    times = np.flatnonzero(changes)
    rows = [wave.rows.take(wave.row_at[times], axis=0) for wave in inputs]
    return times, CELL_FUNCTIONS[gate.cell](*rows)


def _inertial(times: npt.NDArray[np.intp], rows: Words, delay: int) -> Words:
    """Remove from a waveform every value that lasts less than `delay` steps; the last one stays.

    A value reaches the output only if it holds for the whole delay, otherwise the output keeps what it had.
    """
    unstable: Words | None = None
    for ahead in range(1, min(delay, len(times) - 1)):
        near = times[1 + ahead :] - times[1:-ahead] < delay
        if not near.any():
            break
        if unstable is None:
            unstable = np.zeros_like(rows)
        differs = rows[1 + ahead :] ^ rows[1:-ahead]
        differs[~near] = 0
        unstable[1:-ahead] |= differs
    return rows if unstable is None else _hold(rows, unstable)


def _hold(rows: Words, held: Words) -> Words:
    """Replace held bits by the last bit above that is not held, by prefix doubling; row 0 is never held."""
    result = rows & ~held
    step = 1
    while held.any():
        result[step:] |= held[step:] & result[:-step]
        held[step:] &= held[:-step]
        step *= 2
    return result
