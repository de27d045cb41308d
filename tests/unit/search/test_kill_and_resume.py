"""A run that is killed at any moment and started again ends as if nothing had happened, with any number of workers."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[3] / "src"
CONFIG = """
max_drop = 0.02
[search]
evaluations = 6
population = 4
rounds = 1
candidates = 2
probe_samples = 64
search_samples = 64
techniques = ["integer", "multiplier"]
[recovery]
epochs = 1
samples = 64
learning_rates = [1e-3]
[faults]
rates = [1e-3]
trials = 2
samples = 50
"""
FILES = (
    "best/plan.json",
    "best/model.safetensors",
    "best/details.json",
    "front.json",
    "recovery.json",
    "sensitivity.json",
    "config.toml",
)
DEADLINE_S = 400

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups"),
]


@pytest.fixture
def start():
    """Begins or resumes a run in a process group of its own; nothing outlives the test."""
    begun = []
    yield lambda folder, workers: begun.append(_begin(folder, workers)) or begun[-1]
    for process in begun:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def _begin(folder, workers):
    config = folder.parent / "tiny.toml"
    config.write_text(CONFIG)
    command = [
        sys.executable, "-m", "laxity", "optimize", "digits",
        "--config", str(config), "--out", str(folder), "--workers", str(workers), "--quiet",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def lines(folder):
    """Complete lines of the journal."""
    path = folder / "evaluations.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def kill_when(process, reached):
    """Kill the whole group without warning as soon as `reached` holds; say whether it still ran then."""
    end = time.monotonic() + DEADLINE_S
    while not reached() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    alive = process.poll() is None
    if alive:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return alive


def finish(process):
    _, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode in {0, 3}, errors.decode()
    return process.returncode


def journal(folder):
    """What was evaluated, without the time it took."""
    records = [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]
    return {(r["plan_key"], r["stage"]): {k: v for k, v in r.items() if k != "seconds"} for r in records}


def outcome(folder):
    """Everything that a run promises to be the same."""
    metrics = json.loads((folder / "best" / "metrics.json").read_text())
    metrics.pop("seconds")
    rtl = {p.name: p.read_bytes() for p in sorted((folder / "best" / "rtl").rglob("*")) if p.is_file()}
    return {name: (folder / name).read_bytes() for name in FILES} | {"metrics": metrics, "rtl": rtl}


def test_killed_runs_end_like_undisturbed_ones(tmp_path, start):
    undisturbed, serial, parallel = (tmp_path / n / "run" for n in ("undisturbed", "serial", "parallel"))
    for folder in (undisturbed, serial, parallel):
        folder.parent.mkdir()
    code = finish(start(undisturbed, 1))
    total = lines(undisturbed)
    rng = random.Random(0)

    moments = sorted(rng.sample(range(1, total), 2))
    killed = 0
    for moment in moments:
        killed += kill_when(start(serial, 1), lambda moment=moment: lines(serial) >= moment)
        assert lines(serial) >= moment
    killed += kill_when(start(serial, 1), (serial / "front.json").exists)
    assert killed >= 2
    assert finish(start(serial, 1)) == code

    moment = rng.randrange(1, total)
    assert kill_when(start(parallel, 2), lambda: lines(parallel) >= moment)
    assert finish(start(parallel, 2)) == code

    wanted = outcome(undisturbed)
    for folder in (serial, parallel):
        assert journal(folder) == journal(undisturbed)
        assert len(journal(folder)) == lines(folder) == total
        found = outcome(folder)
        for name, content in wanted.items():
            assert found[name] == content, name
