"""The context that sets gradients: what it takes, what it leaves, and what does not get out of it."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

from laxity.circuits import catalogue
from laxity.core.errors import PlanError, RegistryError
from laxity.emulate.build import calibrate
from laxity.recovery import GRADIENTS, observe, with_gradient
from laxity.recovery.gradients import ErrorSlope, StraightThrough, Table1D, Table2D, gradient_named
from laxity.techniques import Integer, Minifloat


def build(ref, *choices, multiplier="mitchell8"):
    """Two layers and an input; the first has a multiplier."""
    torch.manual_seed(0)
    x = torch.randn(3, 2, 6, 6)
    model = ref.quantised(nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Flatten(), nn.Linear(108, 4)), x, *choices)
    ref.site(model, "0").multiplier = catalogue.get(multiplier)
    return model, x


def gradient_of(model, x):
    """Of the input."""
    given = x.clone().requires_grad_(True)
    return torch.autograd.grad(model(given).square().sum(), given)[0]


def test_all_gradients_by_name(ref):
    assert set(GRADIENTS.names()) >= {"straight_through", "error_slope", "table_1d", "table_2d"}
    model, x = build(ref)
    straight = gradient_of(model, x)
    for name in ("straight_through", "error_slope", "table_1d", "table_2d"):
        with with_gradient(model, name, [x]) as found:
            mine = gradient_of(model, x)
            assert all(found[site].describe() for site in found)
            assert set(found) == (set() if name == "straight_through" else {"0"})
        assert torch.equal(mine, straight) == (name == "straight_through")
        assert torch.equal(gradient_of(model, x), straight)


def interrupted(model, x, outer):
    """Another gradient, and an end of the context by an exception."""
    with with_gradient(model, "table_1d"):
        assert not torch.equal(gradient_of(model, x), outer)
        raise KeyboardInterrupt


def test_contexts_nest_and_leave_nothing_behind(ref):
    model, x = build(ref)
    state, straight = copy.deepcopy(model.state_dict()), gradient_of(model, x)
    with with_gradient(model, "table_2d"):
        outer = gradient_of(model, x)
        assert model.state_dict().keys() == state.keys()
        with pytest.raises(KeyboardInterrupt):
            interrupted(model, x, outer)
        assert torch.equal(gradient_of(model, x), outer)
        with with_gradient(model, "straight_through"):
            assert torch.equal(gradient_of(model, x), straight)
        seen = observe(model, [x], seed=0, felt_samples=2)
        assert torch.equal(gradient_of(model, x), outer)
    plain = observe(model, [x], seed=0, felt_samples=2)
    assert torch.equal(seen.sites["0"].feeling.linear, plain.sites["0"].feeling.linear)
    assert torch.equal(gradient_of(model, x), straight)


@pytest.mark.parametrize("way", ["copy", "pickle", "save"])
def test_copies_are_straight_through(ref, way):
    model, x = build(ref)
    straight = gradient_of(model, x)
    with with_gradient(model, "table_1d"):
        if way == "copy":
            other = copy.deepcopy(model)
        elif way == "pickle":
            other = pickle.loads(pickle.dumps(model))
        else:
            torch.save(model, buffer := io.BytesIO())
            buffer.seek(0)
            other = torch.load(buffer, weights_only=False)
        assert torch.equal(gradient_of(other, x), straight)
        assert not torch.equal(gradient_of(model, x), straight)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda model, x: torch.export.export(model, (x,), strict=False),
        lambda model, x: torch.compile(model, backend="eager", fullgraph=True)(x),
    ],
    ids=["export", "compile"],
)
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:torch")
def test_training_graphs_cannot_be_compiled(ref, attempt):
    model, x = build(ref)
    model.requires_grad_(True)
    with with_gradient(model, "table_1d"), pytest.raises(Exception, match="leave the context 'with_gradient'") as found:
        attempt(model, x)
    assert isinstance(found.value, PlanError) or "PlanError" in f"{found.value!r} {found.value.__cause__!r}"


def test_gradients_of_gradients_are_refused(ref):
    model, x = build(ref)
    given = x.clone().requires_grad_(True)
    with with_gradient(model, "table_1d"), pytest.raises(PlanError, match="no gradients of gradients"):
        torch.autograd.grad(model(given).sum(), given, create_graph=True)


def test_gradients_are_taken_twice_where_the_graph_is_kept(ref):
    model, x = build(ref)
    given = x.clone().requires_grad_(True)
    with with_gradient(model, "table_2d"):
        total = model(given).sum()
        first = torch.autograd.grad(total, given, retain_graph=True)[0]
        assert torch.equal(torch.autograd.grad(total, given)[0], first)


def test_weights_may_change_and_multipliers_may_not(ref):
    model, x = build(ref)
    layer = ref.site(model, "0")
    with with_gradient(model, "table_1d"):
        layer.weight.data.mul_(3.0)
        scaled = gradient_of(model, x)
        with with_gradient(model, "table_1d"):
            assert torch.equal(gradient_of(model, x), scaled)
        layer.multiplier = catalogue.get("drum8_3")
        with pytest.raises(PlanError, match="'0' has got another multiplier or other codes"):
            gradient_of(model, x)
        layer.multiplier = catalogue.get("mitchell8")
        calibrate(model, [x.abs()])
        with pytest.raises(PlanError, match="'0' has got another multiplier or other codes"):
            gradient_of(model, x)


@pytest.mark.parametrize(
    ("name", "observed", "options", "error", "text"),
    [
        ("table_3d", None, {}, RegistryError, "unknown gradient 'table_3d'; did you mean"),
        ("table_2d", None, {"windows": 3}, PlanError, "no option 'windows'; did you mean 'window'"),
        ("straight_through", None, {"window": 3}, PlanError, "no option 'window'; it has none"),
        ("table_2d window", None, {}, PlanError, "'window' is no option; write 'name option=value'"),
        ("table_2d window=", None, {}, PlanError, "'window=' is no option"),
        ("table_2d window = 4", None, {}, PlanError, "'window' is no option; .* without blanks at ="),
        ("table_2d window=4 window=5", None, {}, PlanError, "has option 'window' twice"),
        ("table_2d window=4", None, {"window": 5}, PlanError, "has option 'window' twice"),
        ("table_2d window=4.5", None, {}, PlanError, "option 'window' must be int, not '4.5'"),
        ("table_2d tolerance=much", None, {}, PlanError, "option 'tolerance' must be float, not 'much'"),
        ("table_2d tolerance=2", None, {}, PlanError, "tolerance of gradient 'table_2d' is a fraction"),
        ("table_2d widow=4", None, {}, PlanError, "no option 'widow'; did you mean 'window'"),
        ("error_slope per_kernel=1", None, {}, PlanError, "option 'per_kernel' must be true or false, not '1'"),
        ("", None, {}, RegistryError, "unknown gradient ''"),
        ("error_slope", None, {}, PlanError, "'error_slope' has to know the operands"),
        ("table_1d", None, {"weighting": "histogram"}, PlanError, "'table_1d' has to know the operands"),
    ],
)
def test_bad_arguments(ref, name, observed, options, error, text):
    model, _ = build(ref)
    with pytest.raises(error, match=text), with_gradient(model, name, observed, **options):
        pass


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("table_2d", Table2D(16, 0.05)),
        ("table_2d window=4  tolerance=0", Table2D(4, 0.0)),
        ("table_2d tolerance=1e-3", Table2D(16, 1e-3)),
        ("table_1d weighting=histogram", Table1D("histogram")),
        ("error_slope per_kernel=False", ErrorSlope(per_kernel=False)),
        ("error_slope per_kernel=true", ErrorSlope()),
        ("straight_through", StraightThrough()),
    ],
)
def test_options_behind_the_name(text, wanted):
    assert gradient_named(text) == wanted
    assert gradient_named("table_2d window=4", tolerance=0.5) == Table2D(4, 0.5)


def test_options_behind_the_name_are_those_of_the_context(ref):
    model, x = build(ref, multiplier="optrunc8_5")
    found = []
    for name, options in (("table_2d window=2", {}), ("table_2d", {"window": 2}), ("table_2d", {})):
        with with_gradient(model, name, **options):
            found.append(gradient_of(model, x))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_sites_without_whole_numbers_are_named(ref):
    model, _ = build(ref, Minifloat(4, 3))
    with pytest.raises(PlanError, match="'0' has no whole-number codes"), with_gradient(model, "table_1d"):
        pass


def test_observations_of_another_network_are_refused(ref):
    model, x = build(ref)
    other = ref.quantised(nn.Sequential(nn.Identity(), nn.Conv2d(2, 3, 3)), x)
    seen = observe(other, [x], seed=0)
    with pytest.raises(PlanError, match="'0' is not in the observation"), with_gradient(model, "error_slope", seen):
        pass


def test_sites_without_a_multiplier_stay_straight_through(ref):
    model, x = build(ref, Integer())
    with with_gradient(model, "table_2d") as found:
        assert set(found) == {"0"}
        assert ref.site(model, "2").gradient is None
        ref.site(model, "0").multiplier = None
        exact = gradient_of(model, x)
    assert torch.equal(gradient_of(model, x), exact)
