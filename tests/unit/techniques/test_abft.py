"""Checksums against loops over whole numbers, bounds of rounding against float64, intervals against what they say."""

from __future__ import annotations

import copy
import itertools
import json
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import laxity as lx
from laxity.campaign.guards import false_alarms, stated_share
from laxity.core.approximation import Approximation
from laxity.core.errors import DataError, PlanError
from laxity.core.plan import Plan
from laxity.emulate.build import emulated
from laxity.emulate.checksum import Checksums, rounding_bound
from laxity.emulate.intervals import parts
from laxity.emulate.layer import EmulatedLayer
from laxity.emulate.weights import read_state, restore, save_state
from laxity.sites.prepare import prepare
from laxity.statistics import clopper_pearson
from laxity.task import Task
from laxity.techniques import (
    Abft,
    BFloat16,
    CircuitAccumulator,
    CircuitMultiplier,
    ControlVariate,
    FilterMultipliers,
    Integer,
)
from laxity.techniques.guard import Evidence, Place
from laxity.techniques.hardware.abft import ChecksumGuard, positions

KINDS = {
    "conv": (nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), (4, 7, 7)),
    "dilated": (nn.Conv1d(3, 5, 3, padding=2, dilation=2, padding_mode="circular"), (3, 9)),
    "valid": (nn.Conv2d(2, 3, 2, bias=False), (2, 4, 4)),
    "linear": (nn.Linear(7, 5), (7,)),
    "tokens": (nn.Linear(6, 4, bias=False), (3, 6)),
}
OPERANDS = {
    "symmetric": Integer(),
    "affine": Integer(6, 7, weight_scheme="affine", input_scheme="affine"),
    "tensor": Integer(4, 5, granularity="tensor"),
}


@cache
def digits() -> Task:
    return lx.load_task("digits")


def plan_of(*choices: Approximation) -> Plan:
    task = digits()
    return Plan.assign(lx.find_sites(task.model, task.example_input), choices)


def single(kind: str, *choices: Approximation, samples: int = 40) -> tuple[EmulatedLayer, Tensor]:
    """A network of one layer, approximated, and inputs."""
    torch.manual_seed(0)
    layer, shape = KINDS[kind]
    x = torch.randn(samples, *shape)
    model = nn.Sequential(copy.deepcopy(layer)).eval()
    found = lx.approximate(model, Plan.assign(lx.find_sites(model, x), choices), calibration=x)
    (emulation,) = emulated(found)
    assert isinstance(emulation, EmulatedLayer)
    return emulation, x


def by_hand(layer: EmulatedLayer, x: Tensor, values: Tensor) -> list[list[int]]:
    """Residuals in Python's whole numbers: sums over channels less products with the sum of the filters' codes."""
    operand, form = layer.operand, layer.form
    assert operand is not None
    zero = round(operand.input.zeros[0])
    padded = form.pad(operand.input.codes(x), float(zero)).numpy().astype(int)
    codes, _, _ = layer.stored_codes()
    matrix = form.as_convolution(codes).numpy().astype(int)
    _, zeros = operand.weight.scale_and_zero(layer.used_weight())  # type: ignore[union-attr]
    zeros = zeros.expand(len(matrix)).numpy().astype(int)
    groups, geometry = form.groups, form.codes_geometry
    outputs, each, kernel = len(matrix) // groups, matrix.shape[1], matrix.shape[2:]
    sums = values.numpy().astype(np.float64).reshape(len(padded), len(matrix), -1) if not form.linear else None
    if sums is None:
        sums = values.numpy().astype(np.float64).reshape(-1, len(matrix), 1)
    size = geometry.output_size(torch.from_numpy(padded), tuple(kernel))
    found = []
    for n, group in itertools.product(range(len(padded)), range(groups)):
        for number, place in enumerate(np.ndindex(*size)):
            total = 0
            for c, tap in itertools.product(range(each), np.ndindex(*kernel)):
                at = tuple(
                    p * s + t * d for p, s, t, d in zip(place, geometry.stride, tap, geometry.dilation, strict=True)
                )
                a = int(padded[(n, group * each + c, *at)]) - zero
                w = sum(int(matrix[(k, c, *tap)] - zeros[k]) for k in range(group * outputs, (group + 1) * outputs))
                total += a * w
            found.append(round(sums[n, group * outputs : (group + 1) * outputs, number].sum()) - total)
    return [list(row) for row in np.array(found).reshape(len(x), -1)]


@pytest.mark.parametrize("operands", OPERANDS)
@pytest.mark.parametrize("kind", KINDS)
def test_exact_sums_have_no_residual_and_faults_are_their_residual(kind: str, operands: str) -> None:
    layer, x = single(kind, OPERANDS[operands], Abft())
    checksums = Checksums(layer)
    values = checksums.clean(x)
    found = checksums.residuals(x, values)
    assert found.bounds is None
    assert not found.values.any()
    assert found.values.shape == (len(x), positions(layer.site.op))
    rng = np.random.default_rng(1)
    struck = values.double()[:4].clone()
    for sample in struck.view(4, -1):
        sample[rng.integers(sample.numel(), size=3)] += torch.from_numpy(rng.integers(-300, 300, 3).astype(float))
    wanted = by_hand(layer, x[:4], struck)
    assert checksums.residuals(x[:4], struck).values.tolist() == wanted


@pytest.mark.parametrize("bits", [8, 13, 32])
@settings(max_examples=25, deadline=None)
@given(delta=st.integers(-(2**34), 2**34))
def test_residuals_wrap_at_the_width_of_the_checksum(bits: int, delta: int) -> None:
    layer, x = single("linear", Integer(), Abft(bits=bits), samples=8)
    checksums = Checksums(layer)
    struck = checksums.clean(x).double()
    struck[:, 2] += delta
    found = checksums.residuals(x, struck)
    half = 1 << (bits - 1)
    assert found.values.tolist() == [[(delta + half) % (2 * half) - half]] * len(x)
    guard = layer.guard
    assert isinstance(guard, ChecksumGuard)
    assert bool(guard.alarms(found.values, None).all()) == (delta % (1 << bits) != 0)


def test_accumulators_that_wrap_are_checked_at_their_width() -> None:
    layer, x = single("conv", Integer(), CircuitAccumulator("ripple12"), Abft())
    checksums = Checksums(layer)
    values = checksums.clean(x)
    assert bool((checksums.clean(x) != Checksums(single("conv", Integer(), Abft())[0]).clean(x)).any()), "sums wrap"
    assert not checksums.residuals(x, values).values.any()


@pytest.mark.parametrize("circuits", ["drum8_4", "mitchell8", "filters"])
@pytest.mark.parametrize("kind", ["conv", "tokens", "dilated"])
def test_residuals_of_circuits_are_the_sum_of_their_errors(kind: str, circuits: str) -> None:
    outputs = KINDS[kind][0].weight.shape[0]
    several = FilterMultipliers("dadda8 drum8_4 mitchell8", "", ("012" * outputs)[:outputs])
    choice = several if circuits == "filters" else CircuitMultiplier(circuits)
    layer, x = single(kind, Integer(6, 8), choice, Abft())
    checksums, guard = Checksums(layer), layer.guard
    assert isinstance(guard, ChecksumGuard)
    found = checksums.residuals(x, checksums.clean(x)).values
    assert bool(found.any())
    assert found.shape == (len(x), positions(layer.site.op))
    errors, operand = checksums.errors(), layer.operand
    assert operand is not None
    first = operand.input.code_range[0]  # type: ignore[attr-defined]
    padded = layer.form.pad(operand.input.codes(x), float(operand.input.zeros[0]))
    geometry, matrix = layer.form.codes_geometry, layer.form.as_convolution(layer.stored_codes()[0])
    patches = geometry.patches(padded, tuple(matrix.shape[2:])).numpy().astype(int) - first
    groups, places = errors.shape[:2]
    by_place = [errors[g, np.arange(places), patches[:, g]].sum(-1) for g in range(groups)]
    assert np.array_equal(np.stack(by_place, 1).reshape(len(x), -1), found.numpy())
    assert not bool(guard.alarms(found, None).any())
    low, high = errors.min(2).sum(1).min(), errors.max(2).sum(1).max()
    assert (float(guard.low), float(guard.high)) == (low, high), "the least and greatest that any operands give"
    worst = float(np.abs(errors).max(2).sum())
    assert -worst <= low <= high <= worst


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_operands_give_a_false_alarm_where_the_threshold_is_a_bound(seed: int) -> None:
    layer, _ = single("conv", Integer(5, 6), CircuitMultiplier("coltrunc8_8"), Abft())
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(20, 4, 7, 7, generator=generator) * 10 ** float(torch.randint(-2, 4, (), generator=generator))
    checksums, guard = Checksums(layer), layer.guard
    assert isinstance(guard, ChecksumGuard)
    assert not bool(guard.alarms(checksums.residuals(x, checksums.clean(x)).values, None).any())


@pytest.mark.parametrize("name", ["drum8_4", "coltrunc8_6", "mitchell8"])
def test_a_fitted_filter_leaves_smaller_residuals(name: str) -> None:
    spread = []
    for fitted in (False, True):
        model = lx.approximate(digits(), plan_of(Integer(), CircuitMultiplier(name), Abft(fitted=fitted)))
        inputs = digits().test.fetch(range(100))[0]
        layer = next(m for m in emulated(model) if isinstance(m, EmulatedLayer))
        x = inputs  # of the first layer
        checksums, guard = Checksums(layer), layer.guard
        assert isinstance(guard, ChecksumGuard)
        residuals = checksums.residuals(x, checksums.clean(x))
        assert not bool(guard.alarms(residuals.values, None).any())
        spread.append(float(residuals.values.std()))
    assert spread[1] < spread[0]


def test_predicted_intervals_are_mean_and_deviation_of_independent_operands() -> None:
    choice = Abft("predicted", false_alarms=0.1)
    layer, x = single("linear", Integer(), CircuitMultiplier("drum8_4"), choice, samples=4000)
    guard, errors, operand = layer.guard, Checksums(layer).errors(), layer.operand
    assert isinstance(guard, ChecksumGuard)
    assert operand is not None
    first, last = operand.input.code_range  # type: ignore[attr-defined]
    shares = (
        np.bincount(operand.input.codes(x).long().flatten().numpy() - first, minlength=last - first + 1) / x.numel()
    )
    draws = np.random.default_rng(0).choice(len(shares), size=(200_000, errors.shape[1]), p=shares)
    residuals = errors[0, np.arange(errors.shape[1]), draws].sum(1)
    middle, reach = float(guard.high + guard.low) / 2, float(guard.high - guard.low) / 2
    assert middle == pytest.approx(residuals.mean(), abs=5 * residuals.std() / 400)
    assert reach == pytest.approx(1.6449 * residuals.std(), rel=0.02), "two-sided 10 % of a normal distribution"


def test_measured_intervals_hold_for_inputs_drawn_alike() -> None:
    """Over many calibrations the share of false alarms is at most k + 1 in n + 1 on average, and its bound holds."""
    rng, exceeded, shares = np.random.default_rng(3), 0, []
    runs = 60
    for _ in range(runs):
        torch.manual_seed(int(rng.integers(2**31)))
        layer = nn.Linear(7, 5)
        model = nn.Sequential(layer).eval()
        seen, new = torch.rand(80, 7) ** 3, torch.rand(2000, 7) ** 3
        choices = [Integer(), CircuitMultiplier("mitchell8"), Abft("measured", false_alarms=0.05)]
        plan = Plan.assign(lx.find_sites(model, seen), choices)
        built = lx.approximate(model, plan, calibration=seen)
        (found,) = false_alarms(built, [new], 0.9)
        (emulation,) = emulated(built)
        assert isinstance(emulation.guard, ChecksumGuard)
        assert emulation.guard.samples.tolist() == [60, 2], "of 80 inputs 60 judge, and 0.05 x 61 allows ranks up to 3"
        assert found.stated is not None
        exceeded += found.share.estimate > found.stated
        shares.append(found.share.estimate)
    assert clopper_pearson(exceeded, runs, 0.99).low <= 0.1
    assert np.mean(shares) <= 3 / 61 + 4 * np.std(shares) / runs**0.5


@pytest.mark.parametrize("operands", [(), (Integer(), CircuitMultiplier("mitchell8"))], ids=["fp32", "mitchell8"])
@pytest.mark.parametrize("kind", ["conv", "linear"])
def test_totals_are_sums_of_residuals(kind: str, operands: tuple[Approximation, ...]) -> None:
    each, x = single(kind, *operands, Abft("measured"))
    total, _ = single(kind, *operands, Abft("measured", "total"))
    groups = total.form.groups
    residuals, sums = (Checksums(n).residuals(x, Checksums(n).clean(x)).values.double() for n in (each, total))
    assert sums.shape == (len(x), groups)
    assert torch.allclose(sums, residuals.reshape(len(x), groups, -1).sum(2))
    guard = total.guard
    assert isinstance(guard, ChecksumGuard)
    judged = sums[len(x) // 4 :]  # the first quarter gives the centre
    assert not bool(guard.alarms(judged, None).any())
    struck = sums + 3 * (guard.high - guard.low)
    assert bool(guard.alarms(struck, None).all())


def test_stated_shares_are_quantiles_of_the_beta_distribution() -> None:
    from scipy.stats import beta

    layer, _ = single("linear", Integer(), Abft("measured"))
    guard = layer.guard
    assert isinstance(guard, ChecksumGuard)
    for runs, beyond in ((75, 0), (1000, 9)):
        guard.samples.copy_(torch.tensor([runs, beyond]))
        assert stated_share(guard, 0.99) == pytest.approx(beta.ppf(0.99, beyond + 1, runs - beyond))
    for threshold, share in (("bound", 0), ("predicted", None)):
        other, _ = single("linear", Integer(), Abft(threshold))
        assert isinstance(other.guard, ChecksumGuard)
        assert stated_share(other.guard) == share


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_rounding_never_gives_an_alarm(kind: str, seed: int) -> None:
    layer, x = single(kind, Abft(), samples=12)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(x.shape, generator=generator)
    x = x * 10.0 ** torch.randint(-44, 30, x.shape, generator=generator).float()  # products underflow and cancel
    checksums, guard = Checksums(layer), layer.guard
    assert isinstance(guard, ChecksumGuard)
    values = checksums.clean(x)
    assert bool(torch.isfinite(values).all())
    found = checksums.residuals(x, values)
    assert found.bounds is not None
    assert not bool(guard.alarms(found.values, found.bounds).any())


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_the_bound_holds_for_the_worst_order_of_additions(reduction: int, outputs: int, seed: int) -> None:
    """Sums in float32, one rounding after the other, in a random order, against the bound in exact fractions."""
    rng = np.random.default_rng(seed)
    w = (rng.standard_normal((outputs, reduction)) * 10.0 ** rng.integers(-6, 6, (outputs, reduction))).astype(
        np.float32
    )
    x = (rng.standard_normal(reduction) * 10.0 ** rng.integers(-6, 6, reduction)).astype(np.float32)
    total = np.float32(0)
    for k in rng.permutation(outputs):
        y = np.float32(0)
        for t in rng.permutation(reduction):
            y = np.float32(y + np.float32(w[k, t] * x[t]))
        total = np.float32(total + y)
    filters, magnitudes = np.zeros(reduction, np.float32), np.zeros(reduction, np.float32)
    for k in range(outputs):
        filters, magnitudes = filters + w[k], magnitudes + np.abs(w[k])
    check, size = np.float32(0), np.float32(0)
    for t in rng.permutation(reduction):
        check = np.float32(check + np.float32(filters[t] * x[t]))
        size = np.float32(size + np.float32(magnitudes[t] * np.abs(x[t])))
    relative, tiny = rounding_bound(reduction, outputs)
    bound = Fraction(relative) * Fraction(float(size)) + Fraction(tiny)
    assert abs(Fraction(float(np.float32(total - check)))) <= bound
    assert relative == pytest.approx(2 * (reduction + outputs + 3) * 2.0**-24, rel=1e-4)


def test_floating_point_faults_beyond_the_bound_are_noticed_and_nan_too() -> None:
    layer, x = single("conv", Abft())
    checksums, guard = Checksums(layer), layer.guard
    assert isinstance(guard, ChecksumGuard)
    values = checksums.clean(x[:5])
    found = checksums.residuals(x[:5], values)
    assert found.bounds is not None
    struck = values.clone()
    largest = float(found.bounds.max())
    for sample, change in enumerate((3 * largest, float("nan"), float("inf"), -4 * largest, 0.0)):
        struck[sample, 3, 1, 1] += change
    result = checksums.residuals(x[:5], struck)
    nothing = torch.zeros(5, dtype=torch.bool)
    evidence = Evidence(Place.COMPUTATION, nothing, nothing, result.values, result.bounds)
    assert guard.notices(evidence).tolist() == [True, True, True, True, False]


def test_clean_networks_of_all_kinds_give_no_alarm_and_keep_their_outputs() -> None:
    task = digits()
    inputs = task.test.fetch(range(300))[0]
    for choices in ((), (Integer(),), (Integer(), CircuitMultiplier("drum8_4"))):
        model = lx.approximate(task, plan_of(*choices, Abft()))
        found = false_alarms(model, inputs.split(64))
        assert [f.alarms for f in found] == [0] * len(found)
        assert all(f.stated == 0 and f.samples == 300 for f in found)
        with torch.no_grad():
            bare = lx.approximate(task, plan_of(*choices)) if choices else task.model.eval()
            assert torch.allclose(model(inputs), bare(inputs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("choice", [Abft("measured", "position", fitted=True), Abft("predicted"), Abft()], ids=str)
def test_files_hold_intervals_and_slopes(choice: Abft, tmp_path: Path) -> None:
    task = digits()
    plan = plan_of(Integer(), CircuitMultiplier("mitchell8"), choice)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    model = lx.approximate(task, plan)
    save_state(model, tmp_path / "weights.safetensors")
    again = restore(prepare(task.model, task.example_input), plan, read_state(tmp_path / "weights.safetensors"))
    for a, b in zip(emulated(model), emulated(again), strict=True):
        mine, theirs = a.guard, b.guard
        assert isinstance(mine, ChecksumGuard)
        assert isinstance(theirs, ChecksumGuard)
        assert bool(torch.isfinite(mine.high - mine.low).all())
        for name, value in mine.state_dict().items():
            assert torch.equal(value, theirs.state_dict()[name]), name


def test_calibration_inputs_are_parted() -> None:
    x = torch.arange(10.0)[:, None]
    for size in (1, 3, 10):
        first, second = parts(x.split(size))
        assert torch.cat(first).flatten().tolist() == [0, 1, 2]
        assert torch.cat(second).flatten().tolist() == [3, 4, 5, 6, 7, 8, 9]


def test_refusals() -> None:
    task = digits()
    for wrong in (
        {"threshold": "none"}, {"granularity": "channel"}, {"response": "stop"}, {"false_alarms": 0.0},
        {"margin": 0.9}, {"bits": 7}, {"bits": 53}, {"granularity": "position"}, {"granularity": "total"},
    ):  # fmt: skip
        with pytest.raises(PlanError, match="abft"):
            Abft(**wrong)  # type: ignore[arg-type]
    with pytest.raises(PlanError, match="floating point"):
        lx.approximate(task, plan_of(Abft("predicted")))
    with pytest.raises(PlanError, match="codes of another kind"):
        lx.approximate(task, plan_of(BFloat16(), Abft()))
    for choice in (CircuitAccumulator("loa24_8"), ControlVariate("coltrunc8_8", 8)):
        with pytest.raises(PlanError, match="measured"):
            single("linear", Integer(), choice, Abft())
        layer, x = single("linear", Integer(), choice, Abft("measured"))
        assert layer(x).isfinite().all()
    with pytest.raises(PlanError, match="bits of 'abft'"):
        lx.approximate(task, plan_of(Integer(), CircuitMultiplier("drum8_4"), Abft(bits=8)))
    transposed = nn.Sequential(nn.ConvTranspose1d(2, 3, 3)).eval()
    with pytest.raises(PlanError, match="transposed"):
        lx.approximate(transposed, Plan.assign(lx.find_sites(transposed, torch.rand(1, 2, 5)), [Abft()]),
                       calibration=torch.rand(4, 2, 5))  # fmt: skip
    with pytest.raises(DataError, match="give more inputs"):
        single("linear", Integer(), Abft("measured"), samples=1)
    with pytest.raises(PlanError, match="no site of the network has checksums"):
        false_alarms(task.model, [])
    assert not Abft.candidates(lx.find_sites(task.model, task.example_input)[0])
