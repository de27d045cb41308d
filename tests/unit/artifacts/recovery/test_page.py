"""The page of studies: every figure is on it, parts may be missing, nothing can smuggle markup, files are checked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from laxity.artifacts.page.curves import Panel, curves_chart
from laxity.artifacts.recipes import in_words
from laxity.artifacts.recovery import is_recovery, render_recovery, write_recovery
from laxity.artifacts.recovery.charts import front, ladder_chart, treatments_chart
from laxity.artifacts.recovery.folder import RecoveryFolder
from laxity.artifacts.recovery.load import load_study
from laxity.core.errors import RunError
from laxity.core.plan import Recovery

Edit = Callable[[Path, Callable[[Any], Any]], None]
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


def text_of(page: str) -> str:
    body = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body).replace("\u202f", " "))


def test_every_figure_is_on_the_page(study: Path) -> None:
    page = render_recovery(study)
    assert re.findall(r'<section id="([\w-]+)">', page) == ["treatments", "curves", "ladder", "ranking", "origin"]
    text = text_of(page)
    compared = json.loads((study / "comparison.json").read_text())
    assert "coltrunc8_12 everywhere: 11.5 % untreated, 87.0 % after error model." in text
    assert "Exact circuits with w4a8: 97.0 %; the original network: 98.0 %. On 540 test samples" in text
    for row in (compared["exact"], compared["before"], *compared["after"]):
        assert f"{100 * row['test']['mean']:.2f} % ± 1.00" in text
    for name in ("comparison", "ladder", "ranking"):
        assert json.loads((study / f"{name}.json").read_text())["command"] in text
    assert "coltrunc8_8 on the test split: 97.22 %" in text
    assert "not tried" in text
    assert "3 epochs at 0.001, taught by the original network (0.9 at temperature 4), gradient table_2d" in text
    assert render_recovery(study) == page


@pytest.mark.parametrize("left", ["comparison", "ladder", "ranking"])
def test_a_folder_may_hold_one_study(study: Path, left: str) -> None:
    for name in {"comparison", "ladder", "ranking"} - {left}:
        (study / f"{name}.json").unlink()
    page = render_recovery(study)
    sections = {"comparison": ["treatments", "curves"], "ladder": ["ladder"], "ranking": ["ranking"]}
    assert re.findall(r'<section id="([\w-]+)">', page) == [*sections[left], "origin"]
    assert write_recovery(study).read_text(encoding="utf-8") == page
    title = {
        "comparison": "11.5 % untreated",
        "ladder": "coltrunc8_8 everywhere takes 80.0 %",
        "ranking": "4 multi",
    }
    assert title[left] in text_of(page)


def test_nothing_chosen_and_nothing_trained(study: Path, edit: Edit) -> None:
    edit(study / "ladder.json", lambda d: d.update(chosen=None, chosen_test=None, rungs=[]))
    edit(study / "comparison.json", lambda d: d.update(after=[], best="none", seeds=[0]))
    edit(study / "ranking.json", lambda d: [row.update(energy_pj=None) for row in d["rows"]])
    page = render_recovery(study)
    for name in ("accuracy-curves", "ladder", "ladder-curves", "ranking"):
        assert f'data-empty="{name}"' in page
    (study / "comparison.json").unlink()
    assert "No multiplier everywhere keeps the drop within 1 point" in text_of(render_recovery(study))


def test_names_cannot_smuggle_markup(study: Path, edit: Edit) -> None:
    edit(study / "comparison.json", lambda d: d.update(multiplier=EVIL, command=EVIL, operands=EVIL))
    edit(study / "comparison.json", lambda d: d["after"][3].update(name=EVIL))
    edit(study / "ladder.json", lambda d: [d["rungs"][1].update(name=EVIL), d.update(chosen=EVIL)])
    edit(study / "ranking.json", lambda d: [d["rows"][0].update(name=EVIL, basis=EVIL), d.update(basis=EVIL)])
    page = render_recovery(study)
    assert "<img" not in page
    assert "<script>alert" not in page


def test_charts_hold_the_figures_of_the_file(study: Path) -> None:
    view = load_study(study)
    assert view.comparison is not None
    assert view.ladder is not None
    assert view.ranking is not None
    figure = treatments_chart(view.comparison).figure
    assert figure is not None
    seeds, validation, means = figure["data"]
    rows = [view.comparison.before, *view.comparison.after][::-1]
    assert means["y"] == [row.name for row in rows]
    assert means["x"] == [row.test.mean for row in rows]
    assert means["error_x"]["array"] == [row.test.spread for row in rows]
    assert validation["x"] == [row.validation.mean for row in rows]
    assert len(seeds["x"]) == 3 * len(rows)
    lines = [shape["x0"] for shape in figure["layout"]["shapes"]]
    assert lines == [0.98, view.comparison.exact.test.mean, view.comparison.before.test.mean]
    (low, high), (near, _) = figure["views"]["all"], figure["views"]["near"]
    drawn = [*seeds["x"], *means["x"], *validation["x"], *lines]
    assert low < min(drawn) <= max(drawn) < high
    assert low < near < min(row.test.mean for row in view.comparison.after if any(row.curves))
    climbed = ladder_chart(view.ladder).figure
    assert climbed is not None
    by_name = {trace.get("name"): trace.get("text") for trace in climbed["data"]}
    assert by_name["untreated"] == ["coltrunc8_4", "coltrunc8_8", "drum8_3", "coltrunc8_12"]
    assert by_name["treated, within"] == ["coltrunc8_4", "coltrunc8_8"]
    assert by_name["treated, over the budget"] == ["drum8_3"]
    assert by_name["chosen"] == ["coltrunc8_8"]
    best = [row.name for row in front([row for row in view.ranking.rows if row.energy_pj is not None])]
    assert best == ["coltrunc8_8", "coltrunc8_4"]


def test_small_charts_of_curves() -> None:
    panels = [
        Panel("a", [[{"loss": 2.0}, {"loss": 1.0}], [{"loss": 4.0}, {"loss": 2.0}]]),
        Panel("b", [[{"loss": 1.0, "accuracy": 0.5}, {"loss": 0.5, "accuracy": 0.75}]], chosen=True),
        Panel("c", [[]]),
    ]
    losses = curves_chart("l", panels, "loss", shared=True).figure
    assert losses is not None
    thick = [trace for trace in losses["data"] if trace["mode"] == "lines+markers"]
    assert [trace["y"] for trace in thick] == [[3.0, 1.5], [1.0, 0.5]]  # means over curves
    assert len(losses["data"]) == 2 + 2 + 2  # a mean and the other's mean in each panel, and both curves of the first
    grey = [trace for trace in losses["data"] if trace["line"]["color"] == "@rule"]
    assert [trace["y"] for trace in grey] == [[1.0, 0.5, None], [3.0, 1.5, None]]
    domains = [losses["layout"][name]["domain"] for name in ("xaxis", "xaxis2")]
    assert 0 == domains[0][0] < domains[0][1] < domains[1][0] < domains[1][1] <= 1.0000001
    accuracies = curves_chart("a", panels, "accuracy", shared=False).figure
    assert accuracies is not None
    assert [trace["y"] for trace in accuracies["data"]] == [[0.5, 0.75]]
    assert curves_chart("n", panels[2:], "loss", shared=True).figure is None


def test_recoveries_in_words() -> None:
    assert in_words(None) == in_words({"reestimate": False}) == "nothing"
    full = Recovery(
        epochs=2, learning_rate=3e-4, quantised_epochs=1, teacher="quantised", gradient="table_1d", regularise=0.1,
        alpha=0.2, compensate=True, schedule="error",
    )  # fmt: skip
    from laxity.core.serial import to_json

    assert in_words(to_json(full)) == (
        "bias compensated, statistics re-estimated, 1 epoch with exact circuits first, 2 epochs at 0.0003, taught by "
        "the quantised network (0.9 at temperature 4 growing with the error), gradient table_1d, products regularised "
        "with 0.1, codes regularised with 0.2"
    )
    assert in_words({"epochs": 1, "distil": 0.0, "modelled": True, "of_tomorrow": 1}) == (
        "statistics re-estimated, 1 epoch at 0.001, labels, through error models"
    )


def test_bad_folders_are_named(study: Path, edit: Edit, tmp_path: Path) -> None:
    assert is_recovery(study)
    assert not is_recovery(tmp_path)
    with pytest.raises(RunError, match="is no folder of laxity recover"):
        render_recovery(tmp_path)
    edit(study / "comparison.json", lambda d: d["before"]["test"].pop("mean"))
    with pytest.raises(RunError, match=r"comparison.json: before.test.mean: Field required"):
        render_recovery(study)
    for name in ("comparison", "ladder", "ranking"):
        (study / f"{name}.json").unlink()
    with pytest.raises(RunError, match="has no results yet"):
        render_recovery(study)
    (study / "subject.json").write_text("{torn")
    with pytest.raises(RunError, match="belongs to another task"):
        RecoveryFolder(study).adopt({"task": "invented"})
