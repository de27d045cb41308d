"""Products that an accumulator circuit adds one after the other, simulated bit-sliced for many outputs at once.

A word holds one bit of 64 sums, so that every gate of the accumulator costs one operation on words. The bit planes of
the products come out of a table: for one step, the products of an activation code with the weights of all outputs are
transposed once, and every row of activations picks its planes from there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor

from laxity.circuits import Circuit, adder_catalogue
from laxity.circuits.adder_family import MAX_ADDER_WIDTH
from laxity.circuits.netlist import ONE, ZERO
from laxity.circuits.simulate import run_gates
from laxity.core.errors import CircuitError, PlanError
from laxity.kernels import native
from laxity.kernels.analysis import CodeRange, IntArray
from laxity.kernels.geometry import Geometry
from laxity.kernels.products import Products, WeightOperand, working_dtype
from laxity.kernels.program import Program, compile_stage

_LANES = 1 << 22
_BLOCK_BYTES = {"cpu": 1 << 15}
_DEVICE_BLOCK_BYTES = 1 << 22

Planes = list[Tensor]
"""Bits of many numbers, least significant first: int64 (words,) each, one number per bit of the words."""


class SequentialProducts(Products):
    """Sums that start at 0 and take the products of the reduction in order through the gates of a stage.

    The reduction runs over input channels, then kernel positions, as in ``weight.flatten(1)``. Products that do not fit
    the stage are wrapped into its width. Where chains are shorter than the reduction, every chain starts at 0 and the
    sums of the chains are added exactly.

    Args:
        left: range of activation codes.
        right: range of weight codes.
        table: products, int64 (left codes, right codes).
        stage: input ports a (sum) and b (product) and output port s of one width, two's complement.
        chain: products per chain; 0 for all.

    Raises:
        CircuitError: the ports of the stage differ in width.
    """

    def __init__(self, left: CodeRange, right: CodeRange, table: IntArray, stage: Circuit, chain: int = 0) -> None:
        super().__init__(left, right)
        self.stage, self.chain = stage, chain
        self.bits = stage.port("a").width
        if not self.bits == stage.port("b").width == stage.port("s").width:
            raise CircuitError(f"accumulator {stage.name!r} must have ports a, b and s of one width")
        self._table = torch.from_numpy(table)
        self._program: Program | None = None

    def describe(self) -> str:
        """Name the kernel."""
        return f"gates of {self.stage.name}, one product after the other"

    def chains(self, reduction: int) -> int:
        """Number of chains of a reduction."""
        return -(-reduction // self.chain) if self.chain else min(1, reduction)

    def prepare(self, weight_codes: Tensor) -> WeightOperand:
        """Remember the codes.

        Raises:
            PlanError: the sum of the chains is too wide.
        """
        index = (weight_codes - self.right[0]).to(torch.int64).flatten(1)
        return WeightOperand(index, tuple(weight_codes.shape), self._bound(index.shape[1]))

    def convolve(self, codes: Tensor, weight: WeightOperand, geometry: Geometry) -> Tensor:
        """Unfold, then accumulate per group."""
        kernel = weight.shape[2:]
        out = geometry.output_size(codes, kernel)
        patches = geometry.patches((codes - self.left[0]).to(torch.int32), kernel)
        index = weight.data.reshape(geometry.groups, -1, weight.data.shape[1])
        groups = [self._product(patches[:, g], index[g]) for g in range(geometry.groups)]
        return torch.cat(groups, dim=2).transpose(1, 2).reshape(codes.shape[0], weight.shape[0], *out)

    def matmul(self, left: Tensor, right: Tensor) -> Tensor:
        """Accumulate; the right operand is shared over leading dimensions where it has none."""
        a = (left - self.left[0]).to(torch.int32)
        b = (right - self.right[0]).to(torch.int64)
        self._bound(left.shape[-1])
        if b.dim() == 2:
            return self._product(a, b.T)
        shape = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        flat_a = a.expand(*shape, *a.shape[-2:]).reshape(math.prod(shape), *a.shape[-2:])
        flat_b = b.expand(*shape, *b.shape[-2:]).reshape(math.prod(shape), *b.shape[-2:])
        parts = [self._product(x, y.T) for x, y in zip(flat_a, flat_b, strict=True)]
        if not parts:
            return left.new_zeros(*shape, a.shape[-2], b.shape[-1])
        return torch.stack(parts).reshape(*shape, a.shape[-2], b.shape[-1])

    def _bound(self, reduction: int) -> float:
        """Bound on the sums of all chains."""
        chains = self.chains(reduction)
        if self.bits + (max(1, chains) - 1).bit_length() > MAX_ADDER_WIDTH:
            raise PlanError(
                f"{chains} chains of {self.bits} bits have sums wider than {MAX_ADDER_WIDTH} bits; "
                "use longer chains or a narrower accumulator"
            )
        return float(chains * (1 << (self.bits - 1)))

    def _product(self, index: Tensor, weight: Tensor) -> Tensor:
        """Sums for activation indices (..., K) and weight indices (N, K): (..., N)."""
        outputs, dtype = weight.shape[0], working_dtype(self._bound(index.shape[-1]))
        if not index.numel() or not weight.numel():
            return torch.zeros(*index.shape[:-1], outputs, dtype=dtype, device=index.device)
        self._check_codes(index, weight)
        rows = index.reshape(-1, index.shape[-1])
        step = max(8, _LANES // _lane_bytes(outputs) // 8 * 8)
        single = self._compiled if rows.device.type == "cpu" and native.level() != "torch" else self._accumulate
        parts = [single(chunk, weight).to(dtype) for chunk in rows.split(step)]
        return torch.cat(parts).reshape(*index.shape[:-1], outputs)

    def _check_codes(self, index: Tensor, weight: Tensor) -> None:
        for given, codes, what in ((index, self.left, "activation"), (weight, self.right, "weight")):
            low, high = int(given.min()) + codes[0], int(given.max()) + codes[0]
            if low < codes[0] or high > codes[1]:
                raise PlanError(
                    f"{what} codes {low}..{high} lie outside {codes[0]}..{codes[1]}, the range of the products"
                )

    def _compiled(self, rows: Tensor, weight: Tensor) -> Tensor:
        """As `_accumulate`, by the compiled module."""
        module = native.compiled()
        assert module is not None  # the level says so
        if self._program is None:
            planes = _plane_count(self._table, self.bits)
            self._program = compile_stage(self.stage, planes, module.sequential_cells())
        program = self._program
        by_weight = self._table.T.contiguous()
        lines = torch.from_numpy(program.gates)
        steps, codes = rows.T.to(torch.uint16).contiguous(), weight.to(torch.uint16).contiguous()
        sums = torch.empty(len(rows), len(weight), dtype=torch.int64)
        sizes = [len(lines), program.bits, program.planes, program.registers, *by_weight.shape, *rows.shape]
        sizes += [len(weight), self.chain or rows.shape[1]]
        addresses = [t.data_ptr() for t in (lines, by_weight, steps, codes, sums)]
        module.sequential_products(native.threads(), sizes, addresses)
        return sums

    def _accumulate(self, rows: Tensor, weight: Tensor) -> Tensor:
        """Sums int64 (M, N) for activation indices (M, K) and weight indices (N, K)."""
        count, reduction = rows.shape
        lane = _lane_bytes(len(weight))
        block = max(8, _BLOCK_BYTES.get(rows.device.type, _DEVICE_BLOCK_BYTES) // lane // 8 * 8)
        padded = torch.nn.functional.pad(rows, (0, 0, 0, -count % 8)).T.contiguous()
        blocks = padded.split(block, dim=1)
        chain = self.chain or reduction
        adder = adder_catalogue.circuit(f"ripple{self.bits + (self.chains(reduction) - 1).bit_length()}")
        states = [_zeros(self.bits, lane * b.shape[1], rows.device) for b in blocks]
        totals: list[Planes] = []
        table = self._table.to(rows.device)
        for k in range(reduction):
            planes = _transposed(table[:, weight[:, k]], self.bits)
            states = [
                _clocked(self.stage, state, _picked(planes, block[k], self.bits))
                for state, block in zip(states, blocks, strict=True)
            ]
            if (k + 1) % chain == 0 or k + 1 == reduction:
                totals = [_sum(adder, t, s) for t, s in zip(totals, states, strict=True)] if totals else states
                states = [_zeros(self.bits, lane * b.shape[1], rows.device) for b in blocks]
        return torch.cat([_numbers(t, lane, len(weight)) for t in totals])[:count]


def _lane_bytes(outputs: int) -> int:
    """Bytes that hold one bit of every output."""
    return -(-outputs // 8)


def _zeros(bits: int, lanes: int, device: torch.device) -> Planes:
    return [torch.zeros(lanes // 8, dtype=torch.int64, device=device)] * bits


def _plane_count(products: Tensor, bits: int) -> int:
    """Bits of products that may differ from their signs, at most `bits`, which is where products are wrapped."""
    return min(bits, int(torch.maximum(products, ~products).max()).bit_length() + 1)


def _transposed(products: Tensor, bits: int) -> Tensor:
    """Bit planes of products (codes, N): uint8 (planes, codes, lane bytes); the last is that of all upper bits."""
    planes = _plane_count(products, bits)
    padded = torch.nn.functional.pad(products, (0, -products.shape[1] % 8))
    weights = torch.tensor([1, 2, 4, 8, 16, 32, 64, 128], dtype=torch.uint8, device=products.device)
    found = [
        (((padded >> bit) & 1).to(torch.uint8).unflatten(1, (-1, 8)) * weights).sum(2, dtype=torch.uint8)
        for bit in range(planes)
    ]
    return torch.stack(found)


def _picked(planes: Tensor, rows: Tensor, bits: int) -> Planes:
    """Bit planes of the products of every row's activation with all outputs."""
    words = planes.index_select(1, rows).flatten(1).view(torch.int64)
    return [words[min(bit, len(words) - 1)] for bit in range(bits)]


def _clocked(stage: Circuit, state: Planes, product: Planes) -> Planes:
    """The state after one product."""
    nets: list[Any] = [None] * stage.net_count()
    nets[ZERO] = torch.zeros_like(state[0])
    nets[ONE] = ~nets[ZERO]
    for port, planes in (("a", state), ("b", product)):
        for net, plane in zip(stage.port(port).nets, planes, strict=True):
            nets[net] = plane
    run_gates(stage.gates, cast(Any, nets))
    return [nets[net] for net in stage.port("s").nets]


def _sum(adder: Circuit, total: Planes, state: Planes) -> Planes:
    """Exact sum of both, as wide as the adder."""
    width = adder.port("a").width
    return _clocked(adder, _widened(total, width), _widened(state, width))[:width]


def _widened(planes: Planes, width: int) -> Planes:
    return planes + planes[-1:] * (width - len(planes))


def _numbers(planes: Planes, lane: int, outputs: int) -> Tensor:
    """Two's complement numbers int64 (rows, outputs) of bit planes."""
    shifts = torch.arange(8, device=planes[0].device, dtype=torch.uint8)
    values = torch.zeros((), dtype=torch.int64, device=planes[0].device)
    for bit, bits in enumerate(_unpacked(planes, lane, shifts)):
        weight = -(1 << bit) if bit == len(planes) - 1 else 1 << bit
        values = values + bits.to(torch.int64) * weight
    return values[:, :outputs]


def _unpacked(planes: Planes, lane: int, shifts: Tensor) -> Iterator[Tensor]:
    for plane in planes:
        lanes = plane.view(torch.uint8).reshape(-1, lane)
        yield ((lanes[:, :, None] >> shifts) & 1).flatten(1)
