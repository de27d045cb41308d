"""Faulty multipliers in elements of the array: product by product, in the network, and in the generated Verilog."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.unit.campaign import arrays
from torch import Tensor, nn

from laxity.campaign.elements import ElementEngine, ElementTrials
from laxity.campaign.gate_faults import UNSEEN, GateFaults, used_pairs
from laxity.campaign.placed import Elements, FaultTable, PlacedLayer, compiled
from laxity.campaign.systolic import ArrayNetwork
from laxity.circuits.catalogue import require_circuit
from laxity.circuits.stuck_at import expand_adders
from laxity.core.approximation import Approximation
from laxity.core.errors import ConfigError, TaskError
from laxity.core.plan import Plan
from laxity.emulate.apply import realise
from laxity.emulate.integer import integer_model
from laxity.rtl.accelerator import Placement, simulate, write_accelerator
from laxity.rtl.accelerator.bench import vectors
from laxity.rtl.accelerator.verilog import design
from laxity.sites.prepare import prepare

ARRAYS = [
    (4, 4, "weight-stationary"),
    (2, 4, "weight-stationary"),
    (8, 2, "weight-stationary"),
    (4, 4, "output-stationary"),
    (4, 2, "output-stationary"),
    (2, 4, "output-stationary"),
]
every_array = pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a[0]}x{a[1]} {a[2]}")
ways = pytest.mark.parametrize("native", [True, False], ids=["compiled", "torch"])

PLANS: dict[str, tuple[dict[str, Any], ...]] = {
    "integers": ({"kind": "integer"},),
    "4-bit weights": ({"kind": "integer", "weight_bits": 4, "input_bits": 6},),
    "affine inputs": ({"kind": "integer", "input_scheme": "affine"},),
    "approximate": ({"kind": "integer"}, {"kind": "multiplier", "name": "drum8_4"}),
}


def placed_on(array: tuple[int, int, str], *choices: dict[str, Any]) -> tuple[nn.Module, ArrayNetwork]:
    model = arrays.network(*choices)
    options = dict(zip(("rows", "columns", "dataflow"), array, strict=True))
    return model, ArrayNetwork.of(model, arrays.inputs(), options)


FAULTS: dict[bytes, GateFaults] = {}
"""By the pairs of operands that occur, on which they depend alone."""


def faults_of(network: ArrayNetwork) -> GateFaults:
    key = b"".join(n.encode() + used_pairs(network, n).tobytes() for n in sorted(network.circuits))
    if key not in FAULTS:
        FAULTS[key] = GateFaults.of(network)
    return FAULTS[key]


def random_codes(placement: Placement, count: int, rng: np.random.Generator) -> np.ndarray:
    source = placement.source
    shape = (count, source.channels, source.height, source.width)
    return rng.integers(source.code.low, source.code.high + 1, shape)


def dense_changes(placed: PlacedLayer, codes: np.ndarray, elements: Elements, tables: list[FaultTable]) -> np.ndarray:
    """Changes of all sums, int64 (n, outputs * positions)."""
    found, place = placed.changes(torch.from_numpy(codes).to(torch.float32), elements, tables), placed.placement
    dense = torch.zeros(len(codes), len(place.step.weight) * place.positions, dtype=torch.int64)
    places = found.places(place.positions).expand(len(codes), -1)
    return dense.scatter_add_(1, places, found.values.flatten(1).to(torch.int64)).numpy()


def drawn(faults: GateFaults, array: tuple[int, int, str], count: int, seed: int) -> tuple[np.ndarray, ...]:
    """Fault, row and column of trials whose faults change something."""
    rng = np.random.default_rng(seed)
    number = rng.choice(np.flatnonzero(faults.size != UNSEEN), count)
    return number, rng.integers(0, array[0], count), rng.integers(0, array[1], count)


@ways
@every_array
def test_changes_are_those_of_a_loop_over_all_products(array: tuple[int, int, str], native: bool) -> None:
    if native and compiled() is None:
        pytest.skip("the compiled look-ups are not installed")
    _, network = placed_on(array)
    faults, changed = faults_of(network), 0
    for seed, placement in enumerate(network.placements.values()):
        codes = random_codes(placement, 4, np.random.default_rng(seed))
        number, row, column = drawn(faults, array, 4, seed)
        placed = PlacedLayer(placement, network.configuration, native=native)
        tables = [placed.table_of(faults.difference(int(n))) for n in number]
        elements = Elements(torch.from_numpy(row), torch.from_numpy(column), torch.arange(4))
        found = dense_changes(placed, codes, elements, tables)
        for i in range(4):
            both = (faults.golden["dadda8"], faults.table(int(number[i])))
            want = arrays.naive_changes(placement, codes[i], array, (int(row[i]), int(column[i])), both)
            assert np.array_equal(want.reshape(-1), found[i])
            changed += int(np.count_nonzero(want))
    assert changed > 50


@pytest.mark.parametrize("array", [ARRAYS[0], ARRAYS[3]], ids=["weight-stationary", "output-stationary"])
@pytest.mark.parametrize("plan", list(PLANS)[1:])
def test_other_operands(plan: str, array: tuple[int, int, str]) -> None:
    try:
        _, network = placed_on(array, *PLANS[plan])
    except TaskError as error:
        pytest.fail(str(error))
    faults, changed = faults_of(network), 0
    (name,) = faults.golden
    for seed, placement in enumerate(network.placements.values()):
        codes = random_codes(placement, 3, np.random.default_rng(seed))
        number, row, column = drawn(faults, array, 3, seed)
        found = []
        for native in (True, False):
            placed = PlacedLayer(placement, network.configuration, native=native)
            tables = [placed.table_of(faults.difference(int(n))) for n in number]
            elements = Elements(torch.from_numpy(row), torch.from_numpy(column), torch.arange(3))
            found.append(dense_changes(placed, codes, elements, tables))
        assert np.array_equal(found[0], found[1])
        for i in range(3):
            both = (faults.golden[name], faults.table(int(number[i])))
            want = arrays.naive_changes(placement, codes[i], array, (int(row[i]), int(column[i])), both)
            assert np.array_equal(want.reshape(-1), found[0][i])
            changed += int(np.count_nonzero(want))
    assert changed > 10


@every_array
def test_each_product_is_made_by_one_element(array: tuple[int, int, str]) -> None:
    """With tables that count, the changes of all elements together count every product once."""
    _, network = placed_on(array)
    for placement in network.placements.values():
        placed = PlacedLayer(placement, network.configuration)
        (low, high), (least, most) = placed.codes
        ones = FaultTable.of(np.ones((most - least + 1, high - low + 1), np.int32))
        elements = Elements(
            torch.arange(array[0]).repeat_interleave(array[1]),
            torch.arange(array[1]).repeat(array[0]),
            torch.zeros(array[0] * array[1], dtype=torch.int64),
        )
        codes = random_codes(placement, array[0] * array[1], np.random.default_rng(0))
        total = dense_changes(placed, codes, elements, [ones]).sum(0)
        count = np.zeros(len(total), np.int64)
        for _, output, position, *_ in arrays.products(placement, *array):
            count[output * placement.positions + position] += 1
        assert np.array_equal(total, count)


def naive_logits(model: nn.Module, network: ArrayNetwork, x: Tensor, element: tuple[int, int], tables: Any) -> Tensor:
    """The network from its start, with what every layer's sums change by added to them."""
    configuration, hooks = network.configuration, []
    array = (configuration.rows, configuration.columns, configuration.dataflow)

    def struck(name: str) -> Any:
        def hook(layer: Any, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            placement = network.placements[name]
            codes = layer.operand.input.codes(args[0])
            change = [arrays.naive_changes(placement, c.long().numpy(), array, element, tables) for c in codes]
            more = torch.from_numpy(np.stack(change)) * 2.0**-placement.step.fraction_bits
            return layer.scaled(layer.integer_sums(codes).to(torch.float64) + more.reshape(output.shape))

        return hook

    for name, layer in network.layers.items():
        hooks.append(layer.register_forward_hook(struck(name)))
    try:
        with torch.no_grad():
            return model(x)
    finally:
        for hook in hooks:
            hook.remove()


@pytest.mark.parametrize("plan", ["integers", "4-bit weights", "affine inputs"])
@pytest.mark.parametrize("array", [ARRAYS[0], ARRAYS[5]], ids=["weight-stationary", "output-stationary"])
def test_logits_are_those_of_the_network_with_the_fault_in_every_layer(array: tuple[int, int, str], plan: str) -> None:
    model, network = placed_on(array, *PLANS[plan])
    faults, x = faults_of(network), arrays.inputs()
    engine = ElementEngine(model, network, x)
    golden = engine.golden(x)
    number, row, column = drawn(faults, array, 24, 5)
    image = np.arange(24) % len(x)
    names = np.array(["dadda8"] * 24)
    trials = ElementTrials(row, column, names, number, image, faults.difference)
    found = engine.run(trials, golden)
    again = engine.run(trials.take(np.arange(24)[::-1].copy()), golden).flip(0)
    alone = torch.cat([engine.run(trials.take(np.array([i])), golden) for i in range(24)])
    assert torch.equal(found, again)
    assert torch.equal(found, alone)
    for i in range(24):
        tables = faults.golden["dadda8"], faults.table(int(number[i]))
        want = naive_logits(model, network, x[image[i], None], (int(row[i]), int(column[i])), tables)
        assert torch.equal(want[0], found[i])
    assert (found != golden.logits[torch.from_numpy(image)]).any(1).sum() > 5
    assert torch.equal(engine.golden(x).logits, model(x))


def test_layers_with_other_circuits_are_right() -> None:
    model, network = placed_on(ARRAYS[0])
    faults, x = faults_of(network), arrays.inputs()
    engine = ElementEngine(model, network, x)
    golden = engine.golden(x)
    number, row, column = drawn(faults, ARRAYS[0], 6, 1)
    trials = ElementTrials(row, column, np.array(["another"] * 6), number, np.arange(6), faults.difference)
    assert torch.equal(engine.run(trials, golden), golden.logits)


def test_faults_that_are_said_to_change_nothing_do_not() -> None:
    _, network = placed_on(ARRAYS[0], *PLANS["4-bit weights"])
    faults, used = faults_of(network), used_pairs(network, "dadda8")
    differences = {n: np.abs(faults.difference(n)[used]) for n in range(0, len(faults), 7)}
    assert all(d.any() == (faults.size[n] != UNSEEN) for n, d in differences.items())
    seen = {n: d.mean() for n, d in differences.items() if d.any()}
    assert all(2.0 ** faults.size[n] <= max(1, mean) < 2.0 ** (faults.size[n] + 1) for n, mean in seen.items())
    assert 0 < len(seen) < len(differences)


def check_verilog(array: tuple[int, int, str], value: int, folder: Path, *choices: dict[str, Any]) -> None:
    """Force a net of one element's multiplier while Icarus Verilog simulates the gates of all multipliers."""
    if shutil.which("iverilog") is None:
        pytest.skip("Icarus Verilog is not installed")
    model, network = placed_on(array, *choices)
    integer = integer_model(model, arrays.inputs())
    faults = faults_of(network)
    circuits = {
        n: dataclasses.replace(m, circuit=expand_adders(require_circuit(m))) for n, m in integer.multipliers.items()
    }
    codes = integer.quantise(arrays.inputs()[:2])
    written = write_accelerator(integer.program, circuits, network.configuration, folder, codes.numpy())
    gates = [n for n in range(len(faults)) if faults.fault(n).place != "input" and faults.fault(n).value == value]
    number = next(n for n in gates[len(gates) // 3 :] if faults.size[n] == 8)
    element = 1, array[1] // 2

    def change(step: Any, given: np.ndarray) -> np.ndarray:
        placed = PlacedLayer(network.placements[step.site], network.configuration)
        where = (torch.full((len(given),), place) for place in (*element, 0))
        return dense_changes(placed, given, Elements(*where), [placed.table_of(faults.difference(number))])

    trace = arrays.faulty_trace(integer, codes, change)
    clean = integer.trace(codes)
    assert sum(np.count_nonzero(trace[name] != clean[name].numpy()) for name in trace) > 20
    for name, text in vectors(design(written.schedule, circuits), trace).memories.items():
        (folder / "memory" / name).write_text(text)
    line = faults.fault(number)
    pe = f"dut.engine.array.row[{element[0]}].column[{element[1]}].pe"
    bench = folder / "bench" / "bench.v"
    sound = bench.read_text()
    force = f"  initial force {pe}.product.core0.{line.name} = 1'b{line.value};\nendmodule\n"
    bench.write_text(sound.rstrip().removesuffix("endmodule") + force)
    found = simulate(folder, "iverilog", structural=True)
    assert found.passed
    assert found.mismatches == 0
    assert found.compared > 1000
    bench.write_text(sound)
    assert not simulate(folder, "iverilog", structural=True).passed


@pytest.mark.slow
@pytest.mark.parametrize("value", [0, 1])
@every_array
def test_the_generated_verilog_with_a_stuck_gate_gives_these_integers(
    array: tuple[int, int, str], value: int, tmp_path: Path
) -> None:
    check_verilog(array, value, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("plan", ["4-bit weights", "affine inputs", "approximate"])
@pytest.mark.parametrize("array", [ARRAYS[0], ARRAYS[3]], ids=["weight-stationary", "output-stationary"])
def test_the_generated_verilog_of_other_operands(array: tuple[int, int, str], plan: str, tmp_path: Path) -> None:
    """Among them narrow ones, whose sums lack low bits that a fault may set."""
    check_verilog(array, 1, tmp_path, *PLANS[plan])


class Line(nn.Module):
    """Convolutions over one dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv1d(2, 5, 3, stride=2, padding=2)
        self.last = nn.Linear(5 * 6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.flatten(torch.relu(self.wide(x)), 1))


class Branches(nn.Module):
    """A convolution beside another one, as in a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.beside = nn.Conv1d(2, 4, 1)
        self.wide = nn.Conv1d(2, 4, 3, padding=1)
        self.last = nn.Linear(4 * 9, 3)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.beside(x)
        return self.last(torch.flatten(torch.relu(self.wide(x) + shortcut), 1))


@pytest.mark.parametrize("kind", [Line, Branches])
@pytest.mark.parametrize("array", [ARRAYS[0], ARRAYS[4]], ids=["weight-stationary", "output-stationary"])
def test_other_networks(array: tuple[int, int, str], kind: type[nn.Module]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        plain, x = kind().eval(), torch.randn(5, 2, 9)
    prepared = prepare(plain, x[:1])
    plan = Plan.assign(prepared.sites, [Approximation.from_json({"kind": "integer"})])
    model = realise(prepared, plan, [x]).eval()
    network = ArrayNetwork.of(model, x, dict(zip(("rows", "columns", "dataflow"), array, strict=True)))
    faults, engine = faults_of(network), ElementEngine(model, network, x)
    golden, (number, row, column) = engine.golden(x), drawn(faults, array, 15, 3)
    image, names = np.arange(15) % len(x), np.array(["dadda8"] * 15)
    found = engine.run(ElementTrials(row, column, names, number, image, faults.difference), golden)
    for i in range(15):
        tables = faults.golden["dadda8"], faults.table(int(number[i]))
        want = naive_logits(model, network, x[image[i], None], (int(row[i]), int(column[i])), tables)
        assert torch.equal(want[0], found[i])
    assert (found != golden.logits[torch.from_numpy(image)]).any()


def test_the_compiled_look_ups_refuse_what_does_not_fit() -> None:
    module = compiled()
    if module is None:
        pytest.skip("the compiled look-ups are not installed")
    sizes = {
        "weight_stationary": True,
        "array": (2, 2),
        "map": (2, 3, 3),
        "kernel": (2, 2),
        "stride": (1, 1),
        "dilation": (1, 1),
        "margins": (0, 0, 0, 0),
        "positions": (2, 2),
        "codes": (0, 4),
    }
    for wrong in ({"positions": (3, 2)}, {"stride": (0, 1)}, {"codes": (4, 4)}, {"margins": (-1, 0, 0, 0)}):
        with pytest.raises(ValueError, match=r"windows leave|codes do not fit|negative|not positive"):
            module.Layer(**{**sizes, **wrong})
    layer = module.Layer(**sizes)
    weights = np.ones((2, 2, 4), np.int32)
    for outputs, block, given in ((3, 0, weights), (1, -1, weights), (1, 0, weights[:, :1]), (1, 0, -weights)):
        with pytest.raises(ValueError, match=r"out of range|do not fit"):
            layer.add_group(outputs, block, np.ascontiguousarray(given))
    layer.add_group(2, 0, weights)
    numbers, table = np.zeros(1, np.int64), np.ones((3, 4), np.int32)
    right: dict[str, Any] = {
        "maps": np.zeros((1, 2, 3, 3), np.float32),
        "quantiser": (1.0, 0.0, 0.0, 3.0),
        "row": numbers,
        "column": numbers,
        "table": numbers,
        "tables": [table],
        "used": [np.ones(3, np.uint8)],
        "out": np.zeros((1, 1, 4), np.int32),
    }
    for name, value in (
        ("maps", np.zeros((1, 1, 3, 3), np.float32)),
        ("quantiser", (1.0, 0.0, 0.0, 4.0)),
        ("row", numbers + 2),
        ("column", numbers - 1),
        ("table", numbers + 1),
        ("tables", [table[:1]]),
        ("used", [np.ones(2, np.uint8)]),
        ("used", []),
        ("out", np.zeros((1, 2, 4), np.int32)),
    ):
        with pytest.raises(ValueError, match=r"shape|quantiser|out of range|flags"):
            layer.run(**{**right, name: value})
    layer.run(**right)
    assert (right["out"] == 4).all()


def test_networks_that_the_array_does_not_compute_are_refused() -> None:
    with pytest.raises(TaskError, match="does not compute this network"):
        ArrayNetwork.of(arrays.Net().eval(), arrays.inputs(), {})
    saturating = {"kind": "accumulator", "adder": "ripple24", "overflow": "wrap"}
    model = arrays.network({"kind": "integer"}, saturating)
    with pytest.raises(TaskError, match="leave out its accumulator"):
        ArrayNetwork.of(model, arrays.inputs(), {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"row": 4}, "did you mean 'rows'"),
        ({"rows": 4.0}, "cannot be 4.0"),
        ({"rows": 3, "columns": 4}, "one must divide the other"),
        ({"dataflow": "no"}, "unknown dataflow"),
        ({"dataflow": 3}, "cannot be 3"),
    ],
)
def test_arrays_that_are_not_possible_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ArrayNetwork.of(arrays.network(), arrays.inputs(), options)
