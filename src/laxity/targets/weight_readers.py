"""Hardware that protected weights pass between the weight buffer and an array of C columns.

Every cycle in which weights are loaded brings one weight to each column, so code words of w weights need ceil(C / w)
readers side by side; sites with different protections have readers of their own. Weights are read through them once per
pass over the stationary operands, code word by code word. Behind each reader stand registers for its weights and its
alarm; comparators have registers for their limits besides, which rest. Check bits are stored and moved with the weights
and need no encoder on the chip: whoever loads the weights has computed them.

Switching is that of the netlists (`laxity.circuits.protection`) without faults, on code words of weights drawn from
those sampled at the site, or uniformly where there is no trace. Votes are taken on the uppermost bits.

Not counted: selection between readers of different kinds, what is done with an alarm, loading of limits, wires.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from laxity.circuits.activity import switching_energy
from laxity.circuits.cells import CellLibrary, default_library
from laxity.circuits.hsiao import check_bits
from laxity.circuits.netlist import Circuit
from laxity.circuits.protection import FREE_BIT, reader, syndrome_columns
from laxity.circuits.timing import delay_ns
from laxity.core.demand import Demand, IntArray, Protection
from laxity.core.errors import CircuitError, TargetError
from laxity.core.seeds import stream
from laxity.targets.checks import fitting_unit
from laxity.targets.correction import Activity
from laxity.targets.modes import mode_parts

_SEGMENTS, _STEPS = 8, 129
"""Of the code words whose switching is simulated."""


@dataclass(frozen=True, slots=True)
class Reader:
    """What reads code words of one kind.

    Attributes:
        name: of the netlist.
        weight_bits: of a weight.
        weights: of a code word.
        circuit: the netlist.
    """

    name: str
    weight_bits: int
    weights: int
    circuit: Circuit

    @property
    def registers(self) -> int:
        """Register bits behind it: weights that it may change, and an alarm."""
        alarm = any(port.name == "alarm" for port in self.circuit.outputs)
        changes = any(port.name != "alarm" for port in self.circuit.outputs)
        return self.weight_bits * self.weights * changes + alarm

    @property
    def limits(self) -> int:
        """Register bits of limits before it."""
        return sum(port.width for port in self.circuit.inputs if port.name in {"low", "high"})


@dataclass(frozen=True, slots=True)
class WeightReaders:
    """The readers that some sites need together.

    Attributes:
        columns: of the array.
        kinds: different readers, by name.
    """

    columns: int
    kinds: tuple[Reader, ...]

    @staticmethod
    def of(demands: Sequence[Demand], columns: int) -> WeightReaders | None:
        """The readers that some sites need; None if no weights are protected.

        Raises:
            TargetError: there is no such circuit; names the site.
        """
        kinds: dict[str, Reader] = {}
        for demand in demands:
            if demand.protection is not None:
                found = _reader(demand, demand.protection)
                kinds[found.name] = found
        return WeightReaders(columns, tuple(kinds[name] for name in sorted(kinds))) if kinds else None

    def count(self, kind: Reader) -> int:
        """Readers of a kind side by side."""
        return -(-self.columns // kind.weights)

    @property
    def flip_flops(self) -> int:
        """Registers of all readers."""
        return sum(self.count(k) * (k.registers + k.limits) for k in self.kinds)

    def area_um2(self, library: CellLibrary) -> float:
        """Cells and flip-flops."""
        gates = sum(self.count(k) * library.area_um2(k.circuit) for k in self.kinds)
        return gates + self.flip_flops * library.flip_flop.area_um2

    def leakage_nw(self, library: CellLibrary) -> float:
        """Leakage of the same."""
        gates = sum(self.count(k) * library.leakage_nw(k.circuit) for k in self.kinds)
        return gates + self.flip_flops * library.flip_flop.leakage_nw

    def slowest(self, library: CellLibrary) -> tuple[str, float]:
        """Name and delay in ns of the slowest reader, without the registers' own timing."""
        delays = {k.name: delay_ns(k.circuit, library) for k in self.kinds}
        name = max(delays, key=delays.__getitem__)
        return name, delays[name]

    @property
    def parts(self) -> str:
        """What the hardware consists of."""
        return ", ".join(f"{self.count(k)} {k.name}" for k in self.kinds)

    def activity(self, demand: Demand) -> Activity:
        """What reading one code word of a site takes; nothing where its weights are not protected."""
        if demand.protection is None:
            return Activity(0.0, 0.0, 0)
        kind = _reader(demand, demand.protection)
        words = _weights(demand, kind)
        energy = _switching_pj(kind, words.shape, words.tobytes())
        changed = np.bitwise_count(words[:, 1:] ^ words[:, :-1]).sum(-1).mean() if kind.registers > 1 else 0.0
        return Activity(energy, float(changed), kind.registers)

    def source(self, demand: Demand) -> str:
        """Where the energy of a site comes from."""
        operands = f"sampled at {demand.site}" if demand.trace is not None else "drawn uniformly (no trace was taken)"
        return (
            f"switching and clock of {self.parts}, netlists on code words of weights {operands}, inertial delays, "
            f"45 nm cell table ({default_library().name})"
        )


def _reader(demand: Demand, protection: Protection) -> Reader:
    try:
        circuit = reader(protection.circuit)
    except CircuitError as error:
        raise TargetError(f"site {demand.site!r}: {error}") from error
    return Reader(protection.circuit, demand.widest_weight_bits, protection.weights, circuit)


def _weights(demand: Demand, kind: Reader) -> IntArray:
    """Words of code words in the order of reading, int64 (segments, steps, weights), as they are written."""
    generator = stream(0, "weight readers", kind.name, demand.site)
    bits, shape = kind.weight_bits, (_SEGMENTS, _STEPS, kind.weights)
    if demand.trace is None:
        words = generator.integers(0, 1 << bits, shape)
    else:
        shift = max(0, fitting_unit(mode_parts(demand)[0].demand).widths[1] - bits)
        own = (demand.trace.weights >> shift | demand.trace.weight_signs << (bits - 1)) & ((1 << bits) - 1)
        words = own[generator.integers(0, len(own), shape)]
    if kind.name.startswith("inplace"):
        words[..., :-1] &= ~(1 << FREE_BIT)
    return np.asarray(words, dtype=np.int64)


@functools.lru_cache(maxsize=256)
def _switching_pj(kind: Reader, shape: tuple[int, ...], words: bytes) -> float:
    """Switching per code word; arrays come as bytes, by which results are remembered."""
    given = streams(kind, np.frombuffer(words, dtype=np.int64).reshape(shape))
    return switching_energy(kind.circuit, given, default_library()).energy_pj


def streams(kind: Reader, words: IntArray) -> dict[str, IntArray]:
    """What the ports of a reader see for written words without faults.

    Args:
        kind: the reader.
        words: int64 (segments, steps, weights).

    Returns:
        int64 (segments, steps) by port.
    """
    if kind.name.startswith("majority"):
        copy = words[..., 0] >> (kind.weight_bits - kind.circuit.port("first").width)
        return dict.fromkeys(("first", "second", "third"), copy)
    found = {f"w{i}": words[..., i] for i in range(kind.weights)}
    if kind.name.startswith("range"):
        magnitudes = np.abs(words[..., 0]) & ((1 << (kind.weight_bits - 1)) - 1)
        limit = np.broadcast_to(magnitudes.max(axis=1, keepdims=True), magnitudes.shape)
        return found | {"low": limit, "high": limit}
    if kind.name.startswith("parity"):
        return found | {"check": np.bitwise_count(np.bitwise_xor.reduce(words, axis=-1)).astype(np.int64) & 1}
    in_place = kind.name.startswith("inplace")
    columns = np.array(syndrome_columns(kind.weight_bits, kind.weights, in_place=in_place))
    rows = kind.weights - 1 if in_place else check_bits(kind.weight_bits * kind.weights)
    check = [_parity_of(words, columns >> row & 1, kind.weight_bits) for row in range(rows)]
    if in_place:
        return found | {f"w{i}": found[f"w{i}"] | bit << FREE_BIT for i, bit in enumerate(check)}
    return found | {"check": sum((bit << row for row, bit in enumerate(check)), np.zeros_like(check[0]))}


def _parity_of(words: IntArray, chosen: IntArray, bits: int) -> IntArray:
    """Parity of the chosen bits (weights, bits) of code words (..., weights)."""
    masks = (chosen << np.arange(bits)).sum(1)
    return np.bitwise_count(np.bitwise_xor.reduce(words & masks, axis=-1)).astype(np.int64) & 1
