"""Liberty files: what is read, what is refused with file and line, and that nothing crashes the reader."""

import dataclasses
import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RegularGridInterpolator

from laxity.circuits import default_library
from laxity.circuits.liberty import load_liberty, parse, read_liberty
from laxity.circuits.liberty.compose import RECIPES
from laxity.circuits.liberty.function import FunctionError, permutations, truth_table
from laxity.circuits.liberty.tables import Point, line_at
from laxity.circuits.netlist import CELL_PINS
from laxity.circuits.simulate import CELL_FUNCTIONS, exhaustive_planes
from laxity.core.errors import CircuitError


def assert_same(found, expected, relative):
    for name in CELL_PINS:
        for field in dataclasses.fields(expected.cells[name])[1:]:
            left, right = (getattr(library.cells[name], field.name) for library in (found, expected))
            assert left == pytest.approx(right, rel=relative, abs=1e-9), (name, field.name)


def test_a_library_written_from_a_table_gives_the_table_back(liberty):
    library, table = read_liberty(liberty(), "made.lib"), default_library()
    assert (library.name, library.voltage_v, library.temperature_c) == ("made", 1.1, 27)
    assert_same(library, table, 1e-9)
    assert library.cells["FA"].library_cell == "FA_X1"
    assert library.flip_flop.clock_energy_fj == pytest.approx(16.5)
    assert library.flip_flop.clock_pin_capacitance_ff == pytest.approx(8.22)
    assert "made.lib" in library.source
    assert "60 ps" in library.source


def test_the_published_library_reduces_to_the_built_in_table(data_dir):
    path = data_dir / "liberty" / "gscl45nm.lib"
    if not path.is_file():
        pytest.skip("no liberty/gscl45nm.lib in the data folder")
    library, table = load_liberty(path), default_library()
    assert [c.library_cell for c in library.cells.values()] == [c.library_cell for c in table.cells.values()]
    for name, cell in table.cells.items():
        found = library.cells[name]
        assert found.area_um2 == pytest.approx(cell.area_um2, abs=5e-5)
        assert found.input_capacitance_ff == pytest.approx(cell.input_capacitance_ff, abs=5.1e-3)
        assert found.delay_ps == pytest.approx(cell.delay_ps, abs=0.051)
        assert found.internal_energy_fj == pytest.approx(cell.internal_energy_fj, abs=5.1e-3)


def test_units_scale(liberty):
    text = liberty().replace('"1ns"', '"1ps"').replace("(1, pf)", "(1, ff)").replace('"1nW"', '"10 uW"')
    library, table = read_liberty(text, "x.lib", slew_ps=0.06), default_library()
    assert library.cells["INV"].input_capacitance_ff == pytest.approx(1.55e-3)
    assert library.cells["INV"].leakage_nw == pytest.approx(1.7e4)
    assert library.cells["INV"].delay_ps[0] == pytest.approx(table.cells["INV"].delay_ps[0] / 1000)


def test_of_equal_functions_the_smallest_cell_is_taken_and_unused_ones_are_not(liberty):
    text = liberty()
    cell = text[text.index("  cell (INV_X1)") : text.index("  cell (BUF_X1)")].replace("INV_X1", "INV_S")
    smaller, unused = cell.replace("1.4079", "0.5"), cell.replace("area : 1.4079;", "area : 0.5; dont_use : true;")
    assert read_liberty(text.replace("  cell (DFF)", smaller + "  cell (DFF)"), "x").cells["INV"].area_um2 == 0.5
    library = read_liberty(text.replace("  cell (DFF)", unused + "  cell (DFF)"), "x")
    assert library.cells["INV"].library_cell == "INV_X1"


def test_missing_cells_are_composed(liberty):
    library = read_liberty(liberty("INV", "NAND2", "NOR2", "XOR2"), "x")
    cells, table = library.cells, default_library().cells
    assert cells["AND2"].area_um2 == pytest.approx(table["NAND2"].area_um2 + table["INV"].area_um2)
    assert cells["HA"].area_um2 == pytest.approx(cells["XOR2"].area_um2 + cells["AND2"].area_um2)
    assert cells["HA"].input_capacitance_ff == pytest.approx(5.53 + 2.07)
    nand, inv = table["NAND2"], table["INV"]
    inner = nand.delay_ps[0] + nand.resistance_ps_per_ff[0] * inv.input_capacitance_ff
    assert cells["AND2"].delay_ps[0] == pytest.approx(inner + inv.delay_ps[0])
    wire = 0.5 * 1.1**2 * inv.input_capacitance_ff
    energy = nand.internal_energy_fj[0] + inv.internal_energy_fj[0] + wire
    assert cells["AND2"].internal_energy_fj[0] == pytest.approx(energy)
    assert cells["FA"].library_cell.count("XOR2_X1") == 2


def test_compositions_compute_what_the_cells_compute():
    for name, recipe in RECIPES.items():
        inputs, outputs = CELL_PINS[name]
        nets = dict(zip("abcd", exhaustive_planes(inputs), strict=False))
        expected = CELL_FUNCTIONS[name](*nets.values())
        for cell, pins, (out, *_) in recipe:
            assert len(pins) == CELL_PINS[cell][0]
            nets[out] = CELL_FUNCTIONS[cell](*(nets[pin] for pin in pins))[0]
        mask = np.uint64((1 << (1 << inputs)) - 1)
        for net, words in zip(("s", "k") if outputs == 2 else ("y",), expected, strict=True):
            assert not ((nets[net] ^ words) & mask).any(), name


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('time_unit : "1ns" ;', "", r"x\.lib: the library states no time_unit; .* add time_unit"),
        ("capacitive_load_unit (1, pf);", "", r"x\.lib: the library states no capacitive_load_unit"),
        ("(1, pf)", "(1, parsec)", r"x\.lib, line 8: capacitive_load_unit is \(1, parsec\)"),
        ('"1ns"', '"soon"', r"x\.lib, line 5: time_unit is 'soon'"),
        ("nom_voltage : 1.1;", "", r"x\.lib: the library states no nom_voltage.* add nom_voltage : 1\.1 ;"),
        ("nom_temperature : 27;", "", r"x\.lib: the library states no nom_temperature.* add nom_temperature : 27 ;"),
        ("nom_voltage : 1.1;", "nom_voltage : nan;", r"x\.lib, line 9: nom_voltage is no number"),
        ("area : 1.4079", "area : -1", r"x\.lib, line \d+: area of cell INV_X1 is negative"),
        ("area : 1.4079;", "", r"x\.lib, line \d+: cell INV_X1 has no area"),
        ("area : 1.4079", "area : 1e999", r"x\.lib, line \d+: area of cell INV_X1 is no number"),
        (
            "cell_rise (t)",
            "cell_rise (u)",
            r"x\.lib, line \d+: a table of .* uses template 'u', which the file does not",
        ),
        (
            'index_2 ("0.02, 0.1")',
            'index_2 ("0.1, 0.02")',
            r"x\.lib, line 11: a table of .* index_2 that does not rise",
        ),
        ('index_2 ("0.02, 0.1")', 'index_2 ("0.02")', r"has 4 values for 2 x 1 indices"),
        ('index_2 ("0.02, 0.1")', 'index_2 ("0.02, x")', r"a value that is no finite number"),
        ("input_net_transition", "phase_of_moon", r"has the variable 'phase_of_moon'"),
        (
            'function : "!A"',
            'function : "!Q"',
            r"cell INV_X1 has a function that cannot be read \('Q' is no input pin\)",
        ),
        ('function : "!A"', 'function : "!A)"', r"follows a complete function"),
        ('clocked_on : "CK"', 'clocked_on : "!CK"', r"no cell is a plain flip-flop with a rising clock edge"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(liberty, old, new, message):
    text = liberty()
    assert old in text
    with pytest.raises(CircuitError, match=message):
        read_liberty(text.replace(old, new), "x.lib")


@pytest.mark.parametrize("missing", ["INV", "NAND2", "NOR2"])
def test_needed_cells(liberty, missing):
    with pytest.raises(CircuitError, match=rf"x: no cell .*{'inverter' if missing == 'INV' else missing}"):
        read_liberty(liberty(*({"INV", "NAND2", "NOR2"} - {missing})), "x")


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("", 1, "begins with 'the end of the file'"),
        ("\n\nmodule x;", 3, "begins with 'module'"),
        ("library (x) {\n cell (a) {\n", 3, r"ends inside cell \(a\) of line 2"),
        ('library (x) {\n date : "never', 2, "a string that does not end"),
        ("library (x) {\n a (b c ;\n}", 2, r"has no '\)'"),
        ("library (x) {\n a b;\n}", 2, "where ':' or"),
        ("library (x) {\n a : : b;\n}", 2, "inside a value"),
        ("library (x) { }\n}", 2, "after the end of the library"),
        ("library (x) {" + "a () {" * 40, 1, "nests more than 32 groups"),
        ("library x", 1, r"where '\(' should be"),
        ("library (x) ; {}", 1, "should open library"),
    ],
)
def test_syntax_errors_name_the_line(text, line, problem):
    with pytest.raises(CircuitError, match=rf"^f\.lib, line {line}: .*{problem}"):
        parse(text, "f.lib")


def test_the_syntax_of_published_files():
    group = parse(
        'library("a b") {\n date : "1/2" /* no semicolon */\n// line comment\n voltage_map ( VDD , 1.1 ) ;\n'
        ' values ( "1, 2", \\\n "3, 4" );\n x : VDD - 0.2 ;\n cell (c) { area:1 }\n}\n',
        "x",
    )
    assert group.name == "a b"
    assert [(a.name, a.values, a.line) for a in group.attributes] == [
        ("date", ("1/2",), 2),
        ("voltage_map", ("VDD", "1.1"), 4),
        ("values", ("1, 2", "3, 4"), 5),
        ("x", ("VDD - 0.2",), 7),
    ]
    assert group.groups[0].text("area") == "1"


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    with pytest.raises(CircuitError, match="cannot read Liberty file"):
        load_liberty(tmp_path / "none.lib")
    monkeypatch.setattr("laxity.circuits.liberty.MAX_BYTES", 3)
    (tmp_path / "large.lib").write_text("library")
    with pytest.raises(CircuitError, match="give the Liberty file of one corner"):
        load_liberty(tmp_path / "large.lib")


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='library(x){}:;,"\\/* \nab1.', max_size=80))
def test_no_text_crashes_the_parser(text):
    for candidate in (text, "library (x) {" + text, "library (x) {" + text + "}"):
        try:
            parse(candidate, "f")
        except CircuitError as error:
            message = str(error)
        else:
            continue
        assert re.match(r"f, line \d+: ", message)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_damage_crashes_the_reader(liberty, data):
    text = liberty("INV", "NAND2", "NOR2")
    start = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(0, 40))
    filler = data.draw(st.text(alphabet='(){};:,"\\!^*+ 019.eAnan-', max_size=10))
    try:
        read_liberty(text[:start] + filler + text[start + length :], "f.lib")
    except CircuitError as error:
        message = str(error)
    else:
        return
    assert message.startswith("f.lib")


EXPRESSIONS = st.recursive(
    st.sampled_from(["A", "B", "C", "D", "0", "1"]).map(lambda x: (x, x)),
    lambda inner: st.one_of(
        inner.map(lambda e: (f"!({e[0]})", f"(1^{e[1]})")),
        inner.map(lambda e: (f"({e[0]})'", f"(1^{e[1]})")),
        st.tuples(inner, st.sampled_from(["+", "|", "*", "&", " ", "^"]), inner).map(
            lambda t: (f"({t[0][0]}){t[1]}({t[2][0]})", f"({t[0][1]}{PYTHON[t[1]]}{t[2][1]})")
        ),
    ),
    max_leaves=12,
)
PYTHON = {"+": "|", "|": "|", "*": "&", "&": "&", " ": "&", "^": "^"}


@settings(max_examples=150, deadline=None)
@given(EXPRESSIONS)
def test_functions_against_pythons_operators(expression):
    text, python = expression
    code = compile(python, "function", "eval")
    found = truth_table(text, "ABCD")
    for row in range(16):
        values = {pin: row >> place & 1 for place, pin in enumerate("ABCD")}
        assert found >> row & 1 == eval(code, values)


def test_precedence_of_operators():
    a, b, c = (truth_table(pin, "ABC") for pin in "ABC")
    assert truth_table("A+B C", "ABC") == a | b & c
    assert truth_table("A^B*C", "ABC") == (a ^ b) & c
    assert truth_table("!A B'", "ABC") == (a ^ 255) & (b ^ 255)
    assert truth_table("!A^B", "ABC") == (a ^ 255) ^ b


@pytest.mark.parametrize("text", ["", "A +", "(A", "A)", "A @ B", "E", "!" * 3, "(" * 5000 + "A" + ")" * 5000])
def test_bad_functions(text):
    with pytest.raises(FunctionError):
        truth_table(text, "ABC")
    with pytest.raises(FunctionError, match="at most 6"):
        truth_table("A", "ABCDEFG")


def test_permutations_of_a_multiplexer():
    table = truth_table("S*B + !S*A", "SAB")
    names = list(itertools.permutations("SAB"))
    assert permutations(table, 3) == {truth_table("S*B + !S*A", order) for order in names}


@settings(max_examples=40, deadline=None)
@given(st.floats(0.03, 0.39), st.floats(1.1, 7.9), st.booleans(), st.integers(0, 2**31))
def test_tables_against_scipy(slew, load, load_first, seed):
    slews, loads = [0.02, 0.1, 0.4], [1.0, 2.0, 5.0, 8.0]
    values = np.random.default_rng(seed).uniform(0, 1, (4, 3))
    axes = ["total_output_net_capacitance", "input_net_transition"]
    grid, indices = (values, [loads, slews]) if load_first else (values.T, [slews, loads])
    variables = axes if load_first else axes[::-1]
    text = "library (x) { lu_table_template (t) {"
    text += "".join(f" variable_{k} : {name};" for k, name in enumerate(variables, 1)) + " } cell_rise (t) {"
    text += "".join(f' index_{k} ("{", ".join(map(repr, i))}");' for k, i in enumerate(indices, 1))
    text += " values (" + ", ".join('"' + ", ".join(repr(float(v)) for v in row) + '"' for row in grid) + "); } }"
    template, table = parse(text, "x").groups
    line = line_at(table, {"t": template}, Point(slew, load))
    reference = RegularGridInterpolator((loads, slews), values)
    assert line.at_load == pytest.approx(float(reference((load, slew))), abs=1e-12)
    low = max(x for x in loads if x <= load)
    other = low + 0.25
    expected = float(reference((low, slew))) + line.slope * 0.25
    assert float(reference((other, slew))) == pytest.approx(expected, abs=1e-9)
