"""``laxity rtl``: the accelerator of a finished run, written, simulated and measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from laxity.circuits.synthesis import Placement
from laxity.eda.tools import available
from laxity.rtl.fpga import AcceleratorResources, ModuleResources

from .conftest import call

SMALL = ("--rows", 2, "--columns", 2, "--images", 2)


@pytest.fixture(scope="module")
def iverilog() -> None:
    if available("iverilog") is None:
        pytest.skip("no iverilog; install the system package iverilog")


@pytest.mark.parametrize("dataflow", ["weight-stationary", "output-stationary"])
def test_a_run_as_an_accelerator(iverilog: None, finished: Path, tmp_path: Path, dataflow: str) -> None:
    sides = ("--rows", 4, "--columns", 4, "--dataflow", dataflow)
    outcome = call("rtl", finished, "--out", tmp_path / "a", *sides, "--images", 3, "--simulate", "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["configuration"]["dataflow"] == dataflow
    assert found["cycles"] == sum(s["counts"]["cycles"] for s in found["steps"])
    simulation = found["simulation"]
    assert simulation["passed"] is True
    assert simulation["images"] == 3
    assert simulation["results"] == 3 * 3
    assert [s["cycles"] for s in simulation["steps"]] == [s["counts"]["cycles"] for s in found["steps"]]
    assert (tmp_path / "a" / "rtl" / "accelerator.v").is_file()


def test_the_table_and_the_place_beside_the_plan(iverilog: None, run_copy: Path) -> None:
    outcome = call("rtl", run_copy, "--images", 1, "--simulate")
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[0].split()[-2:] == ["compared", "different"]
    assert "cycles per image" in outcome.out
    assert "0 different" in outcome.out.splitlines()[-1]
    assert (run_copy / "best" / "accelerator" / "README.txt").is_file()


def test_bad_requests(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = call("rtl", finished, "--out", tmp_path, "--rows", 3)
    assert outcome.code == 2
    assert "one must divide the other" in outcome.err
    outcome = call("rtl", tmp_path, "--out", tmp_path)
    assert outcome.code == 1
    assert "is no run folder" in outcome.err
    monkeypatch.setenv("PATH", str(tmp_path))
    for tool in ("iverilog", "verilator"):
        monkeypatch.delenv(f"LAXITY_{tool.upper()}", raising=False)
        words = ("--out", tmp_path / "a", "--images", 1, "--simulate", "--tool", tool)
        outcome = call("rtl", finished, *words)
        assert outcome.code == 4
        assert f"install the system package {tool}" in outcome.err
        assert outcome.out == ""
        assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--place",), "nothing to place and route; add --fpga ecp5 or --fpga ice40"),
        (("--place", "--fpga", "xilinx7"), "nothing to place and route with --fpga xilinx7; add --fpga ecp5"),
        (("--fpga", "virtex"), "'virtex' is not one of 'xilinx7', 'ecp5', 'ice40'"),
        (("--seed", -1), "--seed"),
        (("--tool", "modelsim"), "'modelsim' is not one of 'iverilog', 'verilator', 'gates'"),
    ],
)
def test_options_that_do_not_fit(finished: Path, tmp_path: Path, words: tuple[object, ...], says: str) -> None:
    outcome = call("rtl", finished, "--out", tmp_path / "a", *words)
    assert outcome.code == 2
    assert says in " ".join(outcome.err.replace("│", " ").split())
    assert outcome.out == ""
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("--fpga", "xilinx7"),
        ("--fpga", "ecp5", "--place"),
        ("--silicon",),
        ("--simulate",),
        ("--simulate", "--tool", "gates"),
    ],
)
def test_tools_are_looked_for_before_anything_is_written(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("LAXITY_YOSYS", "system")
    monkeypatch.delenv("LAXITY_IVERILOG", raising=False)
    outcome = call("rtl", finished, "--out", tmp_path / "a", *words)
    assert outcome.code == 4
    assert "yosys is needed and not installed on the search path; pip install 'laxity[rtl]'" in outcome.err
    assert outcome.out == ""
    assert not (tmp_path / "a").exists()


def test_results_of_another_accelerator_are_removed(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    names = {"simulation.json", "silicon.json", "fpga_ecp5.json"}

    def left(*words: object) -> set[str]:
        for name in names:
            (folder / name).write_text("{}")
        assert call("rtl", finished, "--out", folder, *words).code == 0
        return {name for name in names if (folder / name).exists()}

    assert call("rtl", finished, "--out", folder, *SMALL).code == 0
    assert left(*SMALL) == names
    assert left(*SMALL[:-1], 3) == {"fpga_ecp5.json"}
    assert left("--rows", 2, "--columns", 4, "--images", 3) == set()


def test_the_report_tells_an_accelerator_of_another_plan(run_copy: Path) -> None:
    assert call("rtl", run_copy, *SMALL).code == 0
    best = run_copy / "best"
    origin = json.loads((best / "accelerator" / "accelerator.json").read_text())["origin"]
    assert set(origin) == {"plan.json", "model.safetensors"}

    def told() -> bool:
        assert call("report", run_copy).code == 0
        return "Of an earlier plan" in (run_copy / "report.html").read_text()

    assert not told()
    (best / "plan.json").write_text((best / "plan.json").read_text() + "\n")
    assert told()
    (best / "accelerator" / "simulation.json").write_text("{}")
    assert call("rtl", run_copy, *SMALL).code == 0
    assert (best / "accelerator" / "simulation.json").exists(), "the same circuit, so its results hold"
    (best / "accelerator" / "simulation.json").unlink()
    assert not told()
    (best / "accelerator" / "accelerator.json").write_text("{damaged")
    assert call("rtl", run_copy, *SMALL).code == 0
    assert not told()


def test_tables_of_fpga_figures(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("laxity.cli.accelerator.Wanted.check", lambda self: None)  # tools may be absent
    placement = Placement("LFE5U-25F-6CABGA381", 61.25, 582376, 7, "nextpnr")
    asked = []

    def synthesise(folder: Path, family: str, *, placed: bool, seed: int, **_: object) -> AcceleratorResources:
        asked.append((family, placed, seed))
        shares = {"pe": ModuleResources(4, 616, 36, 188, 0, 0, 0)}
        where = (placement, ("from.here", "to.there"), 98.5) if placed else (None, ())
        return AcceleratorResources(family, 2105, 437, 1417, 4, 16, 64, shares, "yosys", *where)  # type: ignore[arg-type]

    monkeypatch.setattr("laxity.rtl.fpga.synthesise_accelerator", synthesise)
    words = ("--fpga", "xilinx7", "--fpga", "ecp5", "--fpga", "ecp5", "--place", "--seed", 7)
    outcome = call("rtl", finished, "--out", tmp_path / "a", *SMALL, *words)
    assert outcome.code == 0, outcome.err
    assert asked == [("xilinx7", False, 7), ("ecp5", True, 7)]
    rows = [line.split() for line in outcome.out.splitlines()]
    assert ["ecp5", "pe", "4", "616", "36", "188", "0", "0", "0"] in rows
    assert ["xilinx7", "all", "2105", "437", "1417", "4", "16", "64"] in rows
    assert "ecp5: 61.2 MHz on LFE5U-25F-6CABGA381, 582376 bytes; an element alone 98.5 MHz" in outcome.out
    assert "from from.here to to.there" in outcome.err
    found = json.loads(call("rtl", finished, "--out", tmp_path / "a", *SMALL, *words, "--json").out)
    assert found["fpga"]["ecp5"]["placement"]["frequency_mhz"] == 61.25
    assert found["fpga"]["xilinx7"]["placement"] is None
    assert found["silicon"] is found["simulation"] is None


@pytest.mark.slow
def test_all_figures_of_a_run(run_copy: Path) -> None:
    if available("yosys") is None:
        pytest.skip("no yosys; pip install 'laxity[rtl]'")
    words = (*SMALL, "--simulate", "--tool", "gates", "--fpga", "ecp5", "--silicon")
    outcome = call("rtl", run_copy, *words, "--json")
    assert outcome.code == 0, outcome.err
    assert f"laxity report {run_copy} shows these figures" in outcome.err
    found = json.loads(outcome.out)
    folder = run_copy / "best" / "accelerator"
    kept = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("simulation", "silicon", "fpga_ecp5")}
    assert kept["simulation"] == found["simulation"]
    assert kept["silicon"] == found["silicon"]
    assert kept["fpga_ecp5"] == found["fpga"]["ecp5"]
    assert found["simulation"]["passed"] is True
    assert found["simulation"]["mismatches"] == 0
    assert found["simulation"]["compared"] > 0
    assert found["silicon"]["energy_pj"] == pytest.approx(sum(s["energy_pj"] for s in found["silicon"]["steps"]))
    table = call("rtl", run_copy, *words)
    assert table.code == 0, table.err
    assert f"{found['silicon']['energy_pj'] / 1e3:.1f} nJ per image over 2 images" in table.out
