"""Recurrent networks and attention go through every treatment; what a treatment does not know, it leaves alone."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from laxity.core.plan import Plan, Recovery
from laxity.emulate.apply import approximate, calibration_inputs
from laxity.emulate.build import emulated
from laxity.emulate.layer import EmulatedLayer
from laxity.emulate.product import EmulatedProduct
from laxity.evaluation.evaluator import Setup
from laxity.models.recurrent import RecurrentClassifier
from laxity.models.vit import ViT
from laxity.recovery import ExpectedErrors, error_models, modelled, recover
from laxity.search.treat import baselines, treat
from laxity.sites import find_sites
from laxity.task import make_task
from laxity.task.digits import digit_images
from laxity.task.train import train_named
from laxity.techniques import CircuitMultiplier, Integer


class Functional(nn.Module):
    """Attention by functions, with weights that are parameters of its own."""

    def __init__(self):
        super().__init__()
        self.mix, self.head = nn.Parameter(torch.randn(12, 8) * 0.3), nn.Linear(12, 10)

    def forward(self, x):
        tokens = F.linear(x.flatten(1, 2), self.mix)
        return self.head(F.scaled_dot_product_attention(tokens, tokens, tokens).mean(1))


NETWORKS = {
    "gru": lambda: RecurrentClassifier(nn.GRU, 8, 12, 10),
    "lstm": lambda: RecurrentClassifier(nn.LSTM, 8, 12, 10),
    "vit": lambda: ViT(10, 1, 4, 16, 2, 2, 24),
    "functional": Functional,
}


@pytest.fixture(scope="module")
def tasks():
    """Untrained networks on some of the embedded digits."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images, labels = digit_images()
    data = images[:400].astype("float32") / 16, labels[:400].astype("int64")
    return {name: make_task(name, make(), train=data) for name, make in NETWORKS.items()}


def plan_for(task, name="coltrunc8_10"):
    return Plan.assign(find_sites(task.model, task.example_input), [Integer(4, 8), CircuitMultiplier(name)])


SHORT = Recovery(epochs=1, samples=64, batch_size=32, learning_rate=3e-3)
TREATMENTS = {
    **baselines(SHORT),
    "table_1d": replace(SHORT, gradient="table_1d weighting=histogram"),
    "table_2d": replace(SHORT, gradient="table_2d window=4"),
}


@pytest.mark.parametrize("treatment", [name for name, r in TREATMENTS.items() if r is not None and r.trains])
@pytest.mark.parametrize("network", NETWORKS)
def test_every_training_changes_the_weights_of_every_layer(tasks, network, treatment):
    task = tasks[network]
    plan = plan_for(task)
    start = approximate(task, plan).state_dict()
    found = recover(task, plan.with_recovery(TREATMENTS[treatment]), seed=0)
    after = found.model.state_dict()
    assert all(torch.isfinite(torch.tensor(epoch["loss"])) for epoch in found.curve)
    changed = {name for name, value in after.items() if name in start and not torch.equal(value, start[name])}
    weights = {name for name in start if name.rpartition(".")[2].startswith(("weight", "mix"))}
    assert weights
    assert weights <= changed
    assert all(layer.multiplier is not None for layer in emulated(found.model))


@pytest.mark.parametrize("network", NETWORKS)
def test_statistics_and_compensation_bring_predictions_nearer_or_change_nothing(tasks, network):
    task = tasks[network]
    plan, x = plan_for(task), torch.cat(calibration_inputs(task, "cpu"))
    with torch.no_grad():
        wanted = task.model(x).log_softmax(-1)
        losses = {}
        for name in ("none", "batch-norm re-estimation", "bias compensation"):
            got = recover(task, plan.with_recovery(TREATMENTS[name]), seed=0).model(x).log_softmax(-1)
            losses[name] = float(F.kl_div(got, wanted, log_target=True, reduction="sum"))
    assert losses["batch-norm re-estimation"] < 0.7 * losses["none"]
    assert losses["bias compensation"] <= losses["none"] + 1e-9


def test_regularisation_is_about_layers_and_models_are_about_products_too(tasks):
    task = tasks["vit"]
    model = approximate(task, plan_for(task))
    inputs = calibration_inputs(task, "cpu", 32)
    products = {layer.site.name for layer in emulated(model) if isinstance(layer, EmulatedProduct)}
    assert products == {f"blocks.{i}.attention.{part}" for i in range(2) for part in ("scores", "values")}
    layers = [layer for layer in emulated(model) if isinstance(layer, EmulatedLayer)]
    for layer in layers:
        layer.weight.requires_grad_(True)
    ExpectedErrors(model, inputs, seed=0)().backward()
    assert all(layer.weight.grad.abs().sum() > 0 for layer in layers)
    assert products < set(error_models(model, inputs, per_kernel=True))


@pytest.mark.parametrize("network", ["gru", "vit"])
def test_models_of_the_errors_are_nearer_to_the_circuits_than_exact_products(tasks, network):
    task = tasks[network]
    plan, inputs = plan_for(task), calibration_inputs(task, "cpu")
    model = approximate(task, plan)
    exact = approximate(task, Plan(tuple(c for c in plan.choices if c[2].kind != "multiplier")))
    x = task.validation.fetch(range(len(task.validation)))[0]
    with torch.no_grad():
        true = model(x)
        with modelled(model, error_models(model, inputs, seed=0, per_kernel=True)):
            guess = model(x)
        assert (guess - true).square().mean() < 0.35 * (exact(x) - true).square().mean()


@pytest.mark.slow
@pytest.mark.parametrize(("network", "epochs"), [("gru", 40), ("vit_tiny", 15)])
def test_the_order_of_treatments_holds_on_digits(network, epochs, tmp_path):
    train_named("digits", seed=0, network=network, data_dir=tmp_path, epochs=epochs)
    setup = Setup(task={"spec": "digits", "model": network, "data_dir": str(tmp_path)}, target="mac-array-45nm")
    labels = Recovery(epochs=2, batch_size=32, learning_rate=1e-3, distil=0.0)
    ways = {
        "statistics": Recovery(),
        "fine-tuning": labels,
        "gradient": replace(labels, gradient="table_2d"),
    }
    sites = find_sites(*_trained(setup))
    plan = Plan.assign(sites, [Integer(4, 8), CircuitMultiplier("coltrunc8_10")])
    found = treat(setup, plan, ways, [0, 1], folder=tmp_path / "treated")
    after = {row.name: row.mean for row in found.after}
    assert found.before.mean < 0.6 < 0.75 < found.exact.mean
    assert after["statistics"] >= found.before.mean + 0.2
    assert after["fine-tuning"] >= after["statistics"] - 0.03
    assert after["gradient"] >= after["fine-tuning"] - 0.03
    assert after["gradient"] >= found.before.mean + 0.3
    assert after["gradient"] >= found.exact.mean - 0.2


def _trained(setup):
    from laxity import load_task

    task = load_task(**setup.task)
    return task.model, task.example_input
