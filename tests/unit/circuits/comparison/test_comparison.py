"""Circuits side by side: what is compared, what it costs, who beats whom."""

import dataclasses
import itertools
import json

import numpy as np
import pytest

from laxity.circuits import Operands, Sampling, catalogue, default_library, delay_ns, errors_of, to_verilog
from laxity.circuits.activity import switching_energy
from laxity.circuits.comparison import COSTS, compare, find_candidates, measure
from laxity.circuits.metrics import METRICS
from laxity.core.errors import CircuitError, RegistryError
from laxity.core.seeds import stream


@pytest.fixture(autouse=True)
def nothing_is_kept(monkeypatch):
    monkeypatch.setenv("LAXITY_CACHE", "off")


WORDS = ["drum", "mitchell6", "dadda6", "wallace6", "optrunc6_2"]


@pytest.fixture(scope="module")
def candidates():
    return find_candidates(WORDS, 6)


@pytest.mark.parametrize(
    ("metric", "against"), [("mred", "area"), ("bias", "delay"), ("wce", "energy"), ("ep", "power")]
)
def test_the_front_is_what_no_other_beats(candidates, metric, against):
    found = compare(candidates, metric, against, sampling=Sampling())
    points = {row.candidate.name: (row.cost(against), row.error(metric)) for row in found.rows}
    assert len(points) == len(candidates)
    front = {row.candidate.name for row in found.front}
    assert front
    for name, (cost, error) in points.items():
        better = {other for other, (c, e) in points.items() if c <= cost and e <= error and (c, e) != (cost, error)}
        assert (name in front) == (not better), name
    for row in found.rows:
        if row.beaten_by:
            rival, mine = points[row.beaten_by], points[row.candidate.name]
            assert row.beaten_by in front
            assert rival[0] <= mine[0]
            assert rival[1] <= mine[1]
    assert [row.cost(against) for row in found.rows] == sorted(row.cost(against) for row in found.rows)


def test_equal_circuits_are_on_the_front_once():
    """LETAM with t fraction bits is DRUM with t + 2: the first by name stays."""
    found = compare(find_candidates(["letam6_2", "drum6_4"]))
    assert [(row.candidate.name, row.beaten_by) for row in found.rows] == [("drum6_4", ""), ("letam6_2", "drum6_4")]


def test_metrics_and_costs_are_those_of_the_parts(candidates):
    library = default_library()
    for row in compare(candidates[:3], clock_mhz=500.0).rows:
        netlist = catalogue.circuit(row.candidate.name)
        assert row.metrics == errors_of(netlist)
        figures = row.figures
        assert figures.area_um2 == library.area_um2(netlist)
        assert figures.delay_ns == delay_ns(netlist, library)
        assert figures.power_mw == pytest.approx(figures.energy_pj * 500e6 * 1e-12 * 1e3 + figures.leakage_nw * 1e-6)
        assert figures.energy_zero_pj <= figures.energy_pj
        assert sum(figures.cells.values()) == len(netlist.gates)
        json.dumps(row.to_json(), allow_nan=False)
        assert set(METRICS) | set(COSTS.values()) <= set(row.to_json())


def test_energy_under_a_distribution():
    """Operands that never change cost nothing; others what a stream of the same distribution costs."""
    netlist = catalogue.circuit("dadda6")
    only = np.eye(64)[5]
    assert measure(netlist, Operands(only, only)).energy_pj == 0
    small = np.r_[np.ones(8), np.zeros(56)]
    found = measure(netlist, Operands(small, small)).energy_pj
    rng = stream(1, "small operands")
    streams = {port: rng.integers(0, 8, (1, 40001)) for port in "ab"}
    assert found == pytest.approx(switching_energy(netlist, streams, default_library()).energy_pj, rel=0.02)
    assert found < measure(netlist).energy_pj / 2


def test_errors_and_energies_use_the_same_operands(candidates):
    operands = Operands(np.r_[np.ones(8), np.zeros(56)], None)
    found = compare(candidates[:2], operands=operands)
    for row in found.rows:
        assert row.metrics == errors_of(row.candidate.name, operands)
        assert row.figures.energy_pj == measure(row.candidate.circuit, operands).energy_pj


def test_words(tmp_path):
    everything = find_candidates(["all"], 4)
    assert [c.name for c in everything] == catalogue.names(4)
    assert [c.name for c in find_candidates(["drum4_3", "dadda4", "drum4_3"])] == ["drum4_3", "dadda4"]
    assert {c.kind for c in find_candidates(["booth"], 4, signed=True)} == {"4 x 4-bit signed multiplier"}
    assert {c.kind for c in find_candidates(["loa"])} == {"16 x 16-bit unsigned adder"}
    (tmp_path / "mine.v").write_text(to_verilog(catalogue.circuit("drum4_3")))
    np.save(tmp_path / "products.npy", catalogue.get("mitchell4").table)
    netlist, table = find_candidates([str(tmp_path / "mine.v"), str(tmp_path / "products.npy")])
    assert (netlist.name, netlist.family, netlist.circuit is None) == ("mine", "imported", False)
    assert (table.name, table.circuit) == ("products", None)
    rows = compare([table, netlist]).rows
    assert [row.candidate.name for row in rows] == ["mine", "products"]
    assert rows[0].figures.area_um2 == default_library().area_um2(catalogue.circuit("drum4_3"))
    assert (rows[1].figures, rows[1].cost("area"), rows[1].to_json()["area_um2"]) == (None, None, None)
    with pytest.raises(CircuitError, match="none of these circuits has a netlist"):
        compare([table])


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["drum8_4", "loa8_4"], CircuitError, "same operation"),
        (["drum8_4", "drum6_4"], CircuitError, "same operation"),
        (["drum8_4", "drum8s_4"], CircuitError, "same operation"),
        (["drumm8_4"], RegistryError, "unknown"),
        (["none.v"], CircuitError, "none.v"),
    ],
)
def test_what_cannot_be_compared_is_refused(words, error, message):
    with pytest.raises(error, match=message):
        find_candidates(words)


def test_bad_requests_are_refused(candidates):
    with pytest.raises(CircuitError, match="choose of"):
        compare(candidates, "mean")
    with pytest.raises(CircuitError, match="choose of"):
        compare(candidates, against="price")
    with pytest.raises(CircuitError, match="no cores"):
        compare(candidates, against="pe-energy")
    with pytest.raises(CircuitError, match="positive"):
        compare(candidates, clock_mhz=0.0)
    with pytest.raises(CircuitError, match="no circuit of 'udm' is listed"):
        find_candidates(["udm"], 7)


def test_progress_names_every_circuit(candidates):
    told = []
    compare(candidates, progress=told.append)
    assert [text.split()[1] for text in told] == [c.name for c in candidates]
    assert len(set(itertools.chain(told))) == len(candidates)


def test_costs_on_other_cells():
    """Cells of twice the area and three times the leakage."""
    table = default_library()
    cells = {
        name: dataclasses.replace(cell, area_um2=2 * cell.area_um2, leakage_nw=3 * cell.leakage_nw)
        for name, cell in table.cells.items()
    }
    other = dataclasses.replace(table, name="twice", cells=cells)
    candidates = find_candidates(["drum4_3", "dadda4"])
    before, after = compare(candidates, against="area"), compare(candidates, against="area", library=other)
    for left, right in zip(before.rows, after.rows, strict=True):
        assert left.candidate == right.candidate
        assert right.figures.area_um2 == pytest.approx(2 * left.figures.area_um2)
        assert right.figures.leakage_nw == pytest.approx(3 * left.figures.leakage_nw)
        assert right.figures.energy_pj == pytest.approx(left.figures.energy_pj)
    assert after.basis == "netlists as they are, on the cells of twice"
    with pytest.raises(CircuitError, match="unknown flow 'vivado'; use one of netlist, yosys"):
        compare(candidates, flow="vivado")
