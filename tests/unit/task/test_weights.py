"""Weights: formats, mismatches, and files that must not be executed."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from laxity.core.errors import TaskError
from laxity.task.weights import load_weights, read_state, write_state


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def filled(value: float) -> nn.Module:
    model = network()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)
    return model


def same(a: nn.Module, b: nn.Module) -> bool:
    other = b.state_dict()
    return all(torch.equal(v, other[k]) for k, v in a.state_dict().items())


@pytest.mark.parametrize("form", ["safetensors", "plain.pt", "wrapped.pth", "parallel.th"])
def test_every_format_loads_equal_weights(tmp_path: Path, form: str) -> None:
    source, target, path = network(), filled(0.5), tmp_path / f"w.{form}"
    state = source.state_dict()
    if form == "safetensors":
        write_state(path, source)
    elif form == "plain.pt":
        torch.save({k: v for k, v in state.items() if "num_batches" not in k}, path)
    elif form == "wrapped.pth":
        torch.save({"state_dict": state, "epoch": 3}, path)
    else:
        torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, path)
    load_weights(target, read_state(path), str(path))
    assert same(source, target)


def test_half_precision_is_converted(tmp_path: Path) -> None:
    save_file(
        {k: v.half() if v.is_floating_point() else v for k, v in filled(0.25).state_dict().items()},
        tmp_path / "h.safetensors",
    )
    target = network()
    load_weights(target, read_state(tmp_path / "h.safetensors"), "h")
    assert target[3].weight.dtype == torch.float32
    assert target[3].weight.unique().tolist() == [0.25]


def test_written_files_are_a_function_of_the_weights(tmp_path: Path) -> None:
    size = write_state(tmp_path / "a.safetensors", network())
    write_state(tmp_path / "b.safetensors", network())
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert (tmp_path / "a.safetensors").stat().st_size == size


class Trap:
    """Makes a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("suffix", ["pt", "pth"])
def test_pickled_code_is_refused_and_not_run(tmp_path: Path, suffix: str) -> None:
    mark = tmp_path / "executed"
    torch.save({"weight": torch.zeros(2), "extra": Trap(mark)}, tmp_path / f"evil.{suffix}")
    with pytest.raises(TaskError, match=r"evil\.\w+ is not a plain file of tensors.*save_file"):
        read_state(tmp_path / f"evil.{suffix}")
    assert not mark.exists()


@pytest.mark.parametrize("protocol", [2, 4])
def test_bare_pickles_are_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "executed"
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Trap(mark), protocol))
    with pytest.raises(TaskError, match=r"bare\.pt"):
        read_state(tmp_path / "bare.pt")
    assert not mark.exists()
    pickle.loads((tmp_path / "bare.pt").read_bytes())
    assert mark.exists()  # the trap works where pickles are trusted


def test_a_whole_pickled_model_is_refused(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "model.pt")
    with pytest.raises(TaskError, match="not a plain file of tensors"):
        read_state(tmp_path / "model.pt")


def test_missing_truncated_foreign_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"no weights at .*none\.safetensors"):
        read_state(tmp_path / "none.safetensors")
    write_state(tmp_path / "w.safetensors", network())
    raw = (tmp_path / "w.safetensors").read_bytes()
    torch.save(network().state_dict(), tmp_path / "w.pt")
    torch_raw = (tmp_path / "w.pt").read_bytes()
    for count in (0, 4, 20, len(raw) - 1):
        (tmp_path / "cut.safetensors").write_bytes(raw[:count])
        with pytest.raises(TaskError, match=r"cannot read .*cut\.safetensors"):
            read_state(tmp_path / "cut.safetensors")
    for count in (0, 4, 300, len(torch_raw) - 100):
        (tmp_path / "cut.pt").write_bytes(torch_raw[:count])
        with pytest.raises(TaskError, match=r"cannot read .*cut\.pt") as caught:
            read_state(tmp_path / "cut.pt")
        assert "weights_only" not in str(caught.value)
    (tmp_path / "w.h5").write_bytes(raw)
    with pytest.raises(TaskError, match=r"'\.h5'; accepted are"):
        read_state(tmp_path / "w.h5")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(TaskError, match="holds a list"):
        read_state(tmp_path / "list.pt")
    torch.save({}, tmp_path / "empty.pt")
    with pytest.raises(TaskError, match="not a state dict"):
        read_state(tmp_path / "empty.pt")


def test_mismatches_are_listed_with_shapes() -> None:
    state = network().state_dict()
    less = {k: v for k, v in state.items() if k != "3.bias"}
    with pytest.raises(TaskError, match=r"1 missing \(3\.bias \(3,\)\)"):
        load_weights(network(), less, "w.pt")
    with pytest.raises(TaskError, match=r"1 unexpected \(head \(7,\)\)"):
        load_weights(network(), {**state, "head": torch.zeros(7)}, "w.pt")
    many = {f"t{i}": torch.zeros(1) for i in range(9)}
    with pytest.raises(TaskError, match=r"9 unexpected .* and 5 more"):
        load_weights(network(), {**state, **many}, "w.pt")
    with pytest.raises(TaskError, match=r"3\.weight: \(5, 8\) in the file, \(3, 8\) wanted.*num_classes"):
        load_weights(network(), {**state, "3.weight": torch.zeros(5, 8)}, "w.pt")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    state = network().state_dict()
    state["0.weight"][0, 0, 0, 0] = value
    target = filled(0.5)
    with pytest.raises(TaskError, match=r"'0\.weight' holds NaN or infinite"):
        load_weights(target, state, "w.pt")
    assert same(target, filled(0.5))
