"""The journal: every complete line survives whatever happens, and nothing incomplete is read."""

import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.core.errors import RunError
from laxity.core.plan import Plan
from laxity.core.records import Evaluation, Quality
from laxity.run import Journal
from laxity.techniques import Integer

SOURCE = Path(__file__).resolve().parents[3] / "src"


def evaluation(number, stage="search"):
    plan = Plan().with_(f"site é {number}", Integer(4, 8))
    quality = Quality("accuracy", 0.9, 0.85, 0.94, 0.3, 200, "validation")
    return Evaluation(
        plan.key, plan.to_json(), "digits", "f00", "mac", 0, stage, "data", quality, 0.01 * number, 0.002, 0.05,
        0.1, 123.25, 0.5, 1e5, 1e4, 8e4, 0.75, {"torch": "2"},
    )  # fmt: skip


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_what_was_appended_is_replayed(tmp_path):
    path = tmp_path / "evaluations.jsonl"
    journal = Journal(path)
    assert not path.exists()
    records = [evaluation(i) for i in range(4)] + [evaluation(1, "recovery")]
    for record in records:
        journal.append(record)
    for found in (journal, Journal(path)):
        assert list(found) == records
        assert len(found) == 5
        assert found.get(records[1].plan_key, "search") == records[1]
        assert found.get(records[1].plan_key, "recovery") == records[4]
        assert found.get(records[1].plan_key, "baseline") is None
        assert found.get("nothing", "search") is None


def test_doubles_are_ignored(tmp_path):
    path = tmp_path / "j"
    journal = Journal(path)
    journal.append(evaluation(1))
    journal.append(replace(evaluation(1), drop=0.5, seconds=9.0))
    Journal(path).append(replace(evaluation(1), drop=0.7))
    assert len(lines(path)) == 1
    assert journal.get(evaluation(1).plan_key, "search").drop == 0.01


def test_in_memory_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    journal = Journal(None)
    journal.append(evaluation(1))
    assert len(journal) == 1
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a journal of four lines."""
    path = tmp_path_factory.mktemp("journal") / "j"
    journal = Journal(path)
    for i in range(4):
        journal.append(evaluation(i))
    return path.read_bytes()


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_a_write_cut_at_any_byte_costs_that_line_only(whole, tmp_path_factory, data):
    cut = data.draw(st.integers(0, len(whole)))
    path = tmp_path_factory.mktemp("cut") / "j"
    path.write_bytes(whole[:cut])
    complete = whole[:cut].count(b"\n")
    journal = Journal(path)
    assert list(journal) == [evaluation(i) for i in range(complete)]
    for i in range(4):
        journal.append(evaluation(i))
    assert path.read_bytes() == whole
    assert list(Journal(path)) == [evaluation(i) for i in range(4)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{not json}", "Expecting property name"),
        (b"", "Expecting value"),
        (b"[]", "an evaluation record is malformed"),
        (b'{"plan_key": "x"}', "an evaluation record is malformed: 'plan'"),
        (b'"\xff\xff"', "codec can't decode"),
    ],
)
def test_a_corrupt_line_is_named(whole, tmp_path, line, message):
    path = tmp_path / "evaluations.jsonl"
    parts = whole.splitlines()
    path.write_bytes(b"\n".join([*parts[:2], line, *parts[2:]]) + b"\n")
    before = path.read_bytes()
    with pytest.raises(
        RunError, match=rf"evaluations.jsonl, line 3: .*{message}.*; delete the line to compute it anew"
    ):
        Journal(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("call", ["fsync", "write"])
def test_a_failed_write_leaves_earlier_lines(tmp_path, monkeypatch, call):
    path = tmp_path / "j"
    journal = Journal(path)
    journal.append(evaluation(0))
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"laxity.run.lines.os.{call}", fail)
        with pytest.raises(
            RunError, match=rf"cannot append to {path}: No space left on device; free space and run the"
        ):
            journal.append(evaluation(1))
    assert path.read_bytes() == before
    assert len(journal) == 1
    journal.append(evaluation(1))
    assert list(Journal(path)) == [evaluation(0), evaluation(1)]


FULL_DISK = """
import resource, signal, sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from laxity.core.errors import RunError
from laxity.core.records import Evaluation
from laxity.run import Journal
import json

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path, limit = Path(sys.argv[1]), int(sys.argv[2])
records = [Evaluation.from_json(json.loads(line)) for line in sys.stdin]
journal = Journal(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
failed = 0
for record in records:
    try:
        journal.append(record)
    except RunError as error:
        assert "free space" in str(error)
        failed += 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
for record in records:
    journal.append(record)
print(failed)
"""


@pytest.mark.parametrize("extra", [0, 1, 300])
def test_a_disk_that_fills_up_in_the_middle_of_a_line(whole, tmp_path, extra):
    """The operating system takes part of a line and refuses the rest; later there is room again."""
    path = tmp_path / "j"
    parts = whole.splitlines(keepends=True)
    limit = len(parts[0]) + len(parts[1]) + extra
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path), str(limit), str(SOURCE)],
        input=whole, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().strip() == "2"
    assert path.read_bytes() == whole
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != limit


def test_a_journal_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "j"
    path.mkdir()
    with pytest.raises(RunError, match=rf"cannot read {path}: Is a directory; check its permissions"):
        Journal(path)


def test_a_journal_that_cannot_be_written_is_named(tmp_path):
    journal = Journal(tmp_path / "missing" / "j")
    with pytest.raises(RunError, match=r"cannot append to .*missing/j: No such file or directory"):
        journal.append(evaluation(1))
    assert os.listdir(tmp_path) == []
