"""Files of hardened networks are checked; what is wrong is named with its file, its field and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from laxity.artifacts.hardening import is_hardening, render_hardening, write_hardening
from laxity.cli.report import report
from laxity.core.errors import RunError

Change = Callable[[Any], Any]
Make = Callable[..., Path]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("limit"), "limit: Field required"),
        (lambda d: d["limit"].update(share=1.5), "limit.share: .*less than 1"),
        (lambda d: d["limit"].update(metric="due"), "limit.metric: .*'sdc' or 'critical'"),
        (lambda d: d.update(objective="joy"), "objective: .*'energy_pj'"),
        (lambda d: d["left"].update(other=1.5), "left.other: .*less than or equal to 1"),
        (lambda d: d["steps"][1].pop("saving"), "steps.1.saving: Field required"),
        (lambda d: d["tried"][2]["share"].update(low=0.9), "tried.2.share: .*before it begins at 0.9"),
        (lambda d: d["tried"][0].update(memory_bits=-1), "tried.0.memory_bits: .*greater than or equal to 0"),
        (lambda d: d["tried"][0]["protections"][0].pop("site"), "tried.0.protections.0.site: Field required"),
        (lambda d: d["chosen"].update(accepted=False), "the chosen set '3 steps at 2 sites' is not within the limit"),
        (lambda d: d.update(test=None), "a chosen set and its figures on the test split go together"),
        (lambda d: d.update(chosen=None), "a chosen set and its figures on the test split go together"),
        (lambda d: d["test"]["hardened"].pop("quality"), "test.hardened.quality: Field required"),
    ],
)
def test_wrong_fields_are_named(make: Make, change: Change, message: str) -> None:
    folder = make()
    before = write_hardening(folder).read_bytes()
    make("hardened", change)
    with pytest.raises(RunError, match=f"hardening.json: .*{message}.*; run the command that made the folder again"):
        write_hardening(folder)
    assert (folder / "report.html").read_bytes() == before


@pytest.mark.parametrize("text", ["", "{torn", "[]", '{"command": NaN}'])
def test_torn_files_are_named(make: Make, text: str) -> None:
    folder = make()
    (folder / "hardening.json").write_text(text)
    with pytest.raises(RunError, match=r"hardening.json.*; run the command that made the folder again"):
        render_hardening(folder)


def test_unfinished_and_foreign_folders_are_named(make: Make, tmp_path: Path) -> None:
    folder = make()
    assert is_hardening(folder)
    (folder / "hardening.json").unlink()
    assert not is_hardening(folder)
    with pytest.raises(RunError, match=r"is no folder of laxity harden; it has no hardening.json"):
        render_hardening(folder)
    journal = folder / "campaigns" / "0123" / "outcomes.jsonl"
    journal.parent.mkdir(parents=True)
    journal.touch()
    with pytest.raises(RunError, match="has no results yet; run the command that made it again"):
        report(folder)
    (folder / "config.toml").touch()
    assert not is_hardening(folder)
    assert not is_hardening(tmp_path / "nowhere")
