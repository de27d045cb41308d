"""Bit-parallel evaluation of netlists: 64 input vectors in each machine word."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from laxity.circuits.netlist import ONE, ZERO, Circuit, Gate
from laxity.core.errors import CircuitError

Words = npt.NDArray[np.uint64]
"""Bits of many vectors: vector v is bit v % 64 of word v // 64 along the last axis."""

MAX_TABLE_BITS = 20
"""Largest total operand width for which a product table is made (2**20 entries of 8 bytes)."""


def _half_adder(a: Words, b: Words) -> tuple[Words, ...]:
    return a ^ b, a & b


def _full_adder(a: Words, b: Words, c: Words) -> tuple[Words, ...]:
    half = a ^ b
    return half ^ c, (a & b) | (c & half)


def _inverting_mux(s: Words, x: Words, y: Words) -> tuple[Words, ...]:
    return (~(x ^ (s & (x ^ y))),)


CELL_FUNCTIONS: Mapping[str, Callable[..., tuple[Words, ...]]] = MappingProxyType(
    {
        "INV": lambda a: (~a,),
        "BUF": lambda a: (a,),
        "AND2": lambda a, b: (a & b,),
        "OR2": lambda a, b: (a | b,),
        "NAND2": lambda a, b: (~(a & b),),
        "NAND3": lambda a, b, c: (~(a & b & c),),
        "NOR2": lambda a, b: (~(a | b),),
        "NOR3": lambda a, b, c: (~(a | b | c),),
        "XOR2": lambda a, b: (a ^ b,),
        "XNOR2": lambda a, b: (~(a ^ b),),
        "AOI21": lambda a, b, c: (~((a & b) | c),),
        "AOI22": lambda a, b, c, d: (~((a & b) | (c & d)),),
        "OAI21": lambda a, b, c: (~((a | b) & c),),
        "MUX2": _inverting_mux,
        "HA": _half_adder,
        "FA": _full_adder,
    }
)
"""Output words of each cell from its input words; the pin order is that of `netlist.CELL_PINS`."""


def pack(values: npt.NDArray[np.int64], width: int) -> Words:
    """Turn integers (vectors,) into bit planes (width, words); zeros pad the vectors to a multiple of 64."""
    padded = np.zeros(-(-values.size // 64) * 64, dtype=np.int64)
    padded[: values.size] = values
    planes = np.empty((width, padded.size // 64), dtype=np.uint64)
    for bit in range(width):
        plane = ((padded >> bit) & 1).astype(np.uint8)
        planes[bit] = np.packbits(plane, bitorder="little").view("<u8")
    return planes


_SWAPS = ((7, 0x00AA00AA00AA00AA), (14, 0x0000CCCC0000CCCC), (28, 0x00000000F0F0F0F0))
"""Shifts and masks that transpose an 8 x 8 matrix of bits in a word (H. S. Warren, Hacker's Delight, section 7-3)."""


def unpack(planes: Sequence[Words], count: int) -> npt.NDArray[np.int64]:
    """Turn bit planes (least significant first) back into `count` unsigned integers.

    Eight planes at a time: a byte of each makes an 8 x 8 matrix of bits, whose transpose has a byte of eight vectors.
    """
    values = np.zeros((count + 7) // 8 * 8, dtype=np.int64)
    for first in range(0, len(planes), 8):
        group = np.zeros((values.size // 8, 8), dtype=np.uint8)
        for bit, plane in enumerate(planes[first : first + 8]):
            group[:, bit] = np.ascontiguousarray(plane, dtype="<u8").view(np.uint8)[: len(group)]
        matrix = group.view("<u8").ravel()
        for shift, mask in _SWAPS:
            swapped = (matrix ^ (matrix >> np.uint64(shift))) & np.uint64(mask)
            matrix ^= swapped ^ (swapped << np.uint64(shift))
        values |= matrix.view(np.uint8).astype(np.int64) << first
    return values[:count]


def run_gates(gates: Sequence[Gate], nets: list[Words]) -> None:
    """Evaluate gates in order; `nets` maps net numbers to words and is filled in place."""
    for gate in gates:
        results = CELL_FUNCTIONS[gate.cell](*[nets[net] for net in gate.inputs])
        for net, words in zip(gate.outputs, results, strict=True):
            nets[net] = words


def settle(circuit: Circuit, planes: Mapping[str, Words]) -> list[Words]:
    """Settled words of every net, from bit planes (width, words) at each input port."""
    words = next(iter(planes.values())).shape[1]
    zeros = np.zeros(words, dtype=np.uint64)
    nets = [zeros] * circuit.net_count()
    nets[ZERO], nets[ONE] = zeros, ~zeros
    for port in circuit.inputs:
        for net, plane in zip(port.nets, planes[port.name], strict=True):
            nets[net] = plane
    for net, level in circuit.tied_nets():
        nets[net] = nets[ONE] if level else nets[ZERO]
    run_gates(circuit.gates, nets)
    return nets


def checked_inputs(circuit: Circuit, values: Mapping[str, npt.ArrayLike]) -> dict[str, npt.NDArray[np.int64]]:
    """Check that `values` gives every input port integers of its width in equal shapes, and return them as int64.

    Raises:
        CircuitError: a port is missing or unknown, a shape differs, or a value does not fit its port.
    """
    expected = {port.name: port.width for port in circuit.inputs}
    if set(values) != set(expected):
        raise CircuitError(f"circuit {circuit.name!r} takes ports {sorted(expected)}, got {sorted(values)}")
    arrays: dict[str, npt.NDArray[np.int64]] = {}
    for name, width in expected.items():
        array = np.asarray(values[name])
        if array.dtype.kind not in "iub":
            raise CircuitError(f"port {name!r} of {circuit.name!r} got {array.dtype} values; give integers")
        array = array.astype(np.int64)
        if array.size and (array.min() < 0 or array.max() >> width):
            raise CircuitError(
                f"port {name!r} of {circuit.name!r} takes 0..{(1 << width) - 1}; reduce the values first"
            )
        arrays[name] = array
    if len({array.shape for array in arrays.values()}) > 1:
        shapes = {name: array.shape for name, array in arrays.items()}
        raise CircuitError(f"ports of {circuit.name!r} got different shapes {shapes}; give equal shapes")
    return arrays


def evaluate(circuit: Circuit, values: Mapping[str, npt.ArrayLike]) -> dict[str, npt.NDArray[np.int64]]:
    """Evaluate the circuit on integer vectors.

    Args:
        circuit: the netlist.
        values: for each input port, unsigned integers of one common shape.

    Returns:
        For each output port, int64 unsigned values of that shape.

    Raises:
        CircuitError: as `checked_inputs`.
    """
    arrays = checked_inputs(circuit, values)
    shape = next(iter(arrays.values())).shape
    count = int(np.prod(shape, dtype=np.int64))
    planes = {port.name: pack(arrays[port.name].ravel(), port.width) for port in circuit.inputs}
    nets = settle(circuit, planes)
    return {port.name: unpack([nets[n] for n in port.nets], count).reshape(shape) for port in circuit.outputs}


@functools.lru_cache(maxsize=16)
def exhaustive_planes(bits: int) -> Words:
    """Bit planes (bits, words) of the counter 0, 1, ..., 2**bits - 1; read-only."""
    planes = pack(np.arange(1 << bits, dtype=np.int64), bits)
    planes.flags.writeable = False
    return planes


def product_table(circuit: Circuit) -> npt.NDArray[np.int64]:
    """Outputs of a two-operand circuit for every pair of operands.

    Args:
        circuit: input ports a and b, output port p.

    Returns:
        int64 (2**a_bits, 2**b_bits), the unsigned value of p for each pair of codes.

    Raises:
        CircuitError: other ports, or operands wider than `MAX_TABLE_BITS` together.
    """
    a_bits, b_bits = circuit.port("a").width, circuit.port("b").width
    if len(circuit.inputs) != 2:
        raise CircuitError(f"circuit {circuit.name!r} has inputs besides a and b; a product table needs exactly these")
    if a_bits + b_bits > MAX_TABLE_BITS:
        raise CircuitError(
            f"a table of {circuit.name!r} would have 2**{a_bits + b_bits} entries; "
            f"use at most {MAX_TABLE_BITS} operand bits, or evaluate() on samples"
        )
    planes = exhaustive_planes(a_bits + b_bits)
    nets = settle(circuit, {"b": planes[:b_bits], "a": planes[b_bits:]})
    product = unpack([nets[n] for n in circuit.port("p").nets], 1 << (a_bits + b_bits))
    return product.reshape(1 << a_bits, 1 << b_bits)
