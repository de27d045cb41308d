"""The section of the report about protected plans: there where the run has a limit to faults, with its figures."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from laxity.artifacts.report import render_report, write_report
from laxity.artifacts.report.charts.hardening import hardening_chart
from laxity.artifacts.report.load import load_run
from laxity.core.errors import RunError

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
PARITY = {"kind": "parity", "words": 1, "then": "alarm"}
Write = Callable[..., Path]


def interval(estimate: float) -> dict[str, Any]:
    return {"estimate": estimate, "low": max(0.0, estimate - 4e-4), "high": estimate + 4e-4, "confidence": 0.99,
            "samples": 15_000, "method": "invented"}  # fmt: skip


def point(sites: tuple[str, ...], energy_pj: float, share: float, *, accepted: bool) -> dict[str, Any]:
    rows = [{"site": site, "slot": "memory", **PARITY} for site in sites]
    costs = {"energy_pj": energy_pj, "area_um2": 9e5, "memory_bits": 6e4, "latency_cycles": 4e3}
    found = {"share": interval(share), "due": interval(1.2 if sites else 0.0), "exposure": 1.2, "accepted": accepted}
    return {"name": f"{len(sites)} sites", "protections": rows, **costs, **found}


def plan(key: str, energy_pj: float, kept: dict[str, Any] | None, chosen: dict[str, Any] | None) -> dict[str, Any]:
    failed = point(("stem.conv",), energy_pj * 1.01, 0.001, accepted=False)
    return {
        "plan_key": key,
        "energy_pj": energy_pj,
        "kept": kept,
        "limit": {"share": 8e-4, "metric": "sdc", "confidence": 0.99},
        "unprotected": point((), energy_pj, 0.002, accepted=False),
        "left": {"parity/1": 0.0},
        "steps": [],
        "tried": [failed, *([chosen] if chosen else [])],
        "chosen": chosen,
    }


def document(keys: list[str]) -> dict[str, Any]:
    """Four plans: nothing helps, accuracy is lost, dear and chosen."""
    sites = ("stem.conv", "head.fc1")
    lossy, dear, best = (point(sites, e, 2e-4, accepted=True) for e in (450_000.0, 480_000.0, 462_000.0))
    rows = [plan(keys[0], 400_000.0, None, None), plan(keys[1], 410_000.0, None, lossy)]
    rows += [plan(keys[2], 440_000.0, dear, dear), plan(keys[3], 455_000.0, best, best)]
    subject = {"fault": {"kind": "bit_flip", "rate_per_bit": 0.0}, "population": "weights", "options": {}}
    subject |= {"split": "validation", "images": 0, "skip": 0, "seed": 0}
    return {"subject": subject, "plans": rows, "test": {"share": interval(3e-4), "due": interval(1.2), "kept": True}}


@pytest.fixture
def limited(run_folder: Path) -> Write:
    """``limited(change)`` gives the run a limit to faults, with a document that is changed in place."""

    def write(change: Callable[[Any], Any] = lambda _: None) -> Path:
        points = json.loads((run_folder / "front.json").read_text())["points"]
        found = document([p["plan_key"] for p in points[:4]])
        change(found)
        (run_folder / "hardening.json").write_text(json.dumps(found))
        return run_folder

    return write


def plain(html: str) -> str:
    text = re.sub(r"<[^>]+>", " ", html).replace("\u202f", " ")
    return re.sub(r" (?=[,.;])", "", re.sub(r"\s+", " ", text)).strip()


def section(page: str) -> str:
    found = re.search(r'<section id="hardened">(.*?)</section>', page, re.DOTALL)
    assert found is not None
    return re.sub(r"<script.*?</script>", "", found[1], flags=re.DOTALL)


def rows(page: str) -> list[list[str]]:
    body = section(page).split("<tbody>")[1]
    found = re.findall(r"<tr[^>]*>(.*?)</tr>", body, re.DOTALL)
    return [[plain(c) for c in re.findall(r"<t[dh]\b[^>]*>(.*?)</t[dh]>", row, re.DOTALL)] for row in found]


def test_runs_without_a_limit_show_nothing(run_folder: Path) -> None:
    page = render_report(run_folder)
    assert 'id="hardened"' not in page
    assert "#hardened" not in page
    assert "hardening.json" not in page
    assert '<span class="no">9</span>Where every figure' in page
    assert load_run(run_folder).hardening is None


def test_plans_are_those_of_the_file(limited: Write) -> None:
    folder = limited()
    page = render_report(folder)
    found = rows(page)
    assert [row[1] for row in found] == ["400 nJ", "410 nJ", "440 nJ", "455 nJ"]
    assert [row[2] for row in found] == ["0.2 % 0.16 % to 0.24 %"] * 4
    assert [row[3] for row in found] == [
        "– no set keeps the limit, 1 set tried",
        "– keeps the limit, but not the accuracy budget, 2 sets tried",
        "parity/1 at 2 sites keeps the limit, but costs more, 2 sets tried",
        "parity/1 at 2 sites chosen, 2 sets tried",
    ]
    assert found[0][4:] == ["–", "–", "–"]
    assert found[3][4:] == ["462 nJ +1.54 %", "0.02 % 0 % to 0.06 %", "120 % 120 % to 120 %"]
    labels = {p["plan_key"]: p["label"] for p in json.loads((folder / "front.json").read_text())["points"]}
    keys = [p["plan_key"] for p in json.loads((folder / "hardening.json").read_text())["plans"]]
    assert [row[0] for row in found] == [f"{labels[key]} {key}" for key in keys]
    assert '<span class="no">10</span>Where every figure' in page
    assert render_report(folder) == page


def test_sentences_say_what_was_kept_and_judged(limited: Write) -> None:
    text = plain(section(render_report(limited())))
    assert "Parity/1 at 2 sites keep SDC below 0.08 % for 1.54 % more energy, 462 nJ instead of 455 nJ; a plan" in text
    assert "Limit kept On the test split SDC is 0.03 % (0 % to 0.07 %) and DUE 120 %" in text
    assert "from 15 000 faults" in text

    def nothing(found: Any) -> None:
        found["plans"] = found["plans"][:2]
        del found["test"]

    text = plain(section(render_report(limited(nothing))))
    assert "None of the 2 plans that were tried keeps SDC below 0.08 % and the accuracy budget" in text
    assert "On the test split" not in text
    text = plain(section(render_report(limited(lambda d: d.update(plans=[], test=None)))))
    assert text.endswith("No plan was within the accuracy budget, so none was protected.")

    def bare(found: Any) -> None:
        found["plans"][3]["kept"] = found["plans"][3]["chosen"] = point((), 455_000.0, 1e-4, accepted=True)

    assert "The cheapest plan keeps SDC below 0.08 % without protections." in plain(
        section(render_report(limited(bare)))
    )


def test_a_missed_limit_is_not_a_missed_budget(limited: Write) -> None:
    folder = limited(lambda d: d["test"].update(kept=False))
    metrics = json.loads((folder / "best" / "metrics.json").read_text())
    (folder / "best" / "metrics.json").write_text(json.dumps({**metrics, "met": False}))
    text = plain(render_report(folder))
    assert "the budget of 1 point is met, but the limit to faults is not kept." in text
    assert "Limit to faults not kept" in text
    assert "Limit missed on the test split" in text
    assert "Budget not met" not in text


def test_marks_are_plans_before_and_after(limited: Write) -> None:
    view = load_run(limited())
    chart = hardening_chart(view)
    assert chart.figure is not None
    joined, *marks = chart.figure["data"]
    assert [m["name"] for m in marks] == ["without protections", "not accepted", "with protections", "chosen"]
    exact = view.metrics.energy_pj.int8_exact
    assert marks[0]["x"] == pytest.approx([e / exact for e in (4e5, 4.1e5, 4.4e5, 4.55e5)])
    assert marks[3]["x"] == pytest.approx([4.62e5 / exact])
    assert marks[3]["error_y"]["array"] == pytest.approx([4e-4])
    assert joined["y"] == [0.002, 2e-4, None] * 2
    assert chart.figure["layout"]["shapes"][0]["y0"] == 8e-4
    assert hardening_chart(load_run(limited(lambda d: d.update(plans=[])))).figure is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("plans"), "plans: Field required"),
        (lambda d: d["plans"][0]["unprotected"].pop("share"), "plans.0.unprotected.share: Field required"),
        (lambda d: d["plans"][2]["limit"].update(share=0), "plans.2.limit.share: "),
        (lambda d: d["test"].pop("kept"), "test.kept: Field required"),
    ],
)
def test_wrong_fields_are_named(limited: Write, change: Any, message: str) -> None:
    with pytest.raises(RunError, match=rf"hardening.json: {message}.*; run the command that made the folder again"):
        render_report(limited(change))


def hostile(found: Any) -> None:
    for row in found["plans"]:
        row.update(plan_key=EVIL)
        for one in filter(None, [row["unprotected"], row["kept"], row["chosen"], *row["tried"]]):
            one.update(name=EVIL)
            for protection in one["protections"]:
                protection.update(site=EVIL, kind=EVIL, slot=EVIL)
    found["subject"].update(population=EVIL, fault={"kind": EVIL}, split=EVIL)


def test_names_cannot_smuggle_markup(limited: Write) -> None:
    page = render_report(limited(hostile))
    assert "<img" not in page
    assert "<script>alert" not in page
    assert section(page).count("&lt;img src=x onerror=alert(2)&gt;") > 5


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
def test_the_section_is_drawn(opened: Any, limited: Write, size: tuple[int, int], scheme: str) -> None:
    page = opened(write_report(limited()).as_uri(), size, scheme)
    assert page.locator("#chart-hardening svg.main-svg").first.bounding_box()["height"] > 100
    assert page.locator(".toc a[href='#hardened']").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")
    if size[0] > 1000:  # the table fits
        table = "document.getElementById('hardened-table')"
        assert page.evaluate(f"{table}.scrollWidth <= {table}.parentElement.clientWidth + 1")
