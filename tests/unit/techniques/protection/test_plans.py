"""Protections as choices of plans: where they can be made, what weights they leave, what they ask of the hardware."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from laxity.core.approximation import Approximation
from laxity.core.demand import Demand, Protection
from laxity.core.errors import PlanError
from laxity.core.op import Op, Site
from laxity.core.plan import Plan
from laxity.emulate import approximate
from laxity.emulate.build import emulated
from laxity.emulate.layer import EmulatedLayer
from laxity.evaluation.memory import weight_memories
from laxity.sites import find_sites
from laxity.techniques import (
    FilterMultipliers,
    HybridFloat,
    InPlaceEcc,
    Integer,
    MagnitudePruning,
    Minifloat,
    Parity,
    Secded,
    Tmr,
    TmrBits,
    WeightClip,
)

ALL: tuple[Approximation, ...] = (
    Secded(),
    Secded(16),
    Parity(),
    Parity(8),
    Parity(then="zero"),
    TmrBits(2),
    TmrBits(bits="6,0"),
    Tmr(),
    InPlaceEcc(),
    InPlaceEcc("kept"),
    WeightClip(),
    WeightClip("layer", "saturate", notice=True),
)


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Conv2d(2, 6, 3), nn.ReLU(), nn.ConvTranspose2d(6, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 5)]
        return nn.Sequential(*layers).eval()


INPUTS = torch.randn(16, 2, 6, 6, generator=torch.Generator().manual_seed(1))


def built(*choices: Approximation) -> nn.Module:
    plan = Plan.assign(find_sites(network(), INPUTS[:1]), choices)
    return approximate(network(), Plan.from_json(json.loads(json.dumps(plan.to_json()))), calibration=INPUTS)


@pytest.mark.parametrize("choice", ALL, ids=lambda c: c.label())
def test_searches_leave_them_alone(choice: Approximation) -> None:
    assert choice.candidates(find_sites(network(), INPUTS[:1])[0]) == ()
    assert choice.label() != type(choice).kind


@pytest.mark.parametrize("choice", [c for c in ALL if not isinstance(c, InPlaceEcc)], ids=lambda c: c.label())
@torch.no_grad()
def test_without_faults_integers_compute_the_same(choice: Approximation) -> None:
    assert torch.equal(built(Integer(), choice)(INPUTS), built(Integer())(INPUTS))


@pytest.mark.parametrize("choice", [Secded(32), Parity(8), Tmr(), WeightClip()], ids=lambda c: c.label())
@torch.no_grad()
def test_without_faults_floating_point_computes_the_same(choice: Approximation) -> None:
    torch.testing.assert_close(built(choice)(INPUTS), network()(INPUTS))


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ((Secded(16),), r"site '0' stores weights of 32 bits, .* set data_bits to 32 or more"),
        ((Minifloat(), TmrBits(bits="8")), "stores weights of 8 bits, of which 'TMR bits 8' is no part"),
        ((Integer(4, 8), TmrBits(5)), "stores weights of 4 bits"),
        ((Integer(6, 8), InPlaceEcc()), "needs sign and magnitude of 8 bits"),
        ((Integer(weight_scheme="affine"), InPlaceEcc()), "weight_scheme='symmetric'"),
        ((InPlaceEcc(),), "stores no integers"),
        ((MagnitudePruning(0.5), Integer(), InPlaceEcc()), "leave its STRUCTURE slot empty"),
        ((Integer(weight_scheme="affine"), WeightClip()), "no signs and magnitudes"),
        ((HybridFloat(), WeightClip()), "no signs and magnitudes"),
        ((Integer(weight_scheme="affine"), Parity(then="zero")), "reads the word 0 for zero"),
    ],
)
def test_what_formats_cannot_carry_is_refused(choices: tuple[Approximation, ...], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        built(*choices)


def test_words_of_several_widths_are_refused() -> None:
    modes = FilterMultipliers("dadda8 dadda8", "8 5", "010101")
    plan = Plan().with_("0", Integer(), modes, Secded())
    with pytest.raises(PlanError, match="words of several widths, which 'secded' cannot protect"):
        approximate(network(), plan, calibration=INPUTS)


@pytest.mark.parametrize(
    ("technique", "options"),
    [
        (Secded, {"data_bits": 7}),
        (Secded, {"data_bits": 65}),
        (Parity, {"words": 0}),
        (Parity, {"then": "nothing"}),
        (Parity, {"words": 2, "then": "zero"}),
        (TmrBits, {"top": 0}),
        (TmrBits, {"bits": "3,3"}),
        (TmrBits, {"bits": "-1"}),
        (TmrBits, {"bits": ",".join(map(str, range(33)))}),
        (InPlaceEcc, {"scale": "other"}),
        (WeightClip, {"per": "filter"}),
        (WeightClip, {"then": "alarm"}),
    ],
)
def test_impossible_parameters_are_refused(technique: Any, options: dict[str, Any]) -> None:
    with pytest.raises(PlanError, match=next(reversed(options))):
        technique(**options)


def codes(model: nn.Module) -> list[Tensor]:
    return [layer.stored_codes()[0].flatten() for layer in emulated(model) if isinstance(layer, EmulatedLayer)]


@pytest.mark.parametrize("scale", ["fitted", "kept"])
def test_seven_of_eight_weights_leave_a_bit_free(scale: str) -> None:
    for found, plain in zip(codes(built(Integer(), InPlaceEcc(scale))), codes(built(Integer())), strict=True):
        narrow = torch.arange(len(found)) % 8 < 7
        assert int(found[narrow].abs().max()) <= 63
        assert int(plain[narrow].abs().max()) > 63
        if scale == "kept":
            assert torch.equal(found, torch.where(narrow, plain.clamp(-63, 63), plain))


def test_fitted_scales_have_the_least_squared_error_of_a_scan() -> None:
    model = built(Integer(), InPlaceEcc())
    layer = model.get_submodule("4")
    weight, coder = layer.weight.detach().double(), layer.operand.weight
    top = coder.top.double()
    largest = weight.abs().amax(1, keepdim=True)

    def error(scale: Tensor) -> Tensor:
        found = torch.minimum(torch.maximum((weight / scale).round(), -top), top)
        return (found * scale - weight).square().sum(1)

    scale, _ = coder.scale_and_zero(layer.weight)
    ours = error(scale[:, None].double())
    for factor in torch.linspace(1, 2, 33).tolist():
        assert bool((ours <= error(largest * factor / 127) * (1 + 1e-4)).all())


def test_gradients_reach_weights_that_are_clipped() -> None:
    model = built(Integer(), InPlaceEcc("kept"))
    weight = model.get_submodule("4").weight.requires_grad_(True)
    model(INPUTS).square().sum().backward()
    plain = codes(built(Integer()))[-1].reshape(weight.shape)
    clipped = (plain.abs() > 63) & (torch.arange(weight.numel()).reshape(weight.shape) % 8 < 7)
    assert int(clipped.sum()) > 20
    assert weight.grad is not None
    assert bool((weight.grad[clipped] != 0).all())


@pytest.mark.parametrize(
    ("choice", "bits", "wanted", "storage"),
    [
        (Secded(), 8, Protection("hsiao8x8", 8, 8), 1000 * 8 + 125 * 8),
        (Secded(), 6, Protection("hsiao6x10", 10, 8), 1000 * 6 + 100 * 8),
        (Secded(16), 8, Protection("hsiao8x2", 2, 6), 1000 * 8 + 500 * 6),
        (Parity(3), 8, Protection("parity8x3", 3, 1), 1000 * 8 + 334),
        (Parity(then="zero"), 8, Protection("parityzero8x1", 1, 1), 1000 * 9),
        (TmrBits(2), 8, Protection("majority8x2", 1, 4), 1000 * 12),
        (Tmr(), 4, Protection("majority4x4", 1, 8), 1000 * 12),
        (InPlaceEcc(), 8, Protection("inplace8x8", 8, 0), 1000 * 8),
        (WeightClip(), 8, Protection("rangezero8x1", 1, 0), 1000 * 8),
    ],
)
def test_demands_count_check_bits(choice: Approximation, bits: int, wanted: Protection, storage: int) -> None:
    op = Op("linear", (100,), (10, 100), (10,), 1, 1, 100, 10)
    plain = replace(Demand.of(Site("fc", op, (), "fc")), weight_bits=bits)
    found = choice.demand(plain, {})
    assert found.protection == wanted
    assert found.weight_storage_bits == storage
    sparse = replace(found, index_bits=4, weight_nonzeros=301)
    words = -(-301 // wanted.weights)
    assert sparse.weight_storage_bits == 301 * (bits + 4) + words * wanted.check_bits


def test_sparse_memories_protect_what_is_stored() -> None:
    model = built(MagnitudePruning(0.4), Integer(), Secded())
    for memory in weight_memories(model):
        assert memory.sparse
        assert memory.protection is not None
        assert memory.check_words == -(-len(memory.words) // 8)
        assert memory.stored is memory.words
