"""The hardware page: its figures follow from the files, what is absent is said, what is damaged is refused."""

from __future__ import annotations

import json
import math
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from laxity.artifacts.report import render_report
from laxity.artifacts.report.charts import machine as charts
from laxity.artifacts.report.charts.silicon import silicon_area_chart, silicon_energy_chart, steps_chart
from laxity.artifacts.report.load import load_run
from laxity.artifacts.report.machine import agreements, cards, element_rows, product_table, simulation_text, use_rows
from laxity.core.errors import RunError

EVIL = "</script><script>alert(1)</script>"


@pytest.fixture
def details(run_folder: Path) -> dict:
    return json.loads((run_folder / "best/details.json").read_text())


def read(run: Path, name: str) -> dict:
    return json.loads((run / "best/accelerator" / name).read_text())


def lengths(figure: dict, index: int) -> float:
    """Sum of all bars at one place."""
    return sum(trace["x"][index] for trace in figure["data"] if trace["type"] == "bar")


def test_bars_of_a_layer_add_up(run_folder: Path, details: dict) -> None:
    view = load_run(run_folder)
    sites = [s["site"] for s in details["hardware"]["int8_exact"]["sites"]]
    product, traffic = charts.product_chart(view).figure, charts.traffic_chart(view).figure
    cycles = charts.cycles_chart(view).figure
    for place, key in enumerate(("int8_exact", "approximated")):
        for number, use in enumerate(details["hardware"][key]["sites"]):
            index = 2 * number + place
            assert lengths(product, index) == pytest.approx(sum(use["product_pj"].values()))
            assert lengths(cycles, index) == use["cycles"]
            assert cycles["data"][0]["text"][index] == f"{100 * use['utilisation']:.0f}\u202f%"
            bits = sum(use["moved_bits"].values())
            assert lengths(traffic, index) == pytest.approx(bits * 1e-6)
            assert product["data"][-1]["x"][index] == pytest.approx(sum(use["uniform_pj"].values()))
            assert product["data"][-1]["y"][index] == product["data"][0]["y"][index]
    assert cycles["layout"]["yaxis"]["ticktext"][::-1] == sites


def test_mean_energy_of_a_product_is_weighted_by_products(run_folder: Path, details: dict) -> None:
    rows = dict(product_table(load_run(run_folder)).rows)
    for column, (key, kind) in enumerate(
        (key, kind) for key in ("int8_exact", "approximated") for kind in ("uniform_pj", "product_pj")
    ):
        uses = details["hardware"][key]["sites"]
        total = sum(sum(u[kind].values()) * u["macs"] for u in uses) / sum(u["macs"] for u in uses)
        assert float(rows["together"][column].split("\u202f")[0]) == pytest.approx(total, rel=1e-3)


def test_operands_are_called_sampled_only_where_they_were(run_folder: Path, edit) -> None:
    columns = product_table(load_run(run_folder)).columns
    assert [c.partition(", ")[2] for c in columns] == ["uniform operands", "operands of its layers"] * 2

    def unsampled(d: dict) -> None:
        for part in d["hardware"].values():
            for use in part["sites"]:
                use.update(uniform_pj={}, sampled=False)

    edit(run_folder / "best/details.json", unsampled)
    assert product_table(load_run(run_folder)).columns == (
        "Exact INT8, uniform operands",
        "Approximated, uniform operands",
    )


def test_element_before_and_after(run_folder: Path, details: dict) -> None:
    rows = {name: (before, after) for name, before, after in element_rows(load_run(run_folder))}
    assert rows["Circuits"] == ("dadda8", "bam8_6_2, drum8_4")
    assert rows["Left for wires"] == ("2.5\u202fns", "2.2\u202fns")
    element = details["hardware"]["int8_exact"]["element"]
    total = math.fsum(element["area_um2"].values())
    assert rows["Area of one"][0] == f"{total:,.0f}\u202fµm²".replace(",", "\u202f")
    assert f"({100 * element['area_um2']['multiplier'] / total:.0f}\u202f%)" in rows["of it multiplier"][0]
    assert not any("selection" in name for name in rows)
    area = charts.area_chart(load_run(run_folder)).figure
    assert lengths(area, 1) == pytest.approx(total)


def test_delay_is_drawn_against_the_clock(run_folder: Path) -> None:
    figure = charts.timing_chart(load_run(run_folder)).figure
    assert [line["x0"] for line in figure["layout"]["shapes"]] == [5.0]
    assert [lengths(figure, i) for i in range(3)] == pytest.approx([2.8, 2.5, 2.5])


def test_a_figure_that_does_not_add_up_is_marked(run_folder: Path, edit) -> None:
    assert all(ok for ok, _ in agreements(load_run(run_folder)))
    assert len(agreements(load_run(run_folder))) == 4
    edit(run_folder / "best/accelerator/silicon.json", lambda d: d.update(energy_pj=1.0))
    edit(run_folder / "best/details.json", lambda d: d["hardware"]["approximated"]["sites"][0].update(cycles=1))
    found = agreements(load_run(run_folder))
    assert [ok for ok, _ in found] == [True, False, True, False]
    assert found[3][1].endswith("the recorded total is 1 pJ.")
    assert '<li class="broken">approximated: cycles of 7 sites' in render_report(run_folder)


def test_resources_are_shown_and_an_area_of_zero_is_not(run_folder: Path, edit) -> None:
    assert {card.name for card in cards(load_run(run_folder))} == {"Area", "Cycles per sample", "Model memory"}

    def to_device(d: dict) -> None:
        for key, lut in (("int8_exact", 51_703), ("approximated", 40_001)):
            estimate = {"value": lut, "low": lut, "high": lut, "unit": "LUT", "basis": "scaled", "source": "a table"}
            time_s = estimate | {"value": 6.25e-4, "low": 6.25e-4, "high": 6.25e-4, "unit": "s"}
            d["totals"][key] |= {"resources": {"lut": estimate}, "time_s": time_s}
            d["totals"][key]["area_um2"] |= {"value": 0, "low": 0, "high": 0}

    edit(run_folder / "best/details.json", to_device)
    found = {card.name: (card.before, card.after) for card in cards(load_run(run_folder))}
    assert found["Look-up tables"] == ("51\u202f703", "40\u202f001")
    assert found["Time per sample"] == ("625\u202fµs", "625\u202fµs")
    assert "Area" not in found
    text = render_report(run_folder)
    assert '<th scope="row">Look-up tables</th>' in text
    assert '<th scope="row">Area</th>' not in text


def test_the_written_accelerator(run_folder: Path) -> None:
    view = load_run(run_folder)
    facts, simulation, silicon = (read(run_folder, f"{n}.json") for n in ("accelerator", "simulation", "silicon"))
    assert steps_chart(view).figure["data"][0]["x"] == [s["cycles"] for s in facts["steps"]]
    compared = f"{simulation['compared']:,}".replace(",", "\u202f")
    assert f"{compared} integers were compared with the emulator, none differ." in simulation_text(view.accelerator)
    energy = silicon_energy_chart(view).figure
    for index, step in enumerate(silicon["steps"]):
        assert lengths(energy, index) == pytest.approx(step["energy_pj"] * 1e-3)
        high = (step["logic_glitch_high_pj"] - step["logic_glitch_pj"]) * 1e-3
        assert energy["data"][-1]["error_x"]["array"][index] == pytest.approx(high)
    area = silicon_area_chart(view).figure["data"][0]["x"]
    assert sum(area) == pytest.approx(silicon["area_um2"] + silicon["memory_area_um2"])
    assert area == sorted(area, reverse=True)
    text = render_report(run_folder)
    for words in ("51.7 MHz", "LFE5U-85F", "not placed and routed", "an invented cell table", "Simulation passed"):
        assert words in text


def test_a_failed_simulation_says_how_many_differ(run_folder: Path, edit) -> None:
    def fail(d: dict) -> None:
        d.update(passed=False, mismatches=3)
        d["steps"][0]["wrong_sums"] = 3

    edit(run_folder / "best/accelerator/simulation.json", fail)
    text = render_report(run_folder)
    assert "Simulation failed" in text
    assert "3 differ." in text


@pytest.mark.parametrize(
    ("name", "empty", "words"),
    [
        ("silicon.json", "silicon", "<code>--silicon</code>"),
        ("simulation.json", None, "with --simulate does it"),
        ("accelerator.json", "accelerator", "No accelerator was written"),
    ],
)
def test_absent_files_are_said(run_folder: Path, name: str, empty: str | None, words: str) -> None:
    (run_folder / "best/accelerator" / name).unlink()
    text = render_report(run_folder)
    assert words in text
    assert empty is None or f'data-empty="{empty}"' in text


def test_without_fpga_files_the_command_is_named(run_folder: Path) -> None:
    for path in (run_folder / "best/accelerator").glob("fpga_*.json"):
        path.unlink()
    assert 'data-empty="fpga"' in render_report(run_folder)


def test_runs_of_older_versions_say_what_they_lack(run_folder: Path, edit) -> None:
    def older(d: dict) -> None:
        del d["hardware"]

    edit(run_folder / "best/details.json", older)
    shutil.rmtree(run_folder / "best/accelerator")
    text = render_report(run_folder)
    assert text.count(charts.OLDER) == 2
    assert use_rows(load_run(run_folder)) == []


def test_targets_that_say_nothing_about_elements(run_folder: Path, edit) -> None:
    def silent(d: dict) -> None:
        for part in d["hardware"].values():
            part["element"] = None
            for use in part["sites"]:
                use.update(uniform_pj={}, moved_bits={})

    edit(run_folder / "best/details.json", silent)
    view = load_run(run_folder)
    assert charts.area_chart(view).empty == "The target says nothing about its elements."
    assert charts.traffic_chart(view).empty == "The target says nothing about accesses to memories."
    assert [t["type"] for t in charts.product_chart(view).figure["data"]] == ["bar"] * 4
    render_report(run_folder)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("accelerator.json", "{", "is not valid JSON"),
        ("accelerator.json", "[]", "the document"),
        ("silicon.json", '{"library": 3}', "library"),
        ("simulation.json", "NaN", "is not valid JSON"),
        ("fpga_ecp5.json", '{"family": "ecp5", "lut": -1}', "lut"),
        ("fpga_xilinx7.json", "\xff\x00", "is not valid JSON"),
    ],
)
def test_damaged_files_are_refused_by_name(run_folder: Path, name: str, text: str, words: str) -> None:
    (run_folder / "best/accelerator" / name).write_text(text, encoding="utf-8")
    with pytest.raises(RunError, match=words) as caught:
        render_report(run_folder)
    assert name in str(caught.value)
    assert "laxity rtl" in str(caught.value)


@pytest.mark.parametrize("field", ["energy_pj", "area_um2", "delay_ns"])
def test_infinite_and_negative_figures_are_refused(run_folder: Path, edit, field: str) -> None:
    edit(run_folder / "best/accelerator/silicon.json", lambda d: d.update({field: -1}))
    with pytest.raises(RunError, match=field):
        load_run(run_folder)
    path = run_folder / "best/accelerator/silicon.json"
    path.write_text(path.read_text().replace("-1", "1e999"))
    with pytest.raises(RunError, match="not a finite number"):
        load_run(run_folder)


def test_hostile_names_stay_text(run_folder: Path, edit) -> None:
    for name in ("accelerator", "simulation", "silicon"):
        edit(
            run_folder / f"best/accelerator/{name}.json", lambda d: [s.update(name=EVIL, kind=EVIL) for s in d["steps"]]
        )
    edit(run_folder / "best/accelerator/accelerator.json", lambda d: d.update(multipliers=[EVIL]))
    edit(run_folder / "best/accelerator/silicon.json", lambda d: d.update(library=EVIL, critical_path=[EVIL]))
    edit(run_folder / "best/accelerator/fpga_ecp5.json", lambda d: d.update(family=EVIL, tool=EVIL))
    edit(run_folder / "best/accelerator/simulation.json", lambda d: d.update(tool=EVIL))
    edit(
        run_folder / "best/details.json",
        lambda d: d["hardware"]["approximated"]["sites"][0].update(site=EVIL, unit=EVIL),
    )
    text = render_report(run_folder)
    assert EVIL not in text
    assert text.count("<script>alert") == 0


@pytest.mark.parametrize("changed", [(), ("plan.json",), ("model.safetensors",), ("plan.json", "model.safetensors")])
def test_an_accelerator_of_another_plan_is_called_that(run_folder: Path, edit, changed: tuple[str, ...]) -> None:
    best = run_folder / "best"
    (best / "model.safetensors").write_bytes(b"weights")
    origin = {name: sha256((best / name).read_bytes()).hexdigest() for name in ("plan.json", "model.safetensors")}
    edit(best / "accelerator/accelerator.json", lambda d: d.update(origin=origin))
    for name in changed:
        (best / name).write_text((best / name).read_text() + " ")
    assert load_run(run_folder).accelerator.changed == changed
    text = render_report(run_folder)
    assert ("Of an earlier plan" in text) == bool(changed)
    assert all(f"<code>{name}</code>" in text for name in changed)


def test_an_accelerator_of_unknown_origin_is_shown_without_a_claim(run_folder: Path) -> None:
    assert "origin" not in read(run_folder, "accelerator.json")
    assert load_run(run_folder).accelerator.changed == ()
    assert "Of an earlier plan" not in render_report(run_folder)
