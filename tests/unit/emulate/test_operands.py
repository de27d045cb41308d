"""Operand traces: recomputed by brute force, repeatable, and independent of choices elsewhere."""

import numpy as np
import pytest
import torch
from torch import nn

from laxity.circuits import catalogue
from laxity.core.plan import Plan
from laxity.core.seeds import stream
from laxity.emulate import approximate
from laxity.emulate.operands import SEGMENTS, STEPS, TRACE_SAMPLES, operand_traces
from laxity.sites import find_sites
from laxity.techniques import CircuitMultiplier, Integer

SHAPES = {
    "conv": (lambda: nn.Conv2d(3, 4, 3, stride=2, padding=1), (3, 3, 9, 9)),
    "grouped": (lambda: nn.Conv2d(4, 6, (3, 2), dilation=2, groups=2), (2, 4, 8, 8)),
    "reflected": (lambda: nn.Conv1d(2, 3, 5, padding=2, padding_mode="reflect"), (3, 2, 12)),
    "transposed": (lambda: nn.ConvTranspose2d(4, 2, 3, stride=2, groups=2), (2, 4, 5, 5)),
    "linear": (lambda: nn.Linear(40, 3), (50, 40)),
    "tokens": (lambda: nn.Linear(7, 3), (4, 12, 7)),
}


def matrix_form(layer, codes, weight, zero):
    """Operands of the equivalent matrix product by loops: (groups, positions or outputs, reduction) both."""
    if isinstance(layer, nn.Linear):
        return codes.reshape(1, -1, codes.shape[-1]), weight[None]
    groups, dims = layer.groups, len(layer.kernel_size)
    inputs = codes.shape[1] // groups
    rows = []
    if layer.transposed:
        for g in range(groups):
            mine = codes[:, g * inputs : (g + 1) * inputs]
            rows.append([mine[(n, slice(None), *p)] for n in range(len(codes)) for p in np.ndindex(*codes.shape[2:])])
        columns = np.array(rows)
        kernel = weight.reshape(groups, inputs, weight.shape[1], -1)
        return columns, np.array([[kernel[g, :, o, t] for o in range(kernel.shape[2]) for t in range(kernel.shape[3])]
                                  for g in range(groups)])  # fmt: skip
    pads = [(0, 0), (0, 0), *((p, p) for p in layer.padding)]
    padded = (
        np.pad(codes, pads, constant_values=zero)
        if layer.padding_mode == "zeros"
        else np.pad(codes, pads, mode="reflect")
    )
    reach = [d * (k - 1) + 1 for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    out = [(n - r) // s + 1 for n, r, s in zip(padded.shape[2:], reach, layer.stride, strict=True)]
    for g in range(groups):
        mine = padded[:, g * inputs : (g + 1) * inputs]
        found = []
        for n in range(len(codes)):
            for p in np.ndindex(*out):
                window = tuple(
                    slice(p[i] * layer.stride[i], p[i] * layer.stride[i] + reach[i], layer.dilation[i])
                    for i in range(dims)
                )
                found.append(mine[(n, slice(None), *window)].ravel())
        rows.append(found)
    return np.array(rows), weight.reshape(groups, len(weight) // groups, -1)


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("choice", [Integer(), Integer(5, 6, "affine", "affine"), Integer(4, 4)])
@pytest.mark.parametrize("name", ["dadda8", "mitchell8"])
def test_traces_equal_brute_force(ref, kind, choice, name):
    torch.manual_seed(0)
    make, shape = SHAPES[kind]
    layer, x = make(), torch.randn(shape)
    model = approximate(nn.Sequential(layer), Plan().with_("0", choice, CircuitMultiplier(name)), calibration=x)
    trace = operand_traces(model, x, seed=3, tile_rows=8)["0"]
    emulated = model[0]
    weight, _, _ = emulated.stored_codes()
    codes = emulated.operand.input.codes(x[:TRACE_SAMPLES]).numpy().astype(np.int64)
    zero = int(emulated.operand.input.zero)
    columns, weights = matrix_form(layer, codes, weight.numpy().astype(np.int64), zero)
    groups, positions, reduction = columns.shape
    shifts = emulated.operand.shifts(emulated.operand.circuit(emulated.multiplier), emulated.site.name)
    draws = stream(3, "operands", "0").random((SEGMENTS, 4))
    limits = [groups, weights.shape[1], reduction, max(1, positions - STEPS + 1)]
    circuit = catalogue.get(name)
    assert trace.activations.shape == trace.partial_sums.shape == (SEGMENTS, STEPS)
    for i, draw in enumerate(draws):
        g, n, k, start = (int(d * limit) for d, limit in zip(draw, limits, strict=True))
        top = k // 8 * 8
        w = weights[g, n, k]
        assert trace.weights[i] == abs(w) << shifts[1]
        assert trace.weight_signs[i] == (w < 0)
        for t in range(0, STEPS, 8):
            row = columns[g, (start + t) % positions]
            assert trace.activations[i, t] == abs(row[k]) << shifts[0]
            assert trace.activation_signs[i, t] == (row[k] < 0)
            above = ref.products(circuit, row[top:k], weights[g, n, top:k], shifts)
            assert trace.partial_sums[i, t] == above.sum()


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.Flatten(), nn.Linear(48, 5))


def traces(plan, *, seed=0, tile_rows=16):
    x = torch.randn(20, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    model = approximate(network(), plan, calibration=x)
    return operand_traces(model, x, seed=seed, tile_rows=tile_rows)


def test_traces_repeat_for_a_seed():
    plan = Plan.assign(find_sites(network(), torch.zeros(1, 2, 8, 8)), [Integer()])
    keys = {n: t.key for n, t in traces(plan).items()}
    assert list(keys) == ["0", "2", "4"]
    assert {n: t.key for n, t in traces(plan).items()} == keys
    other = {n: t.key for n, t in traces(plan, seed=1).items()}
    assert all(other[n] != keys[n] for n in keys)


def test_choices_elsewhere_do_not_move_the_places():
    """The first layer's trace stays whatever follows; a later one changes only where its operands do."""
    plan = Plan.assign(find_sites(network(), torch.zeros(1, 2, 8, 8)), [Integer()])
    base = traces(plan)
    downstream = traces(plan.with_("4", Integer(2, 2), CircuitMultiplier("drum8_3")))
    assert downstream["0"].key == base["0"].key
    assert downstream["2"].key == base["2"].key
    assert downstream["4"].key != base["4"].key
    same_values = traces(plan.with_("0", CircuitMultiplier("array8")))
    assert {n: t.key for n, t in same_values.items()} == {n: t.key for n, t in base.items()}
    fewer = traces(Plan().with_("2", Integer()))
    assert np.array_equal(fewer["2"].weights, base["2"].weights)


def test_circuits_change_sums_and_not_operands():
    plan = Plan().with_("0", Integer())
    exact, rough = traces(plan)["0"], traces(plan.with_("0", CircuitMultiplier("mitchell8")))["0"]
    for part in ("activations", "activation_signs", "weights", "weight_signs"):
        assert np.array_equal(getattr(exact, part), getattr(rough, part))
    assert not np.array_equal(exact.partial_sums, rough.partial_sums)


def test_magnitudes_fit_the_operands_of_the_circuit():
    plan = Plan.assign(find_sites(network(), torch.zeros(1, 2, 8, 8)), [Integer(3, 4, "affine", "symmetric")])
    for trace in traces(plan).values():
        assert 0 <= trace.activations.min() <= trace.activations.max() < 256
        assert 0 <= trace.weights.min() <= trace.weights.max() < 256
        assert not (trace.activations % 16).any()
        assert not (trace.weights % 32).any()


def test_sampling_leaves_no_trace_in_the_model():
    x = torch.randn(4, 2, 8, 8)
    model = approximate(network(), Plan().with_("0", Integer()), calibration=x)
    expected = model(x)
    operand_traces(model, x, seed=0)
    assert model[0].taken is None
    assert torch.equal(model(x), expected)
