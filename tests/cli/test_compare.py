"""``laxity circuits compare``, and lists and facts of wide circuits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from laxity.circuits import catalogue, errors_of
from laxity.eda.tools import available

from .conftest import call


@pytest.fixture(autouse=True)
def nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAXITY_CACHE", "off")


def document(*words: object) -> Any:
    outcome = call("circuits", *words, "--json")
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_a_table_with_units_the_front_and_who_beats_the_rest() -> None:
    outcome = call("circuits", "compare", "drum", "dadda6", "wallace6", "--width", 6, "--against", "area")
    assert outcome.code == 0, outcome.err
    header, _, *rows = outcome.out.splitlines()
    assert header.split()[:6] == ["name", "mred", "med", "wce", "ep", "bias"]
    assert header.split()[6:11] == ["area_um2", "delay_ns", "power_mw", "energy_pj", "pe_energy_pj"]
    verdicts = {row.split()[0]: row.split()[-1] for row in rows}
    assert verdicts["dadda6"] == "front"
    assert verdicts["wallace6"] == "dadda6"
    assert "beaten by no other in mred and area" in outcome.err
    assert "all 4096 pairs" in outcome.err
    assert "[5/5] wallace6" in outcome.err


def test_json_and_front_only() -> None:
    words = ("compare", "tosam", "drum", "bam", "dadda4", "--width", 4, "--metric", "wce", "--against", "delay")
    found = document(*words)
    assert [c["name"] for c in found["circuits"] if c["beaten_by"] is None] == [
        c["name"] for c in document(*words, "--front")["circuits"]
    ]
    listed = [n for n in catalogue.names(4) if catalogue.parse(n)[0].name in ("tosam", "drum", "bam", "dadda")]
    assert sorted(c["name"] for c in found["circuits"]) == sorted(listed)
    assert (found["metric"], found["against"]) == ("wce", "delay")
    for circuit in found["circuits"]:
        assert circuit["med"] == errors_of(circuit["name"]).med
        assert circuit["pe_energy_pj"] > circuit["energy_pj"] > circuit["energy_zero_pj"] > 0


def test_histogram_and_files(tmp_path: Path) -> None:
    histogram, table = tmp_path / "h.npz", tmp_path / "table.npy"
    weights = np.r_[np.ones(16), np.zeros(240)]
    np.savez(histogram, a_histogram=weights, b_histogram=weights)
    np.save(table, catalogue.get("mitchell8").table)
    found = document("compare", "drum8_4", table, "--histogram", histogram)
    drum, mitchell = found["circuits"]
    assert (drum["ep"], drum["wce"], drum["pairs"]) == (0.0, 0, 256)
    assert (mitchell["name"], mitchell["energy_pj"], mitchell["beaten_by"]) == ("table", None, None)
    assert "table" not in [c["name"] for c in document("compare", "drum8_4", table, "--front")["circuits"]]
    np.savez(histogram, a=np.arange(16), b=np.arange(16))
    assert document("compare", "drum8_4", "--histogram", histogram)["circuits"][0]["pairs"] == 16
    refused = call("circuits", "compare", "drum8_4", "--histogram", histogram, "--against", "pe-energy")
    assert refused.code == 1
    assert "each by itself" in refused.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("drum8_4", "loa16_4"), 1, "same operation"),
        (("drum8_4", "--against", "price"), 2, "price"),
        (("drum8_4", "--metric", "mean"), 2, "mean"),
        (("drumm8_4",), 2, "did you mean"),
        (("loa16_4", "--against", "pe-energy"), 1, "no cores"),
        (("drum8_4", "--clock-mhz", "-1"), 1, "positive"),
        (("drum8_4", "--histogram", "none.npz"), 1, "none.npz"),
        (("none.v",), 1, "none.v"),
        (("drum8_4", "--map", "dadda8", "--out", "page.html"), 1, "not among the circuits"),
        ((), 2, "NAME"),
    ],
)
def test_bad_requests(words: tuple[str, ...], code: int, message: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = call("circuits", "compare", *words)
    assert outcome.code == code, outcome.err
    assert message in outcome.err
    assert not outcome.out
    assert not list(tmp_path.iterdir())


def test_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    words = ("circuits", "compare", "drum4_3", "dadda4", "--out", page)
    outcome = call(*words)
    assert outcome.code == 0
    assert f"page: {page}" in outcome.err
    text = page.read_text(encoding="utf-8")
    assert "drum4_3" in text
    assert f"laxity circuits compare drum4_3 dadda4 --out {page}" in text
    assert call(*words).code == 0
    assert page.read_text(encoding="utf-8") == text


def test_without_a_page_no_torch_is_loaded() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from laxity.cli import app; "
        "r = CliRunner().invoke(app, ['circuits', 'compare', 'drum4_3', 'dadda4']); "
        "sys.exit(r.exit_code or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_wide_circuits_are_shown_with_intervals() -> None:
    facts = document("show", "dadda16", "--samples", 4096)
    assert (facts["a_bits"], facts["ep"], facts["pairs"], facts["exhaustive"]) == (16, 0.0, 4096, False)
    assert facts["intervals"]["ep"][0] == 0.0 < facts["intervals"]["ep"][1] < 2e-3
    assert (facts["lower_bounds"], facts["table_sha256"], facts["emulation"]) == (["wce", "max_red"], "", [])
    outcome = call("circuits", "show", "drum16_6", "--samples", 4096)
    assert "95 % interval" in outcome.out
    assert "or more: the largest that was seen" in outcome.out
    lines = {line.split()[0]: line for line in outcome.out.splitlines() if line.strip()}
    assert " to " in lines["mred"]


def test_twelve_bits_are_exhaustive() -> None:
    facts = document("show", "drum12_6")
    assert (facts["pairs"], facts["exhaustive"]) == (1 << 24, True)
    assert "intervals" not in facts


@pytest.mark.slow
def test_lists_of_wide_circuits() -> None:
    found = document("list", "--width", 11, "--samples", 256)
    assert [facts["name"] for facts in found] == catalogue.names(11)
    assert {facts["pairs"] for facts in found} == {256}
    assert call("circuits", "list", "--width", 17).code == 2


def test_costs_of_mapped_netlists() -> None:
    if available("yosys") is None:
        pytest.skip("no yosys; pip install 'laxity[rtl]'")
    plain = {c["name"]: c for c in document("compare", "drum6_3", "dadda6", "--against", "area")["circuits"]}
    found = document("compare", "drum6_3", "dadda6", "--against", "area", "--flow", "yosys")
    assert (found["library"], found["flow"]) == ("gscl45nm", "yosys")
    assert found["tool"].startswith("yosys ")
    (measured,) = json.loads(call("circuits", "characterise", "drum6_3", "--flow", "yosys", "--json").out)
    mapped = {c["name"]: c for c in found["circuits"]}
    assert mapped["drum6_3"]["netlist"] == measured["measured"] == "mapped"
    assert mapped["drum6_3"]["area_um2"] == measured["area_um2"] < plain["drum6_3"]["area_um2"]
    assert mapped["drum6_3"]["netlist_key"] != plain["drum6_3"]["netlist_key"]
    for name, circuit in mapped.items():
        assert {k: circuit[k] for k in ("med", "mred", "wce")} == {k: plain[name][k] for k in ("med", "mred", "wce")}
    assert plain["drum6_3"]["netlist"] == "given"
    outcome = call("circuits", "compare", "drum6_3", "dadda6", "--flow", "yosys")
    assert "netlists mapped by yosys" in outcome.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--target", "none.lib"), 1, "cannot read Liberty file none.lib"),
        (("--target", "ecp5"), 2, "use asic45, a Liberty file"),
        (("--target", "my.lib", "--against", "pe-energy"), 2, "leave out --target"),
        (("--flow", "vivado"), 2, "vivado"),
    ],
)
def test_targets_and_flows_that_cannot_be(words: tuple[str, ...], code: int, said: str) -> None:
    outcome = call("circuits", "compare", "dadda4", "drum4_3", *words)
    assert outcome.code == code
    assert said in " ".join(outcome.err.replace("\u2502", " ").split())


def test_mapping_without_yosys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAXITY_YOSYS", "wheel")
    monkeypatch.setattr("laxity.eda.tools._script", lambda program: None)
    outcome = call("circuits", "compare", "dadda4", "--flow", "yosys")
    assert outcome.code == 4
    assert "yosys is needed and not installed" in outcome.err
