"""Ways of recovering accuracy on the command line: tables, result files, resumption, pages, wrong words."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from laxity.cli.recover_compare import score
from laxity.recovery import rank_multipliers
from laxity.search.treat import baselines

from .conftest import Own, call, start

SHORT = ["--epochs", 1, "--samples", 64, "--workers", 1]
WAYS = "none,batch-norm re-estimation,fine-tuning,distillation + gradient"


def words(own: Own, kind: str, *more: object) -> list[object]:
    return ["recover", kind, "mine", "--model", "mlp", "--weights", own.weights, "--data", own.data, *more]


@pytest.fixture(scope="module")
def studied(own: Own, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[object]]:
    """Folder of a finished comparison, what it printed, and its command."""
    folder = tmp_path_factory.mktemp("studies") / "mine"
    command = words(
        own, "compare", "--multiplier", "coltrunc8_13", *SHORT, "--seeds", 2, "--treatments", WAYS, "--out", folder
    )
    outcome = call(*command, "--json", "--quiet")
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    return folder, json.loads(outcome.out), command


def test_a_comparison_has_every_treatment_on_both_splits(studied: tuple[Path, dict[str, Any], Any]) -> None:
    folder, found, _ = studied
    assert [row["name"] for row in found["after"]] == WAYS.split(",")[1:]
    assert found["before"]["name"] == "none"
    assert found["before"]["recovery"] is None
    assert found["report"] == str(folder / "report.html")
    for row in (found["exact"], found["before"], *found["after"]):
        for split in ("validation", "test"):
            values = row[split]["values"]
            assert len(values) == 2
            assert row[split]["mean"] == pytest.approx(sum(values) / 2)
            assert row[split]["spread"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
        assert row["drop"]["mean"] == pytest.approx(found["original"]["test"] - row["test"]["mean"])
        assert row["drop_from_exact"]["mean"] == pytest.approx(found["exact"]["test"]["mean"] - row["test"]["mean"])
        epochs = (row["recovery"] or {}).get("epochs", 0)
        assert [len(curve) for curve in row["curves"]] == [epochs, epochs]
    after = {row["name"]: row["validation"]["mean"] for row in found["after"]}
    assert found["best"] == max(after, key=lambda name: after[name])
    assert 0 < found["before"]["energy_ratio"] < found["exact"]["energy_ratio"] < 1  # 4-bit weights


def test_the_result_file_records_where_it_comes_from(studied: tuple[Path, dict[str, Any], list[object]]) -> None:
    folder, found, command = studied
    stored = json.loads((folder / "comparison.json").read_text())
    assert {k: v for k, v in found.items() if k != "report"} == stored
    assert stored["seeds"] == [0, 1]
    assert stored["command"].startswith("laxity recover compare mine --model mlp")
    assert all(str(word) in stored["command"] for word in command[1:])
    assert stored["operands"] == "w4a8"
    assert stored["versions"]["torch"]
    assert stored["task"]["samples"]["test"] > 0
    assert {c["multiplier"]["name"] for c in stored["plan"]["sites"].values()} == {"coltrunc8_13"}


def test_the_same_command_computes_nothing_again(studied: tuple[Path, dict[str, Any], list[object]]) -> None:
    folder, found, command = studied
    journal = folder / "seed-1" / "evaluations.jsonl"
    lines, page = journal.read_bytes(), (folder / "report.html").read_bytes()
    outcome = call(*command)
    assert outcome.code == 0
    assert outcome.err.count("\n") == 1  # no stage of work, only the note below the table
    assert journal.read_bytes() == lines
    again = json.loads((folder / "comparison.json").read_text())
    assert {k: v for k, v in again.items() if k != "command"} == {
        k: v for k, v in found.items() if k not in ("command", "report")
    }
    for name in (*WAYS.split(","), "original network", "exact circuits, w4a8"):
        assert name in outcome.out
    assert f"report: {folder / 'report.html'}" in outcome.out
    assert call("report", folder).out.strip() == str(folder / "report.html")
    assert len((folder / "report.html").read_bytes()) == pytest.approx(len(page), abs=100)


def test_a_score_is_written_with_its_spread() -> None:
    assert score({"mean": 0.9034, "spread": 0.0123}) == "90.34 % +- 1.23"
    assert score({"mean": -0.001, "spread": None}, points=True) == "-0.10"
    assert score({"mean": 0.5, "spread": 0.0}) == "50.00 %"


def test_gradients_by_name(own: Own, tmp_path: Path) -> None:
    command = words(own, "compare", "--multiplier", "coltrunc8_10", *SHORT, "--seeds", 1, "--out", tmp_path / "s")
    named = ["table_1d", "table_2d window=4"]
    treatments = ",".join(f"gradient ({name})" for name in named)
    given = ["--gradients", ",".join(named), "--treatments", treatments]
    outcome = call(*command, *given, "--json", "--quiet")
    assert outcome.code == 0, outcome.err
    rows = json.loads(outcome.out)["after"]
    assert [row["recovery"]["gradient"] for row in rows] == named
    assert rows[0]["test"]["spread"] is None  # of a single seed


def test_a_control_variate_is_another_circuit(own: Own, tmp_path: Path) -> None:
    command = words(own, "compare", *SHORT, "--seeds", 1, "--weight-bits", 8, "--out", tmp_path / "s")
    outcome = call(*command, "--multiplier", "optrunc8_3", "--treatments", "control variate", "--json", "--quiet")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    (row,) = found["after"]
    assert row["recovery"] is None
    assert found["before"]["circuits"] == ["optrunc8_3"] != row["circuits"]
    assert found["before"]["energy_ratio"] < row["energy_ratio"]  # the correction is paid for
    unbiased = call(*command, "--multiplier", "dadda8", "--treatments", "control variate", "--quiet")
    assert unbiased.code == 2
    assert "unknown treatment 'control variate'" in unbiased.err


def test_the_ladder_of_one_multiplier(own: Own, studied: tuple[Path, Any, Any], tmp_path: Path) -> None:
    folder = tmp_path / "both"
    shutil.copytree(studied[0], folder)
    names = "coltrunc8_14,coltrunc8_6,coltrunc8_8"
    command = words(own, "uniform", "--multipliers", names, "--max-drop", 0.05, *SHORT, "--out", folder)
    outcome = call(*command, "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    ratios = [rung["energy_ratio"] for rung in found["rungs"]]
    assert ratios == sorted(ratios, reverse=True)
    chosen = next(rung for rung in found["rungs"] if rung["name"] == found["chosen"])
    assert chosen["accepted"]
    assert chosen["after"]["drop"] <= 0.05
    assert found["chosen_test"]["split"] == "test"
    assert found["chosen_test"]["drop"] == pytest.approx(found["original"]["test"] - found["chosen_test"]["accuracy"])
    table = call(*command, "--quiet").out
    for text in (*names.split(","), "chosen", "exact circuits", "on the test split"):
        assert text in table
    page = (folder / "report.html").read_text()
    assert 'id="ladder"' in page
    assert 'id="treatments"' in page  # what the folder had before stays
    whole = json.loads(call(*command, "--whole", "--json", "--quiet").out)
    assert all(rung["after"] is not None for rung in whole["rungs"])


def test_no_multiplier_within_the_budget_is_exit_code_3(own: Own, tmp_path: Path) -> None:
    command = words(own, "uniform", "--multipliers", "coltrunc8_14", "--max-drop", 0, *SHORT, "--out", tmp_path / "s")
    outcome = call(*command, "--quiet")
    assert outcome.code == 3
    assert "no multiplier keeps the drop within 0 points" in outcome.err
    assert "coltrunc8_14" in outcome.out


def test_a_ranking_needs_no_folder(own: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = "coltrunc8_12,coltrunc8_4,drum8_6,mitchell8"
    outcome = call(*words(own, "rank", "--multipliers", names, "--refine", 2, "--json", "--quiet"))
    assert outcome.code == 0, outcome.err
    rows = json.loads(outcome.out)["rows"]
    assert list(tmp_path.iterdir()) == []
    assert {row["name"] for row in rows} == set(names.split(","))
    assert [row["basis"] for row in rows] == ["modelled", "modelled", "first order", "first order"]
    refined, others = ([row["divergence"] for row in part] for part in (rows[:2], rows[2:]))
    assert refined == sorted(refined)
    assert others == sorted(others)
    assert all(row["energy_pj"] > 0 for row in rows)
    assert all(row["area_um2"] > 0 for row in rows)
    table = call(*words(own, "rank", "--multipliers", names, "--top", 1, "--out", tmp_path / "s"))
    assert "1 of 4 multipliers for mine, w8a8" in table.err
    assert len([line for line in table.out.splitlines() if "first order" in line]) == 1
    assert 'id="ranking"' in (tmp_path / "s" / "report.html").read_text()


def test_a_ranking_is_that_of_the_library() -> None:
    import laxity as lx
    from laxity.techniques import Integer

    task = lx.load_task("digits")
    plan = lx.Plan.assign(lx.find_sites(task.model, task.example_input), [Integer(4, 8)])
    names = ["coltrunc8_12", "drum8_6", "mitchell8"]
    expected = rank_multipliers(task, plan, names)
    outcome = call("recover", "rank", "digits", "--weight-bits", 4, "--multipliers", ",".join(names), "--json")
    rows = json.loads(outcome.out)["rows"]
    assert [(row["name"], row["divergence"]) for row in rows] == [(r.name, r.harm.divergence) for r in expected]


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (["compare", "digits", "--multiplier", "drm8_4"], 2, "did you mean 'drum8_4'"),
        (["compare", "digits"], 2, "--multiplier"),
        (
            ["compare", "digits", "--multiplier", "drum8_4", "--treatments", "finetuning"],
            2,
            "did you mean 'fine-tuning'",
        ),
        (["compare", "digits", "--multiplier", "drum8_4", "--gradients", "table2d"], 2, "did you mean 'table_2d'"),
        (["compare", "digits", "--multiplier", "drum8_4", "--seeds", 0], 2, "--seeds"),
        (["compare", "digts", "--multiplier", "drum8_4"], 2, "did you mean 'digits'"),
        (["uniform", "digits", "--multipliers", ","], 2, "at least one multiplier"),
        (["uniform", "digits", "--gradient", "slope"], 2, "error_slope"),
        (["uniform", "digits", "--learning-rate", "nan"], 1, "out of range"),
        (["rank", "digits", "--multipliers", "drum8s_4"], 1, "two's complement"),
        (["rank", "digits", "--top", 0], 2, "--top"),
    ],
)
def test_wrong_words_are_named(more: list[object], code: int, says: str, tmp_path: Path) -> None:
    outcome = call("recover", *more, "--out", tmp_path / "s", "--quiet")
    assert (outcome.code, outcome.out) == (code, "")
    assert says in " ".join(outcome.err.replace("│", " ").split())


def test_folders_of_others_are_refused(
    own: Own, studied: tuple[Path, Any, Any], finished: Path, tmp_path: Path
) -> None:
    other = call("recover", "rank", "digits", "--multipliers", "drum8_4", "--out", studied[0], "--quiet")
    assert other.code == 1
    assert "belongs to another task, data or target" in other.err
    run = call(*words(own, "rank", "--multipliers", "drum8_4", "--out", finished, "--quiet"))
    assert run.code == 1
    assert "is not empty and no folder of laxity recover" in run.err
    (tmp_path / "file").write_text("precious")
    assert "choose another --out" in call(*words(own, "rank", "--out", tmp_path / "file", "--quiet")).err
    back = call(*own.words(studied[0]))
    assert back.code == 1
    assert "no run folder" in back.err


@pytest.mark.slow
def test_a_killed_comparison_goes_on_and_ends_the_same(own: Own, tmp_path: Path) -> None:
    def command(name: str) -> list[object]:
        given = ["--multiplier", "coltrunc8_10", "--epochs", 3, "--workers", 1, "--seeds", 2]
        return words(own, "compare", *given, "--treatments", WAYS, "--out", tmp_path / name, "--quiet")

    assert call(*command("whole")).code == 0
    process = start(*command("killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal, deadline = tmp_path / "killed" / "seed-0" / "evaluations.jsonl", time.monotonic() + 60
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= 4):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "comparison.json").exists()
    assert call(*command("killed")).code == 0
    one, other = (json.loads((tmp_path / name / "comparison.json").read_text()) for name in ("whole", "killed"))
    for row, same in zip((one["before"], *one["after"]), (other["before"], *other["after"]), strict=True):
        assert {k: v for k, v in row.items() if k != "seconds"} == {k: v for k, v in same.items() if k != "seconds"}
    weights = [
        {p.name: p.read_bytes() for p in (tmp_path / name).rglob("seed-*/checkpoints/*.safetensors")}
        for name in ("whole", "killed")
    ]
    assert weights[0] == weights[1]
    assert len(weights[0]) == 2


@pytest.mark.slow
def test_all_treatments_of_the_default_command(own: Own, tmp_path: Path) -> None:
    from laxity.core.plan import Recovery

    outcome = call(
        *words(own, "compare", "--multiplier", "coltrunc8_12", "--seeds", 1, "--out", tmp_path / "s", "--json")
    )
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    *rows, last = found["after"]
    assert ["none", *(row["name"] for row in rows)] == list(baselines(Recovery()))
    assert all(row["recovery"]["epochs"] in (0, 3) for row in rows)
    assert (last["name"], last["recovery"], last["circuits"] == found["before"]["circuits"]) == (
        "control variate",
        None,
        False,
    )
