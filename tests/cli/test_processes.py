"""Signals and pipes: interrupted runs resume with the same result, workers never outlive them, readers may leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Own, call, execute, start

pytestmark = pytest.mark.slow


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until a condition holds.

    Raises:
        TimeoutError: it does not.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the condition did not come true")
        time.sleep(0.02)


def children(process: int) -> set[int]:
    """Processes that a process has started."""
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return {int(word) for word in text.split()}


def alive(process: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def evaluations(run: Path) -> int:
    journal = run / "evaluations.jsonl"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def result_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "best" / "metrics.json").read_text())
    del found["seconds"]
    return found


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc to see the worker processes")
@pytest.mark.parametrize(
    ("number", "workers", "group"),
    [
        (signal.SIGINT, 2, True),
        (signal.SIGINT, 1, False),
        (signal.SIGTERM, 2, False),
        (signal.SIGKILL, 2, False),
        (signal.SIGKILL, 1, False),
    ],
)
def test_interrupted_runs_resume(
    own: Own, finished: Path, tmp_path: Path, number: signal.Signals, workers: int, group: bool
) -> None:
    run = tmp_path / "run"
    words = [*own.words(run), "--workers", workers]
    process = start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    wait_for(lambda: evaluations(run) >= 3 or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    started = children(process.pid)
    assert len(started) >= (workers if workers > 1 else 0)
    (os.killpg if group else os.kill)(process.pid, number)
    out, err = process.communicate(timeout=20)
    assert out == ""
    assert "Traceback" not in err
    if number is signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 130
        assert "the same command resumes: laxity optimize mine" in err
    wait_for(lambda: not any(alive(child) for child in started), 10)
    kept = (run / "evaluations.jsonl").read_bytes()
    kept = kept[: kept.rfind(b"\n") + 1]
    assert not (run / "best" / "metrics.json").exists()
    assert call(*words, "--workers", 1).code == 0
    assert (run / "evaluations.jsonl").read_bytes().startswith(kept)
    assert result_of(run) == result_of(finished)


def test_any_number_of_workers_gives_the_same_result(own: Own, finished: Path, tmp_path: Path) -> None:
    outcome = execute(*own.words(tmp_path / "run"), "--workers", 2)
    assert outcome.code == 0, outcome.err
    assert result_of(tmp_path / "run") == result_of(finished)


def test_a_reader_that_leaves_is_no_error() -> None:
    process = start("circuits", "list", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=60) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_result_that_cannot_be_written_is_an_error() -> None:
    with open("/dev/full", "w") as full:
        process = start("circuits", "list", stdout=full, stderr=subprocess.PIPE)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "cannot write the result to standard output" in err
    assert "Traceback" not in err


def test_standard_error_may_be_closed(own: Own, tmp_path: Path) -> None:
    words = [w for w in own.words(tmp_path / "run") if w != "--quiet"]
    reader, writer = os.pipe()
    process = start(*words, "--json", stdout=subprocess.PIPE, stderr=writer)
    os.close(writer)
    os.close(reader)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert json.loads(out)["task"] == "mine"


def test_output_that_cannot_show_every_character(finished: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "OMP_NUM_THREADS": "1"}
    words = ["-m", "laxity", "evaluate", str(finished)]
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"accuracy, approximated" in done.stdout
