"""``laxity circuits import``: what it prints, keeps and refuses."""

import json
import os

import numpy as np
import pytest

from laxity.circuits import catalogue, to_verilog
from laxity.circuits.importers import load_saved

from .conftest import call, execute


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "mine.npy"
    np.save(path, catalogue.get("drum4s_3").table.astype(np.int16))
    return path


def test_help():
    outcome = call("circuits", "import", "--help")
    assert outcome.code == 0
    assert "--with-yosys" in outcome.out


def test_json_says_everything(table):
    outcome = call("circuits", "import", table, "--json")
    assert outcome.code == 0, outcome.err
    facts = json.loads(outcome.out)
    assert facts["name"] == "mine"
    assert (facts["a_bits"], facts["b_bits"], facts["a_signed"], facts["b_signed"]) == (4, 4, True, True)
    assert facts["table_sha256"] == catalogue.get("drum4s_3").table_sha256
    assert facts["nearest"]["identical"]
    assert facts["nearest"]["name"] == "drum4s_3"
    assert facts["metrics"]["wce"] == catalogue.get("drum4s_3").metrics().wce
    assert {c["name"] for c in facts["checks"]} >= {"signedness", "operand order", "range", "most negative operand"}
    assert facts["assumptions"]
    assert facts["saved"] is None


def test_tables_for_people_and_a_kept_circuit(tmp_path):
    path = tmp_path / "mine.v"
    path.write_text(to_verilog(catalogue.circuit("dadda4")))
    outcome = call(
        "circuits", "import", path, "--name", "other", "--out", tmp_path / "kept", "--a-bits", 4, "--b-bits", 4
    )
    assert outcome.code == 0, outcome.err
    assert "operand a (the activation) is port 'a'" in outcome.out
    assert "identical to " in outcome.out
    assert "LOOK" not in outcome.out
    assert "kept as " in outcome.err
    back = load_saved(tmp_path / "kept", "other")
    assert back.multiplier == catalogue.get("dadda4")
    assert back.circuit.cells() == catalogue.circuit("dadda4").cells()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["mine.npy", "--a-bits", "8", "--b-bits", "8"], 1, "mine.npy: a table of 16 x 16"),
        (["mine.npy", "--format", "nyp"], 2, "unknown circuit format 'nyp'; did you mean"),
        (["nowhere.npy"], 1, "cannot read nowhere.npy"),
        (["cut.v"], 1, "cut.v:2: expected"),
        (["wrong.csv"], 1, "wrong.csv:2:"),
        (["mine.npy", "--a-bits", "x"], 2, "--a-bits"),
        (["mine.npy", "--out", "mine.npy"], 1, "choose another folder"),
    ],
)
def test_bad_input(words, code, says, table, monkeypatch):
    monkeypatch.chdir(table.parent)
    (table.parent / "cut.v").write_text("module m(input a, output p);\nassign p = a &")
    (table.parent / "wrong.csv").write_text("0,0\n0,x\n")
    before = sorted(os.listdir())
    outcome = call("circuits", "import", *words)
    assert outcome.code == code
    assert says in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    assert sorted(os.listdir()) == before


def test_a_missing_tool_has_its_own_code(tmp_path, monkeypatch):
    monkeypatch.setenv("LAXITY_YOSYS", str(tmp_path / "nowhere"))
    (tmp_path / "m.v").write_text("module m(input [3:0] a, input [3:0] b, output [7:0] p); assign p = a * b; endmodule")
    outcome = call("circuits", "import", tmp_path / "m.v")
    assert outcome.code == 4
    assert "LAXITY_YOSYS" in outcome.err or "yosys" in outcome.err


@pytest.mark.slow
def test_in_a_process_of_its_own(table):
    outcome = execute("circuits", "import", table, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert json.loads(outcome.out)["name"] == "mine"
