"""A run folder is checked file by file, and every message names the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from laxity.artifacts.report.load import load_run
from laxity.core.errors import RunError
from laxity.core.estimate import Basis

FILES = (
    "manifest.json",
    "evaluations.jsonl",
    "front.json",
    "sensitivity.json",
    "best/plan.json",
    "best/metrics.json",
    "best/details.json",
    "config.toml",
)


def test_reads_typed_values(run_folder: Path) -> None:
    view = load_run(run_folder)
    raw = json.loads((run_folder / "best/details.json").read_text())
    part = view.details.sites[1].int8_exact["sram"]
    assert part.basis is Basis.SCALED
    assert part.value == raw["sites"][1]["int8_exact"]["sram"]["value"]
    assert len(view.evaluations) == len((run_folder / "evaluations.jsonl").read_text().splitlines())
    assert view.plan_key == view.front.selected


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named(run_folder: Path, name: str) -> None:
    (run_folder / name).unlink()
    with pytest.raises(RunError, match=f"{name} is missing"):
        load_run(run_folder)


@pytest.mark.parametrize("name", [n for n in FILES if n.endswith("json")])
@pytest.mark.parametrize("text", ['{"half": ', "[1, 2", '{"seconds": NaN}', '{"seconds": 1e999}', ""])
def test_corrupt_json_is_named(run_folder: Path, name: str, text: str) -> None:
    (run_folder / name).write_text(text)
    with pytest.raises(RunError, match=f"{name} is not valid JSON"):
        load_run(run_folder)


@pytest.mark.parametrize("name", [n for n in FILES if n.endswith("json")])
def test_wrong_shape_is_named(run_folder: Path, name: str) -> None:
    (run_folder / name).write_text("3")
    with pytest.raises(RunError, match=f"{name}: the document"):
        load_run(run_folder)


def test_binary_file_is_named(run_folder: Path) -> None:
    (run_folder / "config.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunError, match=r"config.toml cannot be read"):
        load_run(run_folder)


def test_wrong_field_is_named(run_folder: Path, edit) -> None:
    edit(run_folder / "front.json", lambda front: front["points"][4].update(energy_ratio="cheap"))
    with pytest.raises(RunError, match=r"front.json: points\.4\.energy_ratio"):
        load_run(run_folder)


def test_unknown_basis_is_refused(run_folder: Path, edit) -> None:
    edit(run_folder / "best/details.json", lambda d: d["totals"]["int8_exact"]["energy_pj"].update(basis="guessed"))
    with pytest.raises(RunError, match=r"totals\.int8_exact\.energy_pj\.basis"):
        load_run(run_folder)


@pytest.mark.parametrize(
    ("line", "words"), [("{", "not valid JSON"), ("7", "the document"), ("{}", "stage: Field required")]
)
def test_journal_line_is_numbered(run_folder: Path, line: str, words: str) -> None:
    path = run_folder / "evaluations.jsonl"
    lines = path.read_text().splitlines()
    lines[2] = line
    path.write_text("\n".join(lines))
    with pytest.raises(RunError, match=rf"evaluations.jsonl line 3.*{words}"):
        load_run(run_folder)


def test_unknown_keys_are_tolerated(run_folder: Path, edit) -> None:
    edit(run_folder / "manifest.json", lambda m: m.update(added_later=1))
    assert load_run(run_folder).manifest.seed == 7


def test_not_a_folder(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run folder"):
        load_run(tmp_path / "absent")
