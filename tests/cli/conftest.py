"""The command line called in this process, a small task made of files, and a finished run of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F
from typer.testing import CliRunner

from laxity.cli import app
from laxity.models import build_for

TINY = """
[search]
evaluations = 4
rounds = 0
probe_samples = 32
techniques = ["integer"]

[faults]
rates = [1e-3]
trials = 2
samples = 20
"""
FEATURES, CLASSES = 16, 3


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def call(*words: object) -> Outcome:
    """Run the command line in this process."""
    result = CliRunner().invoke(app, [str(w) for w in words], prog_name="laxity")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


def start(*words: object, **options: object) -> subprocess.Popen[str]:
    """Start the command line as a process of its own."""
    command = [sys.executable, "-m", "laxity", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    environment.pop("PYTHONWARNINGS", None)
    return subprocess.Popen(command, env=environment, text=True, **options)  # type: ignore[call-overload,no-any-return]


def execute(*words: object, **options: object) -> Outcome:
    """Run the command line as a process of its own, to its end."""
    process = start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    out, err = process.communicate(timeout=120)
    return Outcome(process.returncode, out, err)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Content of every file below a folder, but for the log."""
    files = (p for p in folder.rglob("*") if p.is_file() and p.name != "log.txt")
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


@dataclass(frozen=True)
class Own:
    """A user's task in files: trained weights, data, and a configuration that makes runs short."""

    folder: Path

    @property
    def weights(self) -> Path:
        return self.folder / "w.safetensors"

    @property
    def data(self) -> Path:
        return self.folder / "d.npz"

    @property
    def config(self) -> Path:
        return self.folder / "tiny.toml"

    def words(self, out: Path, *, weights: Path | None = None, data: Path | None = None) -> list[object]:
        """The command that optimises it."""
        given: Sequence[object] = ["--weights", weights or self.weights, "--data", data or self.data]
        rest: Sequence[object] = ["--config", self.config, "--workers", 1, "--quiet"]
        return ["optimize", "mine", "--model", "mlp", *given, "--out", out, *rest]


def _write_task(folder: Path, outlier: float) -> Own:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, 400)
    centres = rng.normal(size=(CLASSES, FEATURES))
    inputs = (centres[labels] + 0.7 * rng.normal(size=(400, FEATURES))).astype(np.float32)
    inputs[:, 0] = outlier * rng.uniform(-1, 1, 400)
    torch.manual_seed(0)
    model = build_for("mlp", (FEATURES,), CLASSES).train()
    first = next(m for m in model.modules() if isinstance(m, nn.Linear))
    with torch.no_grad():
        first.weight[:, 0] = 0
    optimiser = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    for _ in range(40):
        loss = F.cross_entropy(model(torch.from_numpy(inputs)), torch.from_numpy(labels))
        optimiser.zero_grad()
        loss.backward()
        first.weight.grad[:, 0] = 0  # type: ignore[index]
        optimiser.step()
    own = Own(folder)
    save_file(model.state_dict(), own.weights)
    np.savez(own.data, x=inputs, y=labels)
    own.config.write_text(TINY)
    return own


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory) -> Own:
    """A task that is easy to approximate."""
    return _write_task(tmp_path_factory.mktemp("own"), outlier=1.0)


@pytest.fixture(scope="session")
def hopeless(tmp_path_factory: pytest.TempPathFactory) -> Own:
    """A task that 8 bits cannot hold: an input without meaning is 100 000 times larger than the others."""
    return _write_task(tmp_path_factory.mktemp("hopeless"), outlier=1e5)


@pytest.fixture(scope="session")
def finished(own: Own, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run of `own`; read only, see `run_copy`."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    outcome = call(*own.words(folder))
    assert outcome.code == 0, outcome.err
    return folder


@pytest.fixture
def run_copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be damaged."""
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    return folder
