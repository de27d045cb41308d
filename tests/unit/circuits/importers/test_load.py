"""What an import finds out, says and keeps."""

import json

import numpy as np
import pytest

from laxity.circuits import adder_catalogue, catalogue, to_verilog
from laxity.circuits.importers import (
    IMPORTERS,
    Reading,
    TableContent,
    importer,
    load,
    load_adder,
    load_saved,
    nearest,
    saved,
)
from laxity.circuits.multiplier import Multiplier
from laxity.core.errors import CircuitError

DRUM = catalogue.get("drum4_3")


def netlist(tmp_path, name="drum4_3", **changes):
    text = to_verilog(catalogue.circuit(name))
    for old, new in changes.items():
        text = text.replace(old, new)
    path = tmp_path / "m.v"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["ripple8", "loa8_3"])
def test_adders_come_back(name, tmp_path):
    adder = adder_catalogue.get(name)
    (tmp_path / "m.v").write_text(to_verilog(adder.circuit))
    imported = load_adder(tmp_path / "m.v", name="mine")
    a, b = np.divmod(np.arange(1 << 16), 256)
    np.testing.assert_array_equal(imported.add(a, b), adder.add(a, b))
    assert imported.errors() == adder.errors()
    assert imported.name == "mine"
    (tmp_path / "m.v").write_text(to_verilog(catalogue.circuit("dadda4")))
    with pytest.raises(CircuitError, match="n \\+ 1 bits"):
        load_adder(tmp_path / "m.v")


def test_bits_listed_in_the_other_order(tmp_path):
    for ports in (["a"], ["a", "b"], ["p"]):  # [0:3] makes a[3] the lowest bit, but the gates mean a[0]
        path = netlist(tmp_path, "dadda4", **{f"[3:0] {p}": f"[0:3] {p}" for p in ports})
        if ports == ["p"]:
            bits = path.read_text().rpartition("{")[2].partition("}")[0]
            turned = ", ".join(reversed(bits.split(", ")))
            path.write_text(path.read_text().replace(f"{{{bits}}}", f"{{{turned}}}"))
        imported = load(path, compare=False)
        assert imported.multiplier == catalogue.get("dadda4")
        assert imported.multiplier == Multiplier.from_circuit(imported.circuit, signed=False)
        told = [note for note in imported.assumptions if "listed in the other order" in note]
        assert [f"port {p!r}" in note for p, note in zip(ports, told, strict=True)] == [True] * len(ports)


def test_operands_are_found_by_name_by_order_and_exchanged(tmp_path):
    plain = netlist(tmp_path, "drum4_3")
    straight = load(plain, compare=False).multiplier
    assert straight == DRUM
    turned = netlist(
        tmp_path, "drum4_3", **{"input wire [3:0] a,\n  input wire [3:0] b": "input [3:0] b, input [3:0] a"}
    )
    assert load(turned, compare=False).multiplier == DRUM
    exchanged = load(turned, swap=True, compare=False)
    np.testing.assert_array_equal(exchanged.multiplier.table, DRUM.table.T)
    assert any("exchanged as asked" in note for note in exchanged.assumptions)


def test_single_bits_become_operands(tmp_path):
    names = [f"a{i}" for i in range(2)] + [f"b{i}" for i in range(2)]
    text = (
        f"module m({', '.join('input ' + n for n in names)}, output p0, p1, p2, p3);\n"
        "assign {p3, p2, p1, p0} = ({4{b0}} & {2'd0, a1, a0}) + ({4{b1}} & {1'd0, a1, a0, 1'd0});\nendmodule"
    )
    (tmp_path / "m.v").write_text(text)
    assert load(tmp_path / "m.v", compare=False).multiplier == catalogue.get("dadda2")
    for old, new in zip(names, ("k0", "k1", "k2", "k3"), strict=True):
        text = text.replace(old, new)
    (tmp_path / "m.v").write_text(text)
    imported = load(tmp_path / "m.v", compare=False)
    assert imported.multiplier == catalogue.get("dadda2")
    assert any("the first 2 are operand a" in note for note in imported.assumptions)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("input clk, input [1:0] a, input [1:0] b, output [3:0] p", "input 'clk'; import the combinational"),
        ("input [1:0] a, input [1:0] b, input [1:0] c, output [3:0] p", "inputs a, b, c"),
        ("output [3:0] p", "no inputs or no outputs"),
        ("input [1:0] a, input [1:0] b", "no inputs or no outputs"),
        ("input [39:0] a, input [1:0] b, output [3:0] p", "port 'a' has 40 bits"),
        ("input [15:0] a, input [15:0] b, output [3:0] p", "load_circuit"),
        ("input x, input y, input z, output [3:0] p", "3 input bits in one row"),
    ],
)
def test_modules_that_are_no_multiplier(head, message, tmp_path):
    body = "assign p = 4'd5;" if "output" in head else ""
    (tmp_path / "m.v").write_text(f"module m({head});\n{body}\nendmodule")
    with pytest.raises(CircuitError, match=message) as caught:
        load(tmp_path / "m.v")
    assert "m.v" in str(caught.value)


def test_a_table_of_too_many_nets_is_not_begun(tmp_path, monkeypatch):
    monkeypatch.setattr("laxity.circuits.importers.loading.MAX_TABLE_BYTES", 1024)
    with pytest.raises(CircuitError, match=r"m\.v: .* nets are too many for a table of 2\*\*8 products, at most 32"):
        load(netlist(tmp_path))


def test_widths_are_compared_with_the_ports(tmp_path):
    with pytest.raises(CircuitError, match="operand a, port 'a', has 4 bits, not 8; correct --a-bits"):
        load(netlist(tmp_path), a_bits=8, b_bits=8)
    assert load(netlist(tmp_path), a_bits=4, b_bits=4, compare=False).multiplier == DRUM


def findings(imported):
    return {check.name: check for check in imported.checks}


def table_file(tmp_path, table):
    np.save(tmp_path / "t.npy", table)
    return tmp_path / "t.npy"


def test_the_checks_see_what_is_wrong(tmp_path):
    exact = catalogue.get("dadda6s").table
    good = findings(load(table_file(tmp_path, exact)))
    assert all(check.ok for check in good.values())
    assert good["nearest"].text.startswith("identical to ")
    wrong = exact.copy()
    wrong[32] = 0  # a = -32
    found = findings(load(table_file(tmp_path, wrong), compare=False))
    assert not found["most negative operand"].ok
    assert "worst error 1024 where a = -32 or b = -32, 0 elsewhere" in found["most negative operand"].text
    wrong = exact.copy()
    wrong[0, 5], wrong[7, 0] = -3, 1
    found = findings(load(table_file(tmp_path, wrong), compare=False))
    assert "2 of 127 are not zero, up to 3" in found["products with zero"].text
    found = findings(load(table_file(tmp_path, exact * 4), signed=True, compare=False))
    assert not found["range"].ok
    found = findings(load(table_file(tmp_path, np.zeros((64, 64), int)), compare=False))
    assert not found["product"].ok
    assert not found["signedness"].ok
    sums = np.add.outer(np.arange(64), np.arange(64))
    assert not findings(load(table_file(tmp_path, sums * 64), compare=False))["product"].ok


def test_metrics_stated_in_the_file_are_compared(tmp_path):
    metrics = DRUM.metrics()
    head = f"// MAE = {metrics.med:.2f}\n// WCE = {metrics.wce}\n// EP% = {100 * metrics.ep:.2f} %\n"
    path = netlist(tmp_path)
    path.write_text(head + path.read_text())
    assert findings(load(path, compare=False))["stated metrics"].ok
    path.write_text(path.read_text().replace(f"WCE = {metrics.wce}", f"WCE = {metrics.wce + 2}"))
    found = findings(load(path, compare=False))["stated metrics"]
    assert found.text == f"WCE {metrics.wce + 2} stated, {metrics.wce} computed"
    assert not found.ok


def test_operand_order_is_said_to_matter_only_where_it_does(tmp_path):
    symmetric = findings(load(netlist(tmp_path, "dadda4"), compare=False))["operand order"]
    assert "does not matter" in symmetric.text
    lopsided = (np.arange(16) & 14)[:, None] * np.arange(16)
    found = findings(load(table_file(tmp_path, lopsided), compare=False))["operand order"]
    assert "differs from b x a for" in found.text


def test_the_nearest_circuit_by_brute_force():
    table = catalogue.get("drum5_3").table.copy()
    table[3, 4] += 5
    found = nearest(Multiplier.from_table(table, a_signed=False, b_signed=False))
    distances = {n: np.abs(table - catalogue.get(n).table).mean() for n in catalogue.names(5)}
    assert found.med == min(distances.values())
    assert distances[found.name] == found.med or found.swapped
    assert not found.identical
    assert found.differ == np.mean(table != catalogue.get(found.name).table)
    assert nearest(Multiplier.from_table(table[:, :8], a_signed=False, b_signed=False)) is None


@pytest.mark.parametrize("name", ["drum4_3", "drum4s_3"])
def test_kept_circuits_come_back(name, tmp_path):
    imported = load(netlist(tmp_path, name), name="mine")
    path = imported.save(tmp_path / "kept")
    assert path.name == f"{imported.key}.json"
    assert saved(tmp_path / "kept") == {imported.key: "mine"}
    assert load_saved(tmp_path / "kept", "mine") == imported == load_saved(tmp_path / "kept", imported.key[:8])
    assert load_saved(tmp_path / "kept", "mine").circuit == imported.circuit
    imported.save(tmp_path / "kept")
    assert len(list((tmp_path / "kept").iterdir())) == 2
    table_only = load(table_file(tmp_path, imported.multiplier.table), name="mine", compare=False)
    assert table_only.key != imported.key
    table_only.save(tmp_path / "kept")
    with pytest.raises(CircuitError, match="several circuits 'mine'"):
        load_saved(tmp_path / "kept", "mine")
    assert load_saved(tmp_path / "kept", table_only.key).circuit is None
    with pytest.raises(CircuitError, match="has no circuit 'other'"):
        load_saved(tmp_path / "kept", "other")


def test_kept_circuits_that_were_changed(tmp_path):
    imported = load(netlist(tmp_path), compare=False)
    path = imported.save(tmp_path / "kept")
    document = json.loads(path.read_text())

    def refused(change, message):
        changed = json.loads(json.dumps(document))
        change(changed)
        path.write_text(json.dumps(changed))
        with pytest.raises(CircuitError, match=message):
            load_saved(tmp_path / "kept", imported.key)

    refused(lambda d: d.update(a_signed=True), "does not fit its products or gates")
    refused(lambda d: d.pop("assumptions"), "lacks or garbles 'assumptions'")
    refused(lambda d: d["netlist"]["gates"].pop(), "before it is driven|other products")
    refused(lambda d: d["netlist"]["outputs"][0][1].reverse(), "other products")
    refused(lambda d: d.update(kind="x"), "is no laxity imported circuit")
    path.write_text("[" * 100_000)
    with pytest.raises(CircuitError, match="is no JSON"):
        load_saved(tmp_path / "kept", imported.key)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CircuitError, match="choose another folder"):
        load(netlist(tmp_path), compare=False).save(tmp_path / "file")


def test_a_format_of_another_package_is_one_function(tmp_path, monkeypatch):
    monkeypatch.setattr(IMPORTERS, "_entries", dict(IMPORTERS._entries))

    @importer("hex", suffixes=(".hex",))
    def hexadecimal(source, options):
        """Products as hexadecimal words, one a line."""
        values = np.array([int(line, 16) for line in source.text().split()], dtype=np.int64)
        return TableContent((Reading(values),))

    (tmp_path / "t.hex").write_text("\n".join(f"{v:x}" for v in DRUM.table.ravel()))
    assert load(tmp_path / "t.hex", compare=False).multiplier == DRUM
    assert hexadecimal.meaning == "Products as hexadecimal words, one a line."
    with pytest.raises(CircuitError, match=r"must be like '\.npy'"):
        importer("x", suffixes=("npy",))
