"""What a run records about its repairs agrees with its journal and its verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import laxity as lx
from laxity.core.plan import Plan, Recovery

SHORT = {
    "search": {
        "evaluations": 6,
        "rounds": 2,
        "candidates": 2,
        "probe_samples": 32,
        "techniques": ["integer", "multiplier"],
    },
    "recovery": {"epochs": 1, "samples": 128, "learning_rates": [3e-4, 1e-3], "compensate": True},
    "faults": {"rates": [1e-3], "trials": 2, "samples": 10},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "digits"
    lx.optimize("digits", out=folder, config=SHORT)
    return folder


def read(run: Path) -> tuple[dict[str, Any], dict[tuple[str, str], dict[str, Any]]]:
    lines = [json.loads(line) for line in (run / "evaluations.jsonl").read_text().splitlines()]
    return json.loads((run / "recovery.json").read_text()), {(e["plan_key"], e["stage"]): e for e in lines}


@pytest.mark.slow
def test_every_repair_is_that_of_the_journal(run: Path) -> None:
    found, journal = read(run)
    trials = [row for trial in found["trials"] for row in trial["rows"]]
    trained = {key for (key, stage), e in journal.items() if stage == "recovery" and e["plan"]["recovery"]["epochs"]}
    assert {row["plan_key"] for row in (*found["repaired"], *trials)} == trained
    assert found["repaired"]
    for row in (*found["repaired"], *trials):
        after = journal[row["plan_key"], "recovery"]
        plan = Plan.from_json(after["plan"])
        before = journal[plan.with_recovery(Recovery(**found["quick"])).key, "search"]
        assert (row["before"], row["after"]) == (before["quality"]["value"], after["quality"]["value"])
        assert row["energy_ratio"] == after["energy_ratio"]
        assert Recovery(**row["recovery"]) == plan.recovery
        assert row["curve"] == after["curve"]
        assert row["curve"]
    ratios = [row["energy_ratio"] for row in found["repaired"]]
    assert ratios == sorted(ratios)


@pytest.mark.slow
def test_the_recipe_that_was_chosen_diverged_least(run: Path) -> None:
    found, _ = read(run)
    first, second = found["trials"]
    assert [row["recovery"]["learning_rate"] for row in first["rows"]] == [3e-4, 1e-3]
    assert {row["recovery"]["gradient"] for row in second["rows"]} == {"straight_through", "error_slope"}
    for trial, recipe in ((first, found["usual"]), (second, found["circuits"])):
        (chosen,) = [row for row in trial["rows"] if row["chosen"]]
        assert chosen["divergence"] == min(row["divergence"] for row in trial["rows"])
        assert chosen["recovery"] == recipe
        assert len({row["before"] for row in trial["rows"]}) == 1  # one plan


@pytest.mark.slow
def test_stages_lead_from_the_original_to_the_verdict(run: Path) -> None:
    found, journal = read(run)
    metrics = json.loads((run / "best" / "metrics.json").read_text())
    stages = {stage["name"]: stage for stage in found["stages"]}
    assert list(stages)[:3] == ["original", "exact INT8", "approximated, untreated"]
    assert [stages["original"][key] for key in ("value", "low", "high")] == pytest.approx(
        [metrics["baseline"][key] for key in ("value", "low", "high")]
    )
    last = found["stages"][-1]
    assert last["value"] == metrics["approximated"]["value"]
    assert last["drop"] == pytest.approx(metrics["drop"])
    plan = Plan.from_json(json.loads((run / "best" / "plan.json").read_text()))
    assert found["selected"] == plan.key
    untreated = journal[plan.with_recovery(None).key, "test"]
    assert stages["approximated, untreated"]["value"] == untreated["quality"]["value"]
    assert untreated["quality"]["split"] == "test"
    assert metrics["evaluations"] == sum(stage not in ("sensitivity", "test") for _, stage in journal)
    if plan.recovery is not None and plan.recovery.epochs:
        assert list(stages)[3:] == ["bias compensated, statistics re-estimated", "trained"]
    assert 'id="recovery"' in (run / "report.html").read_text()
