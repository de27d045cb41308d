"""Progress: stages, the best plan so far, plain lines, and the bar on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from laxity.cli import progress as module
from laxity.cli.progress import Best, Lines, Stage, Tracker

from .conftest import Own, start


class Recorder:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, int, int, str]] = []

    def begin(self, stage: Stage) -> None:
        self.events.append(("begin", stage.name, stage.done, stage.total, ""))

    def show(self, stage: Stage, best: str) -> None:
        self.events.append(("show", stage.name, stage.done, stage.total, best))

    def end(self, stage: Stage, best: str) -> None:
        self.events.append(("end", stage.name, stage.done, stage.total, best))


def evaluation(ratio: float, drop: float, stage: str = "search") -> Any:
    return SimpleNamespace(energy_ratio=ratio, stage=stage, within=lambda most, guard: drop + guard * 0.01 <= most)


def test_calls_of_one_name_add_up_and_empty_ones_are_left_out() -> None:
    recorder = Recorder()
    tracker = Tracker(recorder, Best(0.05, 1.0))
    for what, done, total in [("a", 0, 2), ("a", 2, 2), ("b", 0, 0), ("a", 0, 3), ("a", 3, 3), ("c", 0, 1)]:
        tracker(what, done, total, None)
    tracker.close()
    ends = [e[:4] for e in recorder.events if e[0] == "end"]
    assert ends == [("end", "a", 5, 5), ("end", "c", 0, 1)]


def test_the_best_plan_is_the_cheapest_within_the_budget() -> None:
    recorder = Recorder()
    tracker = Tracker(recorder, Best(0.05, 1.0))
    plans = [evaluation(0.9, 0.0), evaluation(0.2, 0.05), evaluation(0.5, 0.04), evaluation(0.7, 0.0)]
    for number, latest in enumerate([evaluation(0.1, 0.0, "sensitivity"), *plans], 1):
        tracker("a", number, 5, latest)
    shown = [e[4] for e in recorder.events if e[0] == "show"]
    assert [text.rpartition(" ")[2] for text in shown] == ["", "0.900", "0.900", "0.500", "0.500"]


def test_plain_lines_do_not_flood(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    tracker = Tracker(Lines(), Best(0.05, 1.0))
    for done in range(101):
        tracker("data: search", done, 100, None)
        now[0] += 1.0
    tracker.close()
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert lines[0].endswith("data: search ...")
    assert [line.rpartition(": ")[2] for line in lines[1:-1]] == ["30 of 100", "60 of 100", "90 of 100"]
    assert "100 done in 101.0 s" in lines[-1]


@pytest.mark.slow
def test_a_bar_on_a_terminal(own: Own, tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    words = [w for w in own.words(tmp_path / "run") if w != "--quiet"]
    process = start(*words, stdout=subprocess.PIPE, stderr=follower)
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:  # Linux says so when the other side is closed
            break
        if not part:
            break
        shown += part
    out, _ = process.communicate(timeout=60)
    os.close(leader)
    assert process.returncode == 0
    assert "energy ratio" in out
    assert b"\x1b[" in shown
    assert b"data: search: 4 done" in shown
    assert b"best energy ratio in budget" in shown
    assert b"Traceback" not in shown
