"""Files of campaigns are checked; what is wrong is named with its file, its field and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from laxity.artifacts.campaign import is_campaign, render_campaign, write_campaign
from laxity.cli.report import report
from laxity.core.errors import RunError

Edit = Callable[[Path, Callable[[Any], Any]], None]
Change = Callable[[Any], Any]


def original(document: Any) -> Any:
    return document["networks"]["original"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("networks"), "networks: Field required"),
        (lambda d: d.update(networks={}), "networks: .*at least 1 item"),
        (lambda d: original(d)["metrics"].pop("due"), "networks.original.metrics.due: Field required"),
        (lambda d: original(d)["metrics"]["sdc"].update(low=0.9, high=0.1), "metrics.sdc: .*ends at 0.1"),
        (lambda d: original(d)["metrics"]["sdc"].update(high=1.5), "metrics.sdc.high: .*less than or equal to 1"),
        (lambda d: original(d)["cells"][0].update(critical=10**6), "cells.0: .*more faults did harm"),
        (lambda d: original(d)["cells"][0].update(place="elsewhere"), "'elsewhere', bit .* does not have"),
        (lambda d: original(d)["cells"][0].update(bit=77), "bit 77, which the campaign does not have"),
        (lambda d: original(d)["bits"][0].update(name="top"), "bits.0.name: .*'top' is no bit"),
        (lambda d: original(d)["places"][1].update(faults=-1), "places.1.faults: .*greater than or equal to 0"),
        (lambda d: original(d)["identity"]["subject"].pop("seed"), "identity.subject.seed: Field required"),
        (lambda d: original(d)["site_checks"][0].update(cells=1), "site_checks.0.cells: .*"),
        (
            lambda d: d["differences"].append(
                {"first": "original", "second": "nobody", "critical": original(d)["metrics"]["due"]}
            ),
            "'nobody', which is none of the networks",
        ),
    ],
)
def test_wrong_fields_are_named(bits: Path, edit: Edit, change: Change, message: str) -> None:
    before = (bits / "report.html").read_bytes()
    edit(bits, change)
    with pytest.raises(RunError, match=f"campaign.json: .*{message}.*; run the command that made the folder again"):
        write_campaign(bits)
    assert (bits / "report.html").read_bytes() == before


@pytest.mark.parametrize("text", ["", "{torn", "[]", '{"command": NaN}'])
def test_torn_files_are_named(bits: Path, text: str) -> None:
    (bits / "campaign.json").write_text(text)
    with pytest.raises(RunError, match=r"campaign.json.*; run the command that made the folder again"):
        render_campaign(bits)


def test_unfinished_and_foreign_folders_are_named(bits: Path, tmp_path: Path) -> None:
    (bits / "campaign.json").unlink()
    assert is_campaign(bits)
    with pytest.raises(RunError, match="has no results yet; run the command that made it again"):
        report(bits)
    assert not is_campaign(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"is no folder of laxity faults; it has no campaign.json"):
        render_campaign(tmp_path)
