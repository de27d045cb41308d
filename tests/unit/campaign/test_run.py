"""Campaigns: the same outcomes however they are run, agreement with networks that carry the fault, sound intervals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from laxity.campaign import Aim, Bench, Campaign, Subject, run_campaign, summary, table
from laxity.campaign.outcomes import Outcomes, draw
from laxity.campaign.store import Store
from laxity.campaign.summary import METRICS
from laxity.cli.subject import load_network
from laxity.core.errors import ConfigError, PlanError, RunError, TaskError
from laxity.evaluation.injection import private_copy
from laxity.run import make_executor
from laxity.statistics import check_population, clopper_pearson
from laxity.task import Task

SUBJECT = Subject(seed=3)
FEW = Aim(faults=300)


@cache
def source(name: str) -> partial[tuple[nn.Module, Task]]:
    return partial(load_network, "digits", {}, name)


@cache
def loaded(name: str) -> tuple[nn.Module, Task]:
    return source(name)()


def campaign(name: str = "original", subject: Subject = SUBJECT, aim: Aim = FEW, **options: object) -> Campaign:
    return run_campaign(lambda: loaded(name), subject, aim, **options)  # type: ignore[arg-type]


def rows(found: Campaign) -> list[list[str | int]]:
    return table(found)[1]


@pytest.mark.parametrize("name", ["original", "int8_exact"])
def test_predictions_are_those_of_networks_that_carry_the_fault(name: str) -> None:
    found = campaign(name)
    model, task = loaded(name)
    carrier, memories = private_copy(model, task.example_input)
    by_name = {m.name: m for m in memories}
    split = task.splits()["test"]
    everything = [(o, i) for o in found.outcomes for i in range(len(o))]
    for o, i in everything[:: len(everything) // 60]:
        memory = by_name[found.cells.places[found.cells.place[o.cell[i]]]]
        words = memory.words.copy()
        words[o.site[i]] ^= words.dtype.type(1 << int(found.cells.bit[o.cell[i]]))
        x, label = split.fetch([int(o.image[i])])
        with torch.no_grad():
            before = carrier(x)
            memory.write(words)
            after = carrier(x)
            memory.restore()
        finite = bool(torch.isfinite(after).all())
        assert int(o.struck[i]) == (int(after.argmax()) if finite else -1)
        assert (int(o.golden[i]), int(o.label[i])) == (int(before.argmax()), int(label))
        if found.exact:
            assert bool(o.same[i]) == torch.equal(before, after)
        five = set(after.topk(5).indices[0].tolist())
        assert bool(o.top[i]) == (finite and int(before.argmax()) in five)


def test_outcomes_do_not_depend_on_workers_chunks_or_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = rows(campaign())
    with make_executor(2) as pool:
        assert rows(run_campaign(source("original"), SUBJECT, FEW, executor=pool, folder=tmp_path / "a")) == expected
    monkeypatch.setattr("laxity.campaign.run.CHUNK", 37)
    monkeypatch.setattr("laxity.campaign.bench.IMAGES", 5)
    monkeypatch.setattr("laxity.campaign.replay.BATCH", 7)
    found = campaign()
    assert rows(found) == expected
    more = {tuple(row) for row in rows(campaign(aim=Aim(faults=500)))}
    assert {tuple(row) for row in expected} <= more


def test_any_executor_runs_it() -> None:
    with ThreadPoolExecutor(1) as pool:
        found = run_campaign(source("int8_exact"), SUBJECT, FEW, executor=pool)
    assert rows(found) == rows(campaign("int8_exact"))


def test_the_caller_keeps_his_network_and_his_data() -> None:
    model, task = loaded("original")
    before = {k: v.clone() for k, v in model.state_dict().items()}
    data = task.splits()["test"].fetch(range(40))[0]
    campaign()
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(task.splits()["test"].fetch(range(40))[0], data)


def test_a_folder_goes_on_and_refuses_another_campaign(tmp_path: Path) -> None:
    first = campaign(folder=tmp_path)
    lines = (tmp_path / "outcomes.jsonl").read_bytes()
    assert rows(campaign(folder=tmp_path)) == rows(first)
    assert (tmp_path / "outcomes.jsonl").read_bytes() == lines, "what is there is not tried again"
    (tmp_path / "outcomes.jsonl").write_bytes(lines[: len(lines) // 2])
    assert rows(campaign(folder=tmp_path)) == rows(first)
    with pytest.raises(RunError, match="another subject"):
        campaign(folder=tmp_path, subject=replace(SUBJECT, seed=4))
    with pytest.raises(RunError, match="another weights"):
        campaign("int8_exact", folder=tmp_path)
    (tmp_path / "outcomes.jsonl").write_text('{"part": 0, "rows": {"index": [0]}}\n')
    with pytest.raises(RunError, match=r"outcomes\.jsonl, line 1"):
        campaign(folder=tmp_path)


def test_killed_campaigns_give_the_same_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "laxity", "faults", "digits", "--networks", "int8_exact", "--faults", "6000"]
    command += ["--workers", "1", "--quiet", "--out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(tmp_path / "whole")], check=True, env=environment, stdout=subprocess.DEVNULL)
    killed, journal = 0, tmp_path / "cut" / "int8_exact" / "outcomes.jsonl"
    for wanted in (1, 3):
        process = subprocess.Popen([*command, str(tmp_path / "cut")], env=environment, stdout=subprocess.DEVNULL)
        while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < wanted):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
    assert killed
    subprocess.run([*command, str(tmp_path / "cut")], check=True, env=environment, stdout=subprocess.DEVNULL)
    whole, cut = ((tmp_path / name / "int8_exact" / "faults.csv").read_bytes() for name in ("whole", "cut"))
    assert whole == cut
    documents = [json.loads((tmp_path / name / "campaign.json").read_text()) for name in ("whole", "cut")]
    assert documents[0]["networks"] == documents[1]["networks"]


def test_faults_are_drawn_from_the_declared_population() -> None:
    bench = Bench(lambda: loaded("original"), SUBJECT)
    cells = bench.population.cells
    for part in bench.parts:
        drawn = draw(bench.population, part, bench.images, 0, 0, 20_000)
        assert np.all(drawn.site < cells.sites[drawn.cell])
        assert set(drawn.cell.tolist()) <= set(part.cells)
        seen = dict(zip(*(x.tolist() for x in np.unique(drawn.cell, return_counts=True)), strict=True))
        declared = {str(c): float(cells.sites[c]) for c in part.cells}
        assert check_population({str(c): n for c, n in seen.items()}, declared).p_value > 1e-4
        images = np.bincount(drawn.image, minlength=bench.images)
        assert check_population(dict(enumerate(images.tolist())), dict.fromkeys(range(bench.images), 1.0)).plausible  # type: ignore[arg-type]
    assert sum(bench.weight(p) for p in range(len(bench.parts))) == pytest.approx(1)


def test_one_fault_alone_is_the_same_fault() -> None:
    bench = Bench(lambda: loaded("int8_exact"), SUBJECT)
    many = bench.try_out(0, 0, 50)
    one = bench.try_out(0, 31, 1)
    assert {k: v[0] for k, v in one.to_json().items()} == {k: v[31] for k, v in many.to_json().items()}


def test_a_campaign_ends_when_the_interval_is_narrow_enough() -> None:
    found = campaign(aim=Aim(half_width=0.01))
    assert found.met
    assert found.interval().half_width <= 0.01
    assert sum(len(o) for o in found.outcomes) == sum(found.plan.trials[found.look])
    narrow = campaign(aim=Aim(half_width=0.005))
    assert sum(len(o) for o in narrow.outcomes) > sum(len(o) for o in found.outcomes)


def test_interval_covers_what_many_more_faults_say() -> None:
    """Strata estimated apart, from 8000 other faults each, are within their own exact intervals of the truth."""
    found = campaign(aim=Aim(half_width=0.01))
    other = Bench(lambda: loaded("original"), replace(SUBJECT, seed=99))
    low = high = 0.0
    for part in range(len(other.parts)):
        hits = int(other.try_out(part, 0, 8000).critical.sum())
        sure = clopper_pearson(hits, 8000, 0.9999)
        low, high = low + other.weight(part) * sure.low, high + other.weight(part) * sure.high
    interval = found.interval()
    assert interval.low <= high
    assert interval.high >= low


def test_summary_adds_up() -> None:
    found = campaign(aim=Aim(faults=2000))
    document = summary(found)
    json.dumps(document, allow_nan=False)
    everything = Outcomes.joined(found.outcomes)
    assert document["faults"] == len(everything) == 2000
    for group in ("cells", "classes"):
        assert sum(g["faults"] for g in document[group]) == 2000
        assert sum(g["critical"] for g in document[group]) == int(everything.critical.sum())
    for group in ("places", "bits"):
        assert sum(g["faults"] for g in document[group]) == 2000
    by_hand = sum(w * o.critical.mean() for w, o in zip(found.weights, found.outcomes, strict=True))
    assert document["metrics"]["critical"]["estimate"] == pytest.approx(by_hand)
    parts = document["metrics"]
    assert parts["sdc"]["estimate"] + parts["due"]["estimate"] == pytest.approx(by_hand)
    drop = sum(
        w * ((o.golden == o.label).mean() - (o.struck == o.label).mean())
        for w, o in zip(found.weights, found.outcomes, strict=True)
    )
    assert document["accuracy_drop"]["estimate"] == pytest.approx(drop)
    sites = found.cells.sites
    of_places = {p["name"]: p["value"] for p in document["places"]}
    share = {n: sites[found.cells.place == k].sum() / sites.sum() for k, n in enumerate(found.cells.places)}
    assert sum(share[n] * (v or 0.0) for n, v in of_places.items()) == pytest.approx(by_hand, abs=0.01)
    for metric in METRICS:
        assert parts[metric]["low"] <= parts[metric]["estimate"] <= parts[metric]["high"]
    assert all(check["plausible"] for check in document["site_checks"])


def test_rows_carry_who_they_are() -> None:
    header, first = table(campaign())
    _, second = table(campaign(subject=replace(SUBJECT, images=100)))
    names = {row[0] for row in first}
    assert len(names) == len(first)
    assert header[0] == "fault"
    assert not names & {row[0] for row in second}


def test_saturating_outcomes_are_detected_not_silent() -> None:
    logits = torch.tensor([[1.0, float("nan"), 0], [float("inf"), 0, 0], [0, 1.0, 0]])
    from laxity.campaign.outcomes import Drawn, judged

    numbers = np.arange(3)
    drawn = Drawn(numbers, numbers, numbers, numbers, np.zeros((3, 0), np.uint64))
    golden = torch.tensor([[1.0, 0, 0]] * 3)
    found = judged(drawn, logits, golden, torch.zeros(3, dtype=torch.int64), np.zeros(3, np.bool_), exact=True)
    assert found.due.tolist() == [True, True, False]
    assert found.sdc.tolist() == [False, False, True]
    assert found.lost.tolist() == [True, True, True]
    assert not found.masked.any()


@pytest.mark.parametrize(
    ("subject", "aim", "error", "message"),
    [
        (replace(SUBJECT, split="dev"), {}, ConfigError, "unknown split 'dev'"),
        (replace(SUBJECT, images=-1), {}, ConfigError, "images is -1"),
        (replace(SUBJECT, images=2), {}, ConfigError, "at least 3"),
        (replace(SUBJECT, options={"rows": 2}), {}, ConfigError, "no option 'rows'"),
        (SUBJECT, {"confidence": 1.0}, ConfigError, "confidence"),
        (SUBJECT, {"half_width": 0.0}, ConfigError, "half_width"),
        (SUBJECT, {"faults": -1}, ConfigError, "faults is -1"),
        (SUBJECT, {"faults": 1}, ConfigError, "too few for 2 strata"),
    ],
)
def test_bad_input(subject: Subject, aim: dict[str, float], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        campaign(subject=subject, aim=Aim(**aim))  # type: ignore[arg-type]


def test_neurons_of_integer_networks_are_refused_with_a_remedy() -> None:
    with pytest.raises((PlanError, TaskError), match="activations"):
        campaign("int8_exact", subject=replace(SUBJECT, population="neurons"))


def test_missing_faults_are_asked_for_in_chunks() -> None:
    store = Store(None, {})
    numbers = np.array([0, 1, 2, 7, 8])
    store.add(0, Outcomes(*([numbers] * 10)))
    assert store.missing(0, 12, 3) == [(3, 3), (6, 1), (9, 3)]
    assert store.missing(1, 2, 3) == [(0, 2)]
    assert store.rows(0, 3).index.tolist() == [0, 1, 2]
