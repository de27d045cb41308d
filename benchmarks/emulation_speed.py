"""How much slower a layer is when it computes with an approximate multiplier than natively in float32.

For each layer and multiplier the native forward pass, the emulated one, and (for the smallest layer) a gather loop are
timed in turns in one process, so that changes of the machine's clock and load strike all of them alike. Reported are
medians, and medians of the ratios of neighbouring measurements. The gather loop is the obvious emulation: unfold the
input, look up every single product in the 256 x 256 table, and add them up.

Usage: ``python benchmarks/emulation_speed.py [--json] [--repeats N] [--batch N] [--threads N]``
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from laxity import CircuitMultiplier, Integer, Plan, approximate
from laxity.circuits import catalogue
from laxity.emulate import EmulatedLayer

MULTIPLIERS = ("dadda8", "drum8_4", "coltrunc8_6", "mitchell8")


@dataclass(frozen=True, slots=True)
class Shape:
    """A convolution with 3 x 3 kernels and padding 1, or a pointwise one."""

    name: str
    channels: int
    size: int
    kernel: int = 3
    groups: int = 1

    def layer(self) -> nn.Conv2d:
        """The layer with random weights."""
        return nn.Conv2d(
            self.channels, self.channels, self.kernel, padding=self.kernel // 2, groups=self.groups, bias=False
        )

    def macs(self, batch: int) -> int:
        """Multiply-accumulates of one forward pass."""
        return batch * self.size**2 * self.channels * (self.channels // self.groups) * self.kernel**2


SHAPES = (
    Shape("conv3x3 16ch 32x32", 16, 32),
    Shape("conv3x3 32ch 16x16", 32, 16),
    Shape("conv3x3 64ch 8x8", 64, 8),
    Shape("conv1x1 64ch 16x16", 64, 16, kernel=1),
    Shape("depthwise3x3 64ch 16x16", 64, 16, groups=64),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One layer under one multiplier; times in ms, rates in products per second."""

    layer: str
    multiplier: str
    kernel: str
    native_ms: float
    emulated_ms: float
    slowdown: float
    gather_ms: float | None
    speedup_over_gather: float | None
    products_per_s: float


def interleaved(actions: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of every action in every round; one more round before warms up and is not counted."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(repeats + 1):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            if number:
                times[name].append(time.perf_counter() - start)
    return times


def gather(x: Tensor, layer: EmulatedLayer, table: Tensor) -> Tensor:
    """The same sums by looking up every product: (batch, outputs, positions) in units of the codes."""
    codes = layer.operand.input.codes(x).to(torch.int64)
    weights, _, _ = layer.stored_codes()
    columns = F.unfold(codes.to(torch.float32), layer.kernel, padding=layer.kernel[0] // 2).to(torch.int64)
    rows = weights.flatten(1).to(torch.int64)
    signs = (rows.sign()[None, :, :, None] * columns.sign()[:, None]).to(torch.int32)
    products = table[columns.abs()[:, None], rows.abs()[None, :, :, None]]
    return (products * signs).sum(2)


def measure(shape: Shape, multiplier: str, batch: int, repeats: int, with_gather: bool) -> Row:
    """Time one layer under one multiplier, after checking the emulation against the gather loop."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(batch, shape.channels, shape.size, shape.size, generator=generator)
    model = nn.Sequential(shape.layer()).eval().requires_grad_(False)
    plan = Plan().with_("0", Integer(), CircuitMultiplier(multiplier))
    emulated = approximate(model, plan, calibration=x)
    layer = next(m for m in emulated.modules() if isinstance(m, EmulatedLayer))
    actions: dict[str, Callable[[], object]] = {"native": lambda: model(x), "emulated": lambda: emulated(x)}
    if with_gather:
        table = torch.from_numpy(catalogue.get(multiplier).table.astype("int32"))
        wanted = gather(x, layer, table).reshape(batch, shape.channels, shape.size, shape.size)
        if not torch.equal(layer.integer_sums(layer.operand.input.codes(x)).to(torch.int64), wanted.to(torch.int64)):
            raise SystemExit(f"{shape.name} with {multiplier}: emulation and gather loop differ")
        actions["gather"] = lambda: gather(x, layer, table)
    with torch.no_grad():
        times = interleaved(actions, repeats)
    native, fast = times["native"], times["emulated"]
    slow = times.get("gather")
    emulated_s = statistics.median(fast)
    return Row(
        layer=shape.name,
        multiplier=multiplier,
        kernel=layer.products()[0].describe(),
        native_ms=1e3 * statistics.median(native),
        emulated_ms=1e3 * emulated_s,
        slowdown=statistics.median(e / n for e, n in zip(fast, native, strict=True)),
        gather_ms=None if slow is None else 1e3 * statistics.median(slow),
        speedup_over_gather=None if slow is None else statistics.median(g / e for g, e in zip(slow, fast, strict=True)),
        products_per_s=shape.macs(batch) / emulated_s,
    )


def table_of(rows: list[Row]) -> str:
    """The rows as text."""
    head = (
        "layer",
        "multiplier",
        "kernel",
        "native",
        "emulated",
        "slowdown",
        "gather",
        "gather/emulated",
        "Gproducts/s",
    )
    lines = [head]
    for r in rows:
        slow = ("", "") if r.gather_ms is None else (f"{r.gather_ms:.1f} ms", f"{r.speedup_over_gather:.0f}x")
        times = (f"{r.native_ms:.2f} ms", f"{r.emulated_ms:.2f} ms", f"{r.slowdown:.1f}x")
        lines.append((r.layer, r.multiplier, r.kernel, *times, *slow, f"{r.products_per_s / 1e9:.2f}"))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def main() -> None:
    """Measure all layers and multipliers and print the table, or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    parser.add_argument("--repeats", type=int, default=9, help="counted rounds per layer and multiplier")
    parser.add_argument("--batch", type=int, default=16, help="samples per forward pass")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    rows = [
        measure(shape, multiplier, options.batch, options.repeats, with_gather=shape is SHAPES[0])
        for shape in SHAPES
        for multiplier in MULTIPLIERS
    ]
    machine = {
        "python": platform.python_version(),
        "torch": version("torch"),
        "laxity": version("laxity"),
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
    if options.json:
        settings = {"repeats": options.repeats, "batch": options.batch, "threads": options.threads}
        print(json.dumps({"benchmark": "emulation_speed", **machine, **settings, "rows": [asdict(r) for r in rows]}))
        return
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    print(f"batch {options.batch}, {options.threads} thread(s), median of {options.repeats}\n")
    print(table_of(rows))


if __name__ == "__main__":
    main()
