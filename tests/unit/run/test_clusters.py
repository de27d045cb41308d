"""Executors by name: the same campaign on a Dask cluster, with a worker killed in the middle, and as jobs."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from laxity.campaign import Aim, Campaign, Subject, run_campaign, table
from laxity.cli.subject import load_network
from laxity.core.errors import ConfigError, ToolError
from laxity.run import executor_named

SOURCE = partial(load_network, "digits", {}, "int8_exact")
SUBJECT, FEW = Subject(seed=2), Aim(faults=400)


def rows(found: Campaign) -> list[list[str | int]]:
    return table(found)[1]


def expected() -> list[list[str | int]]:
    return rows(run_campaign(SOURCE, SUBJECT, FEW))


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("laxity.campaign.run.CHUNK", 20)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Dask and its packages warn about each other
def test_dask_with_a_worker_killed(tmp_path: Path, small_chunks: None) -> None:
    pytest.importorskip("distributed", reason="tests of Dask need the extra [dask]")
    from distributed import get_client

    wanted = expected()
    with executor_named("dask", 2) as executor:
        client = get_client()
        pids = list(client.run(os.getpid).values())
        killed = []

        def kill(what: str, done: int, total: int) -> None:
            if not killed and done >= 100:
                os.kill(pids[0], signal.SIGKILL)
                killed.append(done)

        found = run_campaign(SOURCE, SUBJECT, FEW, folder=tmp_path, executor=executor, progress=kill)
    assert killed
    assert rows(found) == wanted


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_jobs_of_submitit(tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="tests of SLURM's executor need the extra [slurm]")
    with executor_named(f"slurm cluster=local folder={tmp_path}", 2) as executor:
        assert rows(run_campaign(SOURCE, SUBJECT, FEW, executor=executor)) == expected()


def test_processes() -> None:
    with executor_named("processes", 1) as executor:
        assert executor.submit(pow, 2, 5).result() == 32


@pytest.mark.parametrize("text", ["ray", "processes n=2", "dask n=2", ""])
def test_unknown_executors(text: str) -> None:
    with pytest.raises(ConfigError, match="there is no executor"), executor_named(text, 1):
        pass


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    monkeypatch.setitem(__import__("sys").modules, "submitit", None)
    for text, extra in (("dask", r"laxity\[dask\]"), ("tcp://localhost:1", r"laxity\[dask\]"), ("slurm", r"\[slurm\]")):
        with pytest.raises(ToolError, match=extra), executor_named(text, 1):
            pass
