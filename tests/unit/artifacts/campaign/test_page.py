"""The page of a fault campaign: its figures are those of the file, and nothing can smuggle markup."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from laxity.artifacts.campaign import is_campaign, render_campaign, write_campaign
from laxity.artifacts.campaign.load import load_campaign
from laxity.cli.report import report

Edit = Callable[[Path, Callable[[Any], Any]], None]
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
METRICS = {"critical": "critical", "SDC": "sdc", "DUE": "due", "SDC top-5": "sdc_top5", "lost": "lost",
           "gained": "gained", "masked": "masked"}  # fmt: skip
OTHERS = ("accuracy lost", "sites", "critical sites", "faults tried", "right without faults")


def document(folder: Path) -> Any:
    return json.loads((folder / "campaign.json").read_text())


def plain(html: str) -> str:
    text = re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.DOTALL)
    text = re.sub(r"[ \n]+", " ", re.sub(r"<[^>]+>", " ", text))
    return text.replace("&#34;", '"').replace("&gt;", ">").strip()


def tables_of(page: str, which: str = "") -> list[list[list[str]]]:
    """Tables as rows of texts; `which` is in their opening tag."""
    tables = re.findall(rf"<table[^>]*{which}[^>]*>(.*?)</table>", page, re.DOTALL)
    rows = [re.findall(r"<tr[^>]*>(.*?)</tr>", table, re.DOTALL) for table in tables]
    return [[[plain(c) for c in re.findall(r"<t[dh]\b[^>]*>(.*?)</t[dh]>", r, re.DOTALL)] for r in t] for t in rows]


def section(page: str, name: str) -> str:
    found = re.search(rf'<section id="{name}">(.*?)</section>', page, re.DOTALL)
    assert found is not None
    return found[1]


def figures(text: str) -> list[tuple[float, int]]:
    """Numbers in a text and their decimal places; thin spaces part thousands."""
    text = re.sub(r"(?<=\d)\u202f(?=\d)", "", text).replace("\u2212", "-")
    return [(float(n), len(n.partition(".")[2])) for n in re.findall(r"(?<![\w.])[-+]?\d+(?:\.\d+)?", text)]


def agree(text: str, values: list[float]) -> None:
    """Numbers in a text are values, rounded to the places shown."""
    shown = figures(text)
    assert len(shown) == len(values), text
    for (number, places), value in zip(shown, values, strict=True):
        assert abs(number - value) <= 0.5000001 * 10**-places, text


def percents(found: Any) -> list[float]:
    return [100 * found[k] for k in ("estimate", "low", "high")]


@pytest.mark.parametrize("which", ["flipped", "replaced"])
def test_metrics_are_those_of_the_file(which: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(which)
    page, data = render_campaign(folder), document(folder)
    ((header, *rows),) = tables_of(page, 'id="metrics-table"')
    networks = list(data["networks"].values())
    assert header[1:] == list(data["networks"])
    names = re.findall(r'<th scope="row">([^<]+)<small>', section(page, "front"))
    by_name = dict(zip(names, rows, strict=True))
    assert names == [*(m for m in METRICS if m in names), *OTHERS]
    assert ("masked" in names) == any("masked" in network["metrics"] for network in networks)
    for name in set(names) - set(OTHERS):
        key = METRICS[name]
        for text, network in zip(by_name[name][1:], networks, strict=True):
            found = network["metrics"].get(key)
            if found is None:
                assert text == "– not known"
                continue
            agree(text.replace("%", ""), percents(found))
            # The digits shown resolve the interval.
            assert 10 ** -figures(text)[0][1] <= 0.1 * 100 * (found["high"] - found["low"]) / 2 * 1.0001
    for text, network in zip(by_name["accuracy lost"][1:], networks, strict=True):
        agree(text, percents(network["accuracy_drop"]))
    for text, network in zip(by_name["faults tried"][1:], networks, strict=True):
        assert text == f"{network['faults']} as asked for"
    for text, network in zip(by_name["critical sites"][1:], networks, strict=True):
        size, found = network["size"], network["metrics"]["critical"]
        for (shown, _), value in zip(figures(text), (found["estimate"], found["low"], found["high"]), strict=True):
            assert shown == pytest.approx(size * value, rel=0.005)
    for text, network in zip(by_name["right without faults"][1:], networks, strict=True):
        agree(text.replace("%", ""), [100 * network["golden_right"]])
    assert render_campaign(folder) == page


def test_the_head_says_what_was_found(flipped: Path, bits: Path, edit: Edit) -> None:
    page, data = render_campaign(flipped), document(flipped)
    found = re.search(r"<h1>(.*?)</h1>", page)
    assert found is not None
    shares = [100 * n["metrics"]["critical"]["estimate"] for n in data["networks"].values()]
    agree(found[1].replace("int8_exact", ""), shares)
    for index, network in enumerate(data["networks"].values()):
        card = re.search(rf'data-network="{index}">(.*?)</div>', page, re.DOTALL)
        assert card is not None
        text = plain(card[1]).replace("\u202f", " ")
        assert "at 99 % confidence, from 600 faults" in text
        assert "on the first 60 images of split test" in text
        assert f"right on {100 * network['golden_right']:.1f} %" in text
        assert "exactly 600 faults were asked for" in text
    kept = re.sub(r"(?<=\d)\u202f(?=\d)", "", page)
    assert all(network["statement"] in kept for network in data["networks"].values())

    def aimed(document: Any, met: bool) -> None:
        for network in document["networks"].values():
            network["aim"].update(faults=0, half_width=0.02)
            network["met"] = met

    edit(bits, lambda d: aimed(d, met=True))
    page = render_campaign(bits)
    assert page.count('class="pill met">half-width reached: ±') == 2
    assert "ended at look 1" in page
    edit(bits, lambda d: aimed(d, met=False))
    assert render_campaign(bits).count('class="pill unmet">half-width not reached: ±') == 2


def test_sections_follow_the_population(flipped: Path, replaced: Path) -> None:
    sections = {f: re.findall(r'<section id="(\w+)">', render_campaign(f)) for f in (flipped, replaced)}
    assert sections[flipped] == [
        "front", "compared", "map", "places", "bits", "classes", "drawn", "terms", "origin",
    ]  # fmt: skip
    assert sections[replaced] == ["front", "compared", "places", "classes", "drawn", "terms", "origin"]


def test_places_and_bits_are_called_what_they_are(bits: Path, edit: Edit) -> None:
    text = plain(render_campaign(bits))
    assert "By layer In the order of the network." in text
    assert "The most significant bit first, as words are written." in text
    edit(bits, lambda d: [n["identity"]["subject"].update(population="gates") for n in d["networks"].values()])
    text = plain(render_campaign(bits))
    assert "By place In the order of the population." in text
    assert "A bit stands for the faults that change the product by its weight on average" in text
    assert "as words are written" not in text


def test_weighted_shares_are_said_to_be(flipped: Path, bits: Path, edit: Edit) -> None:
    said = "Shares are weighted by strata, so that they are not simply"
    assert render_campaign(flipped).count(said) == 3
    edit(bits, lambda d: [n.update(parts=n["parts"][:1], site_checks=[]) for n in d["networks"].values()])
    assert said not in render_campaign(bits)


@pytest.mark.parametrize("key", ["places", "bits", "classes"])
def test_groups_are_those_of_the_file(flipped: Path, key: str) -> None:
    page, data = render_campaign(flipped), document(flipped)
    shown: dict[str, list[list[str]]] = {}
    for header, *rows in tables_of(section(page, key)):
        for i, name in enumerate(header[1::3]):
            shown[name] = [[row[0], *row[1 + 3 * i : 4 + 3 * i]] for row in rows]
    assert set(shown) == set(data["networks"])
    for name, network in data["networks"].items():
        for (label, value, between, counts), group in zip(shown[name], network[key], strict=True):
            assert label == group["name"]
            agree(between.replace("%", ""), [100 * group["low"], 100 * group["high"]])
            assert counts == f"{group['critical']} / {group['faults']}"
            if group["value"] is None:
                assert value == "unknown"
            else:
                agree(value.replace("%", ""), [100 * group["value"]])


def test_cells_are_those_of_the_file(flipped: Path) -> None:
    page, data = render_campaign(flipped), document(flipped)
    for table, network in zip(tables_of(page, 'class="matrix"'), data["networks"].values(), strict=True):
        header, *rows = table
        assert header[1:] == sorted((b["name"] for b in network["bits"]), key=int, reverse=True)
        assert [row[0] for row in rows] == [p["name"] for p in network["places"]]
        tried = {(c["place"], str(c["bit"])): f"{c['critical']}/{c['faults']}" for c in network["cells"]}
        shown = {(row[0], bit): text for row in rows for bit, text in zip(header[1:], row[1:], strict=True)}
        assert {k: v for k, v in shown.items() if v != "–"} == tried
        assert len(shown) > len(tried)


def test_strata_and_checks_are_those_of_the_file(bits: Path, edit: Edit) -> None:
    data = document(bits)
    tables = tables_of(section(render_campaign(bits), "drawn"), "strata")
    for (_, *rows), network in zip(tables, data["networks"].values(), strict=True):
        checks = {c["part"]: c for c in network["site_checks"]}
        for row, part in zip(rows, network["parts"], strict=True):
            assert row[0] == part["name"]
            agree(row[1].replace("%", ""), [100 * part["weight"]])
            assert row[2:4] == [str(part["faults"]), str(part["critical"])]
            check = checks[part["name"]]
            assert float(row[5]) == pytest.approx(check["p_value"], rel=0.006)
            assert f"/ {check['cells'] - 1} df" in row[4]
            assert row[6].startswith("plausible: ")

    def spoil(d: Any) -> None:
        one = d["networks"]["original"]
        one["site_checks"][0].update(p_value=1e-7, plausible=False)
        one["parts"].append({"name": "proved", "weight": 0.25, "certified": True, "faults": 0, "critical": 0})
        d["networks"]["int8_exact"]["site_checks"] = []

    edit(bits, spoil)
    first, second = tables_of(section(render_campaign(bits), "drawn"), "strata")
    assert first[1][6].startswith("suspicious: ")
    assert first[1][5] == "1.0·10⁻⁷"
    assert first[-1][6] == "proved to change nothing, not sampled"
    assert second[1][6] == "no test: a single cell, or too few faults"


def test_verdicts_rest_on_common_faults_or_on_both_intervals(flipped: Path, words: Path, edit: Edit) -> None:
    ((_, row),) = tables_of(render_campaign(words), 'id="differences-table"')
    (pair,) = document(words)["differences"]
    agree(" ".join(row[1:3]), percents(pair["critical"]))
    assert row[0] == "original less coarse"
    assert row[4] == "300 common faults, 99\u202f%"

    for low, high, verdict in ((-0.02, -0.01, "original is more robust"), (-0.01, 0.02, "undecided"),
                               (0.0, 0.02, "undecided"), (0.01, 0.02, "coarse is more robust")):  # fmt: skip
        edit(words, lambda d, low=low, high=high: d["differences"][0]["critical"].update(
            low=low, high=high, estimate=(low + high) / 2))  # fmt: skip
        page = render_campaign(words)
        ((_, row),) = tables_of(page, 'id="differences-table"')
        assert row[3] == verdict
        finding = plain(re.findall(r'<p class="finding">(.*?)</p>', page, re.DOTALL)[0])
        assert finding.startswith(verdict.split(" is")[0] if " is" in verdict else "original against coarse: undecided")

    networks = document(flipped)["networks"]
    one, other = (networks[n]["metrics"]["critical"] for n in ("original", "int8_exact"))
    ((_, row),) = tables_of(render_campaign(flipped), 'id="differences-table"')
    agree(" ".join(row[1:3]), [
        100 * (one["estimate"] - other["estimate"]), 100 * (one["low"] - other["high"]),
        100 * (one["high"] - other["low"]),
    ])  # fmt: skip
    assert row[4] == "both intervals, together at least 98\u202f%"
    apart = one["low"] > other["high"]
    assert row[3] == ("int8_exact is more robust" if apart else "undecided")


def test_networks_of_different_size_are_put_in_proportion(bits: Path, edit: Edit) -> None:
    def shares(d: Any, first: tuple[float, float], second: tuple[float, float]) -> None:
        for (low, high), network in zip((first, second), d["networks"].values(), strict=True):
            network["metrics"]["critical"].update(low=low, high=high, estimate=(low + high) / 2)

    edit(bits, lambda d: shares(d, (0.02, 0.03), (0.001, 0.002)))
    text = plain(section(render_campaign(bits), "compared"))
    assert (
        "original has 4 times the sites of int8_exact; struck at the same rate per site, it meets at least 40 " in text
    )
    edit(bits, lambda d: shares(d, (0.001, 0.002), (0.02, 0.03)))
    assert "it meets fewer critical faults all the same" in plain(section(render_campaign(bits), "compared"))
    edit(bits, lambda d: shares(d, (0.001, 0.002), (0.002, 0.03)))
    text = plain(section(render_campaign(bits), "compared"))
    assert "original has 4 times the sites of int8_exact." in text
    assert "struck at the same rate per site, it" not in text


def test_names_cannot_smuggle_markup(bits: Path, words: Path, edit: Edit, hostile: Any) -> None:
    for folder in (bits, words):
        edit(folder, lambda d: hostile(d, EVIL))
        page = render_campaign(folder)
        assert "<img" not in page
        assert "<script>alert" not in page
        assert page.count("&lt;img src=x onerror=alert(2)&gt;") > 10


def test_report_is_written_by_the_campaign_and_again(bits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = (bits / "report.html").read_text(encoding="utf-8")
    assert first.replace("<code>campaign</code>", "<code>bits</code>") == render_campaign(bits)
    (bits / "report.html").unlink()
    report(bits)
    assert capsys.readouterr().out.strip() == str(bits / "report.html")
    assert (bits / "report.html").read_text(encoding="utf-8") == render_campaign(bits)
    assert write_campaign(bits) == bits / "report.html"
    assert is_campaign(bits)
    assert load_campaign(bits).name == "bits"
