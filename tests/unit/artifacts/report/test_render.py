"""The page is one self-contained, deterministic document into which no name can smuggle markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from plotly.offline import get_plotlyjs

from laxity.artifacts.page.inline import script_json
from laxity.artifacts.report import render_report, write_report
from laxity.core.errors import RunError

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
SECTIONS = ["front", "levels", "sites", "cost", "sensitivity", "quality", "recovery", "faults", "provenance"]
SECTIONS += ["target", "element", "circuits", "layers", "figures", "accelerator"]


class Page(HTMLParser):
    """Collects elements, links, scripts and visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.words: list[str] = []
        self._inside: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            attrs, text = self.scripts[-1]
            self.scripts[-1] = (attrs, text + data)
        elif self._inside != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words).replace("\u202f", " "))

    def charts(self) -> dict[str, dict]:
        return {a["data-chart"]: json.loads(t) for a, t in self.scripts if a.get("data-chart")}


def test_sections_stand_in_order_and_have_charts(run_folder: Path) -> None:
    page = Page(render_report(run_folder))
    assert [a["id"] for t, a in page.tags if t == "section"] == SECTIONS
    boxes = {a["id"].removeprefix("chart-") for t, a in page.tags if a.get("class") == "chart"}
    assert boxes == set(page.charts())
    assert {
        "front",
        "levels",
        "components",
        "sites",
        "sensitivity",
        "circuit-0",
        "quality",
        "stages",
        "repairs",
        "faults",
    } <= boxes


def test_figures_of_the_run_are_on_the_page(run_folder: Path) -> None:
    text = Page(render_report(run_folder)).text
    metrics = json.loads((run_folder / "best/metrics.json").read_text())
    assert f"{(1 - metrics['energy_pj']['ratio']) * 100:.0f} % less energy at 0.37 points lower accuracy" in text
    assert "97.6 %" in text
    assert "--max-drop 0.01 --seed 7" in text
    for constant in json.loads((run_folder / "manifest.json").read_text())["target"]["constants"]:
        assert constant["name"] in text
        assert constant["source"] in text
    for circuit in json.loads((run_folder / "best/details.json").read_text())["circuits"]:
        assert circuit["table_sha256"] in text


def test_nothing_is_loaded_from_elsewhere(run_folder: Path) -> None:
    page = Page(render_report(run_folder))
    for tag, attrs in page.tags:
        assert tag not in ("link", "iframe", "object", "embed", "img", "base"), tag
        assert "src" not in attrs
        assert (attrs.get("href") or "#").startswith("#")
    style = render_report(run_folder).split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_policy_admits_exactly_the_two_scripts(run_folder: Path) -> None:
    page = Page(render_report(run_folder))
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    code = [text for attrs, text in page.scripts if "type" not in attrs]
    hashes = {f"sha256-{base64.b64encode(hashlib.sha256(c.encode()).digest()).decode()}" for c in code}
    assert set(re.findall(r"sha256-[A-Za-z0-9+/=]+", policy)) == hashes
    assert len(code) == 2
    assert "default-src 'none'" in policy
    assert code.count(get_plotlyjs()) == 1


def test_equal_folders_give_equal_pages(run_folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(run_folder, tmp_path / "elsewhere" / run_folder.name)
    assert render_report(run_folder) == render_report(other)


def _poison(run_folder: Path, edit) -> None:
    edit(run_folder / "manifest.json", lambda m: (m["task"].update(name=EVIL, notes=EVIL), m.update(command=EVIL)))
    edit(run_folder / "manifest.json", lambda m: (m["target"].update(name=EVIL), m["options"].update({EVIL: EVIL})))
    edit(run_folder / "manifest.json", lambda m: m["target"]["constants"][0].update(name=EVIL, source=EVIL, basis=EVIL))
    edit(run_folder / "front.json", lambda f: [p.update(label=EVIL, stage=EVIL) for p in f["points"][:3]])
    edit(run_folder / "front.json", lambda f: f["levels"]["data"].update(label=EVIL))
    edit(run_folder / "sensitivity.json", lambda s: s[0].update(site=EVIL, label=EVIL, level=EVIL))

    def details(d: dict) -> None:
        site = d["sites"][0]
        site.update(name=EVIL, kind=EVIL, choices={EVIL: EVIL})
        site["int8_exact"][EVIL] = {**site["int8_exact"]["sram"], "source": EVIL}
        d["circuits"][0].update(name=EVIL, sites=[EVIL])
        d["faults"]["original"][0]["population"] = EVIL

    edit(run_folder / "best/details.json", details)
    (run_folder / "config.toml").write_text(f"# {EVIL}\n")


def test_hostile_names_stay_text(run_folder: Path, edit) -> None:
    clean = Page(render_report(run_folder))
    _poison(run_folder, edit)
    page = Page(render_report(run_folder))
    assert EVIL in page.text
    assert len([t for t, _ in page.tags if t == "script"]) <= len([t for t, _ in clean.tags if t == "script"])
    assert not [t for t, _ in page.tags if t == "img"]
    assert not [a for _, a in page.tags if any(name.startswith("on") for name in a)]
    charts = page.charts()
    for trace in charts["front"]["data"]:
        trace.pop("meta", None)  # compared with the chips' values, never drawn
    figures = json.dumps(list(charts.values()))
    assert "&lt;script&gt;" in figures
    assert "<script" not in figures
    assert "<img" not in figures


def test_script_data_cannot_close_the_element() -> None:
    value = {"a": EVIL, "b": "<!-- </SCRIPT >"}
    text = script_json(value)
    assert not set("<>&") & set(text)
    assert json.loads(text) == value


def test_empty_parts_get_sentences(run_folder: Path, edit) -> None:
    edit(run_folder / "sensitivity.json", lambda s: s.clear())
    edit(run_folder / "front.json", lambda f: f.update(points=[], levels={}))
    edit(run_folder / "best/details.json", lambda d: d.update(circuits=[], faults={}, sites=[], hardware=None))
    shutil.rmtree(run_folder / "best/accelerator")
    edit(run_folder / "manifest.json", lambda m: m["target"].update(constants=[]))
    (run_folder / "evaluations.jsonl").write_text("")
    (run_folder / "recovery.json").unlink()
    page = Page(render_report(run_folder))
    empty = {a["data-empty"] for _, a in page.tags if "data-empty" in a}
    assert empty == {
        "front", "levels", "site-table", "components", "sites", "sensitivity", "circuits", "faults", "constants",
        "area", "cycles", "accelerator", "stages",
    }  # fmt: skip
    assert set(page.charts()) == {"quality"}
    assert "does not agree" in page.text


def test_unmet_budget_is_said(run_folder: Path, edit) -> None:
    edit(run_folder / "best/metrics.json", lambda m: m.update(met=False, drop=0.03))
    text = Page(render_report(run_folder)).text
    assert "the budget of 1 point is not met" in text
    assert "Budget not met" in text
    assert "Budget met" not in text


def test_totals_that_do_not_add_up_are_said(run_folder: Path, edit) -> None:
    assert "does not agree" not in Page(render_report(run_folder)).text
    edit(
        run_folder / "best/details.json", lambda d: d["totals"]["approximated"]["energy_pj"].update(value=1.0, low=1.0)
    )
    assert Page(render_report(run_folder)).text.count("does not agree") == 1


def test_written_whole_or_not_at_all(run_folder: Path) -> None:
    path = write_report(run_folder)
    assert path == run_folder / "report.html"
    text = path.read_text(encoding="utf-8")
    assert text == render_report(run_folder)
    (run_folder / "front.json").unlink()
    with pytest.raises(RunError, match=r"front\.json is missing"):
        write_report(run_folder)
    assert path.read_text(encoding="utf-8") == text
    assert not list(run_folder.glob(".report.html*"))


def test_how_accuracy_came_back(run_folder: Path, edit) -> None:
    page = Page(render_report(run_folder))
    text, charts = page.text, page.charts()
    found = json.loads((run_folder / "recovery.json").read_text())
    assert "With exact circuits and 8 bits 97.0 %, approximated 41.0 %, after its recovery 97.2 %." in text
    assert charts["stages"]["data"][0]["y"] == [stage["value"] for stage in found["stages"]]
    after = {name: [] for name in ("data", "software", "hardware", "cross")}
    for row in found["repaired"]:
        after[row["level"]].append(row["after"])
        assert row["label"] in text
    filled = [t for t in charts["repairs"]["data"] if t.get("showlegend") and t["mode"] == "markers"]
    assert [t["y"] for t in filled] == list(after.values())
    assert [t["y"] for t in charts["repairs"]["data"] if t.get("name") == "selected"] == [after["hardware"]]
    thick = [t["y"] for t in charts["repair-loss"]["data"] if t["mode"] == "lines+markers"]
    assert thick == [[1, 1 / 2, 1 / 3]] * 2  # the two plans within the budget
    tried = [t["line"]["color"] for t in charts["recipe-0"]["data"] if t["mode"] == "lines+markers"]
    assert tried == ["@data", "@cross", "@data"]  # the chosen one stands out
    assert "3 epochs at 0.002, taught by the original network" in text
    edit(run_folder / "recovery.json", lambda r: r.update(trials=[], repaired=[], stages=r["stages"][:3]))
    text = Page(render_report(run_folder)).text
    assert "No plan was repaired by training." in text
    assert "approximated 41.0 %; the plan needs no repair." in text
    edit(run_folder / "recovery.json", lambda r: r["stages"][0].pop("value"))
    with pytest.raises(RunError, match=r"recovery.json: stages.0.value: Field required"):
        render_report(run_folder)
    (run_folder / "recovery.json").unlink()
    assert "The run was made by a version that did not record its repairs." in Page(render_report(run_folder)).text
