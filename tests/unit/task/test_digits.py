"""The task inside the package: data, splits, shipped weights, and that training makes them again."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from laxity.core.errors import ConfigError, RegistryError, RunError, TaskError
from laxity.task import load_task, make_task
from laxity.task.digits import digit_images
from laxity.task.train import Epoch, Recipe, accuracy, train, train_named

WEIGHTS = files("laxity.models") / "weights"


def test_data_is_the_uci_test_part() -> None:
    images, labels = digit_images()
    assert images.shape == (1797, 1, 8, 8)
    assert images.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 16)
    # class distribution of optdigits.tes as listed in the data set's documentation at UCI
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_splits_are_disjoint_complete_and_stratified() -> None:
    task = load_task("digits")
    sizes = {name: len(split) for name, split in task.splits().items()}
    assert sizes == {"train": 797, "calibration": 100, "validation": 400, "test": 500}
    rows = torch.cat([split.indices for split in task.splits().values()])
    assert torch.equal(rows.sort().values, torch.arange(1797))
    share = np.bincount(digit_images()[1]) / 1797
    for split in task.splits().values():
        assert np.abs(np.bincount(split.labels()) - share * len(split)).max() < 2


def test_inputs_are_in_the_unit_interval() -> None:
    inputs, _ = load_task("digits").test.fetch(range(500))
    assert inputs.dtype == torch.float32
    assert (float(inputs.min()), float(inputs.max())) == (0.0, 1.0)


def test_shipped_weights_reach_the_accuracy_that_is_written_next_to_them() -> None:
    task = load_task("digits")
    record = json.loads((WEIGHTS / "digits_cnn.json").read_text())
    logits = task.model(task.test.fetch(range(500))[0])
    right = (logits.argmax(1) == task.test.labels()).double().mean().item()
    assert right >= 0.975
    assert right == pytest.approx(record["test_accuracy"], abs=0.003)
    assert accuracy(task.model, task.test, batch_size=77) == right


def test_package_files_stay_small() -> None:
    data = files("laxity.task") / "data"
    sizes = [len(p.read_bytes()) for folder in (WEIGHTS, data) for p in folder.iterdir() if p.is_file()]
    assert len((WEIGHTS / "digits_cnn.safetensors").read_bytes()) <= 100_000
    assert sum(sizes) <= 200_000


@pytest.mark.slow
def test_training_makes_the_shipped_weights_again(tmp_path: Path) -> None:
    result, path = train_named("digits", seed=0, out=tmp_path / "again.safetensors")
    record = json.loads((WEIGHTS / "digits_cnn.json").read_text())
    made = json.loads(path.with_suffix(".json").read_text())
    assert result.test_accuracy >= 0.975
    assert result.best_epoch == min(
        e.number for e in result.history if e.validation_accuracy == max(h.validation_accuracy for h in result.history)
    )
    if made["versions"] == record["versions"]:
        assert path.read_bytes() == (WEIGHTS / "digits_cnn.safetensors").read_bytes()
        assert made["test_accuracy"] == record["test_accuracy"]


def test_training_depends_on_the_seed_only(tmp_path: Path) -> None:
    seen: list[Epoch] = []
    before, state = torch.get_num_threads(), torch.get_rng_state()
    _, first = train_named("digits", seed=3, epochs=1, out=tmp_path / "a.safetensors", progress=seen.append)
    torch.manual_seed(99)
    torch.set_num_threads(2)
    _, again = train_named("digits", seed=3, epochs=1, out=tmp_path / "b.safetensors")
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)
    torch.set_rng_state(state)
    _, other = train_named("digits", seed=4, epochs=1, out=tmp_path / "c.safetensors")
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()
    assert [e.number for e in seen] == [1]
    assert set(load_file(first)) == set(load_file(other))


def test_training_writes_where_load_task_looks_and_loads_again(tmp_path: Path) -> None:
    result, path = train_named("digits", seed=1, epochs=1, network="mlp", data_dir=tmp_path)
    assert path == tmp_path / "weights" / "digits_mlp.safetensors"
    task = load_task("digits", model="mlp", data_dir=tmp_path)
    assert accuracy(task.model, task.test) == result.test_accuracy
    record = json.loads(path.with_suffix(".json").read_text())
    assert (record["network"], record["seed"], record["recipe"]["epochs"]) == ("mlp", 1, 1)


def test_training_refuses_places_and_lengths_before_it_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match=r"cannot make .*file.*choose another --out"):
        train_named("digits", seed=0, out=tmp_path / "file" / "w.safetensors")
    with pytest.raises(ConfigError, match=r"ends in \.safetensors"):
        train_named("digits", seed=0, out=tmp_path / "w.pt")
    with pytest.raises(ConfigError, match="epochs is 0"):
        train_named("digits", seed=0, epochs=0, out=tmp_path / "w.safetensors")


def test_a_network_without_weights_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"laxity train digits --model mlp .*--seed 0"):
        load_task("digits", model="mlp", data_dir=tmp_path)
    with pytest.raises(RegistryError, match="did you mean 'digits_cnn'"):
        load_task("digits", model="digit_cnn")


def separable() -> object:
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(300) % 3
    inputs = torch.randn(300, 5, generator=generator) + 4 * nn.functional.one_hot(targets, 5)
    torch.manual_seed(0)
    return make_task("blobs", nn.Linear(5, 3), train=(inputs, targets))


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_training_learns_and_leaves_the_task_alone(optimiser: str) -> None:
    task = separable()
    before = task.model.weight.clone()
    result = train(task, seed=0, recipe=Recipe(6, 16, optimiser, 0.1, 0.0))
    assert result.test_accuracy > 0.95
    assert torch.equal(task.model.weight, before)
    assert not result.model.training
    assert result.history[-1].loss < result.history[0].loss
    assert accuracy(result.model, task.validation) == result.validation_accuracy


def test_training_refuses_bad_recipes_and_divergence() -> None:
    task = separable()
    with pytest.raises(ConfigError, match="unknown optimiser 'lion'"):
        train(task, seed=0, recipe=Recipe(1, optimiser="lion"))
    with pytest.raises(ConfigError, match="epochs is 0"):
        train(task, seed=0, recipe=Recipe(0))
    with pytest.raises(TaskError, match="lower the learning rate"):
        train(task, seed=0, recipe=Recipe(3, 16, "sgd", 1e38))
