"""Bad input through the command line: exit code, a message that names the thing and the remedy, nothing destroyed."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch

from laxity.targets import load_target

from .cases_run import RUNS, TARGETS
from .cases_task import DATA, FUNCTIONS, WEIGHTS
from .cases_use import CONFIG, NAMES
from .conftest import Own, call, execute, snapshot
from .place import (
    MARKER,
    Case,
    Payload,
    Place,
)

CASES = [*WEIGHTS, *DATA, *NAMES, *FUNCTIONS, *CONFIG, *TARGETS, *RUNS]


@pytest.fixture
def place(own: Own, run_copy: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(run_copy.parent)
    return Place(own, run_copy.parent)


def flat(text: str) -> str:
    """The words of a message, without the frames and line breaks that a terminal gets."""
    return re.sub(r"\s+", " ", re.sub(r"[│╭╮╰╯─]", " ", text))


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_bad_input(case: Case, place: Place) -> None:
    words = case.arrange(place)
    before = snapshot(place.folder)
    outcome = call(*words)
    message = flat(outcome.err)
    assert outcome.code == case.code, message
    position = 0
    for fragment in case.says:
        assert fragment in message[position:], f"{fragment!r} is missing in: {message}"
        position = message.index(fragment, position)
    assert "Traceback" not in outcome.err
    assert "please report" not in message
    assert outcome.out == ""
    assert snapshot(place.folder) == before
    assert not (place.folder / MARKER).exists()


def test_the_payload_would_have_worked(tmp_path: Path) -> None:
    payload = Payload(tmp_path / MARKER)
    function, arguments = payload.__reduce__()
    assert function(*arguments) == 0
    assert payload.marker.exists()


def test_names_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 45


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("mnist", "ossci-datasets.s3.amazonaws.com/mnist/"),
        ("fashion_mnist", "fashion-mnist.s3-website.eu-central-1.amazonaws.com/"),
    ],
)
def test_absent_data_sets_name_their_address(tmp_path: Path, name: str, url: str) -> None:
    outcome = call("optimize", name, "--data-dir", tmp_path, "--out", tmp_path / "run")
    assert outcome.code == 1
    for part in (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ):
        assert re.search(rf"https?://\S*{re.escape(url)}{part}\.gz", outcome.err)
    assert "--download" in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_absent_cifar10_names_checkpoint_and_archive(tmp_path: Path, data_dir: Path) -> None:
    outcome = call("optimize", "cifar10", "--data-dir", tmp_path, "--out", tmp_path / "run")
    assert outcome.code == 1
    assert re.search(r"https://\S+/resnet20-12fca82f\.th", outcome.err)
    checkpoint = data_dir / "resnet_cifar10" / "resnet20_cifar10.pt"
    if not checkpoint.is_file():
        pytest.skip("no checkpoint of resnet20 in the data folder")
    shutil.copy(checkpoint, tmp_path)
    outcome = call("optimize", "cifar10", "--data-dir", tmp_path, "--out", tmp_path / "run")
    assert outcome.code == 1
    assert "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz" in outcome.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
@pytest.mark.parametrize("command", ["optimize", "evaluate", "sweep"])
def test_cuda_where_there_is_none(command: str, finished: Path, tmp_path: Path) -> None:
    words = ["digits", "--out", tmp_path / "run"] if command == "optimize" else [finished]
    outcome = call(command, *words, "--device", "cuda")
    assert outcome.code == 2
    assert "torch sees no CUDA device; use --device cpu" in outcome.err


def test_a_technique_that_does_not_exist_can_be_corrected(own: Own, tmp_path: Path) -> None:
    words, out = own.words(tmp_path / "run"), tmp_path / "run"
    outcome = call(*words, "--technique", "intger")
    assert outcome.code == 2
    assert "unknown technique 'intger'; did you mean 'integer'?" in outcome.err
    assert call(*words, "--technique", "integer").code == 0
    assert json.loads((out / "best" / "metrics.json").read_text())["task"] == "mine"


def test_a_budget_that_nobody_can_meet(hopeless: Own, tmp_path: Path) -> None:
    outcome = call(*hopeless.words(tmp_path / "run"), "--json", "--max-drop", 0)
    assert outcome.code == 3
    assert "no plan keeps the drop within 0 points" in outcome.err
    assert "--max-drop" in outcome.err
    metrics = json.loads(outcome.out)
    assert metrics["met"] is False
    assert metrics["single_level"] == {"data": None, "software": None, "hardware": None}
    assert metrics["cross_level"] is None
    assert metrics["drop"] > 0.1
    for name in ("best/plan.json", "best/model.safetensors", "best/metrics.json", "report.html"):
        assert (tmp_path / "run" / name).stat().st_size > 0
    again = call("evaluate", tmp_path / "run", "--json")
    assert again.code == 0
    assert json.loads(again.out)["drop"] == metrics["drop"]


class FullDisk:
    """Lets a number of files reach the disk, then says that it is full."""

    def __init__(self, room: int) -> None:
        self.room, self.asked, self._real = room, 0, os.fsync

    def __call__(self, handle: int) -> None:
        self.asked += 1
        if self.asked > self.room:
            raise OSError(28, "No space left on device")
        self._real(handle)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_a_full_disk_loses_nothing(
    own: Own, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    disk = FullDisk(10**6)
    monkeypatch.setattr(os, "fsync", disk)
    assert call(*own.words(tmp_path / "whole")).code == 0
    full = FullDisk(int(disk.asked * share))
    monkeypatch.setattr(os, "fsync", full)
    outcome = call(*own.words(tmp_path / "run"))
    assert outcome.code == 1
    assert "No space left on device" in outcome.err
    assert "free space" in outcome.err
    assert "Traceback" not in outcome.err
    monkeypatch.undo()
    journal = tmp_path / "run" / "evaluations.jsonl"
    kept = journal.read_bytes() if journal.exists() else b""
    assert kept.count(b"\n") >= (full.room - 3 if share < 0.5 else 1)  # what was computed is there
    assert call(*own.words(tmp_path / "run")).code == 0
    assert journal.read_bytes().startswith(kept)
    results = [json.loads((r / "best" / "metrics.json").read_text()) for r in (tmp_path / "run", finished)]
    for result in results:
        del result["seconds"]
    assert results[0] == results[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["optimize", "digts"], 2, "did you mean 'digits'"),
        (["optimize", "digits", "--seed", "x"], 2, "--seed"),
        (["evaluate", "nowhere"], 1, "nowhere"),
        (["circuits", "show", "drum8_44"], 1, "use 3..8"),
        (["optimise"], 2, "optimize"),
        (["optimize", "digits", "--out", "/dev/null/run"], 1, "choose another --out"),
    ],
)
def test_bad_input_in_a_process_of_its_own(words: list[str], code: int, says: str, tmp_path: Path) -> None:
    outcome = execute(*words, cwd=tmp_path)
    assert outcome.code == code
    assert says in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    assert list(tmp_path.iterdir()) == []


def test_an_unexpected_error_is_told_as_such(monkeypatch: pytest.MonkeyPatch, finished: Path) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("inner")

    monkeypatch.setattr("laxity.artifacts.verify.evaluate_saved", broken)
    outcome = call("evaluate", finished)
    assert outcome.code == 1
    assert "unexpected KeyError: 'inner'" in outcome.err
    assert "please report" in outcome.err
    assert "Traceback" not in outcome.err
    monkeypatch.setenv("LAXITY_DEBUG", "1")
    assert "Traceback" in call("evaluate", finished).err


def test_a_missing_tool_has_its_own_code(tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (data_dir / "cifar10" / "test_batch.webp").is_file():
        pytest.skip("no WebP sheets of CIFAR-10 in the data folder")
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    outcome = call("sites", "cifar10", "--data-dir", data_dir)
    assert outcome.code == 4
    assert "pip install" in outcome.err


def test_targets_of_these_tests_are_like_the_built_in_one() -> None:
    assert load_target("mac-array-45nm").constants.constant("weight_buffer.read").value == 11.5
