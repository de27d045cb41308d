"""The page of a hardened network: its figures are those of the file, and nothing can smuggle markup."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from laxity.artifacts.hardening import Network, harden_network, render_hardening, write_hardening
from laxity.campaign import Subject
from laxity.cli.report import report
from laxity.cli.subject import SavedNetwork
from laxity.search.harden import Limit

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
Make = Callable[..., Path]


def plain(html: str) -> str:
    text = re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.DOTALL)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text.replace("\u202f", " ").replace("\u2212", "-")))
    return re.sub(r" (?=[,.;:)])", "", text.replace("&#34;", '"').replace("&gt;", ">")).strip()


def table(page: str, name: str) -> list[list[str]]:
    found = re.search(rf'<table[^>]*id="{name}">(.*?)</table>', page, re.DOTALL)
    assert found is not None
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", found[1], re.DOTALL)
    return [[plain(c) for c in re.findall(r"<t[dh]\b[^>]*>(.*?)</t[dh]>", row, re.DOTALL)] for row in rows]


def head(page: str) -> tuple[str, str]:
    """The heading, and what stands under it."""
    title, lead = re.search(r"<h1>(.*?)</h1>", page), re.search(r'<p class="lead">(.*?)</p>', page, re.DOTALL)
    assert title is not None
    assert lead is not None
    return plain(title[1]), plain(lead[1])


def sections(page: str) -> list[str]:
    return re.findall(r'<section id="(\w+)">', page)


def test_head_says_what_was_chosen_and_judged(make: Make) -> None:
    title, lead = head(render_hardening(make()))
    assert title == "SEC-DED 64 at 2 sites keep SDC below 0.1 %, for 1.3 % more energy."
    assert lead.startswith("Limit kept Judged on the test split with 12 000 faults that played no part in the choice")
    assert "SDC 0.21 % (0.17 % to 0.25 %) without protections, 0.03 % (0 % to 0.07 %) with them" in lead
    assert "the upper end of the 99 % interval counts, and the limit is 0.1 %." in lead

    def missed(document: Any) -> None:
        document["test"]["hardened"].update(kept=False)

    title, lead = head(render_hardening(make("hardened", missed)))
    assert title == "SEC-DED 64 at 2 sites take 1.3 % more energy, but on the test split SDC may exceed 0.1 %."
    assert lead.startswith("Limit missed on the test split")

    title, lead = head(render_hardening(make("hopeless")))
    assert title == "No set of protections keeps SDC below 0.1 %."
    assert lead.startswith("Limit not kept On the validation split SDC of the unprotected network is 0.2 %")
    assert lead.endswith("2 sets were tried; the smallest upper end is 0.1 %.")

    title, lead = head(render_hardening(make("good_enough")))
    assert title == "No protection is needed: SDC stays below 0.1 % as the network is."
    assert lead.startswith("Limit kept")
    assert "with them" not in lead


def test_limit_on_all_critical_faults_is_called_so(make: Make) -> None:
    page = render_hardening(make("hopeless", lambda d: d["limit"].update(metric="critical", alarms=True)))
    assert head(page)[0] == "No set of protections keeps critical faults below 0.1 %."
    assert "alarms allowed" in plain(page)


def test_sets_are_those_of_the_file(make: Make, document: Any) -> None:
    folder = make()
    rows = table(render_hardening(folder), "sets-table")
    assert rows[0] == ["Set", "SDC", "DUE", "Energy", "Memory", "Exposure", "Verdict"]  # the others are all the same
    data = document(folder)
    assert len(rows) == 2 + len(data["tried"])
    by_name = {row[0].split(" site ")[-1].split(" sites ")[-1]: row for row in rows[1:]}
    assert by_name["unprotected"][1:] == ["0.2 % 0.16 % to 0.24 %", "0 % 0 % to 0.04 %", "1 µJ", "120 kbit", "1",
                                          "above the limit"]  # fmt: skip
    assert by_name["3 steps at 2 sites"][3:] == ["+1.3 % 1.013 µJ", "+2.6 % 123.1 kbit", "1.026",
                                                 "within the limit chosen"]  # fmt: skip
    assert by_name["SEC-DED 64 everywhere"][-1] == "within the limit"
    assert by_name["2 steps at 1 sites"][-1] == "above the limit"
    # Its silent corruptions are few enough, but 40 % of the faults give the alarm.
    assert by_name["clip channel everywhere"][-1] == "too many alarms"

    page = render_hardening(make("hardened", lambda d: d["tried"][3].update(area_um2=1e6, latency_cycles=5000)))
    assert table(page, "sets-table")[0][3:7] == ["Energy", "Area", "Memory", "Latency"]


def test_a_set_that_was_tried_under_two_names_stands_once(make: Make) -> None:
    page = render_hardening(make("hardened", lambda d: d["tried"].append({**d["tried"][0], "name": "again"})))
    assert len(table(page, "sets-table")) == 6
    assert "again" not in page.split("<table")[1]


def test_chosen_protections_stand_with_their_sites(make: Make) -> None:
    page = render_hardening(make())
    assert table(page, "chosen-table")[1:] == [
        [site, "SEC-DED 64", "memory", "secded data_bits=64"] for site in ("conv1", "linear")
    ]
    assert table(page, "left-table")[1:] == [["SEC-DED 64", "0.0 %"], ["clip channel", "75.0 %"]]


def test_ranking_adds_up(make: Make) -> None:
    rows = table(render_hardening(make()), "steps-table")[1:]
    assert [row[0] for row in rows] == ["conv1 step 1", "conv1 step 2", "linear step 3", "conv2 step 4"]
    # The second step takes the place of the first; shares are of the 0.2 % that are critical, costs of 1 µJ.
    assert [row[4:] for row in rows] == [["20 %", "+0.1 %"], ["40 %", "+0.4 %"], ["90 %", "+1.3 %"], ["95 %", "+4.3 %"]]
    assert [row[2:4] for row in rows[:2]] == [["0.04 %", "+0.1 %"], ["0.08 %", "+0.4 %"]]


def test_test_split_before_and_after(make: Make) -> None:
    rows = table(render_hardening(make()), "judged-table")[1:]
    assert rows[0] == ["SDC", "0.21 % 0.17 % to 0.25 %", "0.03 % 0 % to 0.07 %", "–"]
    assert rows[1] == ["DUE", "0 % 0 % to 0.04 %", "0 % 0 % to 0.04 %", "–"]
    assert rows[2] == ["accuracy", "98.00 % 97.00 % to 98.80 %", "97.80 % 96.80 % to 98.60 %", "-0.20 points"]

    def common(document: Any) -> None:
        gap = {"estimate": 0.0018, "low": 0.0010, "high": 0.0026, "confidence": 0.99, "samples": 12_000, "method": ""}
        document["test"]["difference"] = gap

    rows = table(render_hardening(make("hardened", common)), "judged-table")[1:]
    assert rows[0][3] == "+0.180 points (+0.100 to +0.260), before less after, from 12 000 common faults"
    assert len(table(render_hardening(make("good_enough")), "judged-table")[0]) == 2


def test_sections_follow_what_was_found(make: Make) -> None:
    assert sections(render_hardening(make())) == ["front", "left", "chosen", "steps", "judged", "terms", "origin"]
    assert sections(render_hardening(make("hopeless"))) == ["front", "left", "steps", "terms", "origin"]
    assert sections(render_hardening(make("good_enough"))) == ["front", "judged", "terms", "origin"]
    text = plain(render_hardening(make()))
    for words in ("laxity harden digits --max-sdc 0.001", "optuna not installed", "Seed 7", "Fault model bit_flip"):
        assert words in text


@pytest.mark.parametrize("name", ["hardened", "hopeless", "good_enough"])
def test_names_cannot_smuggle_markup(make: Make, hostile: Any, name: str) -> None:
    page = render_hardening(make(name, lambda d: hostile(d, EVIL)))
    assert "<img" not in page
    assert "<script>alert" not in page
    assert page.count("&lt;img src=x onerror=alert(2)&gt;") > 5


def test_equal_folders_give_equal_pages_and_report_writes_them(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make()
    report(folder)
    assert capsys.readouterr().out.strip() == str(folder / "report.html")
    assert (folder / "report.html").read_text(encoding="utf-8") == render_hardening(folder)
    assert write_hardening(folder) == folder / "report.html"


@pytest.mark.slow
def test_hardening_writes_its_page(tmp_path: Path) -> None:
    opening = partial(_opened, "digits")
    subject = Subject(fault={"kind": "multi_flip", "count": 8, "rate_per_bit": 0.0}, split="validation", images=60)
    found = harden_network(
        opening, subject, Limit(0.003), folder=tmp_path, command="laxity harden digits", kinds=["weight_clip"]
    )
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page == render_hardening(tmp_path)
    assert found == json.loads((tmp_path / "hardening.json").read_text())
    names = {p["name"] for p in [found["unprotected"], *found["tried"]]}
    rows = table(page, "sets-table")[1:]
    assert len(rows) <= 1 + len(found["tried"])
    assert all(any(row[0].endswith(name) for name in names) for row in rows)


def _opened(name: str) -> Network:
    return SavedNetwork(name, ())()
