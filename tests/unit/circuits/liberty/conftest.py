"""A Liberty file written from the built-in cell table: reading it must give the table back."""

import pytest

from laxity.circuits import default_library
from laxity.circuits.cells import Cell

FUNCTIONS = {
    "INV": ("!A",),
    "BUF": ("A",),
    "AND2": ("A B",),
    "OR2": ("A+B",),
    "NAND2": ("(A*B)'",),
    "NAND3": ("!(A & B & C)",),
    "NOR2": ("!(A|B)",),
    "NOR3": ("!(A+B+C)",),
    "XOR2": ("A^B",),
    "XNOR2": ("!(A^B)",),
    "AOI21": ("!((A B)+C)",),
    "AOI22": ("!((C D)+(A B))",),
    "OAI21": ("!((A+B) C)",),
    "MUX2": ("!((A C) + (!A B))",),
    "HA": ("A^B", "A B"),
    "FA": ("(A^B)^C", "((A B)+(B C))+(C A)"),
}

HEAD = """/* written by
 a test */
library (made) {
  delay_model : table_lookup;
  time_unit : "1ns" ;
  voltage_unit : "1V";
  leakage_power_unit : "1nW"
  capacitive_load_unit (1, pf);
  nom_voltage : 1.1; nom_temperature : 27;
  lu_table_template (t) { variable_1 : total_output_net_capacitance; variable_2 : input_net_transition;
    index_1 ("0.001, 0.01"); index_2 ("0.02, 0.1"); }
  power_lut_template (e) { variable_1 : input_transition_time; index_1 ("0.06, 0.5"); }
"""

FLIP_FLOP = """
  cell (DFF) { area : 7.9781; cell_leakage_power : 55;
    ff (IQ, IQN) { next_state : "D"; clocked_on : "CK"; }
    pin (CK) { direction : input; capacitance : 0.00822; clock : true;
      internal_power () { rise_power (e) { values ("0.0065, 1"); } fall_power (e) { values ("0.010, 1"); } } }
    pin (D) { direction : input; capacitance : 0.001; }
    pin (Q) { direction : output; function : "IQ"; }
  }
"""


def straight(edge: str, figures: Cell, place: int, factor: float) -> str:
    """A table of delays in nanoseconds: a line over the load, the same for both slews."""
    d0, slope = figures.delay_ps[place], figures.resistance_ps_per_ff[place]
    delays = [(d0 + slope * load) / 1000 * factor for load in (1, 10)]
    rows = ", \\\n  ".join(f'"{delay!r}, {delay!r}"' for delay in delays)
    return f"cell_{edge} (t) {{ values ( \\\n {rows}); }}"


def cell_text(name: str, figures: Cell) -> str:
    """Delays that are straight lines over the load, 20 % apart in rise and fall, and do not depend on the slew."""
    pins = "".join(
        f"    pin ({pin}) {{ direction : input; capacitance : {figures.input_capacitance_ff / 1000}; }}\n"
        for pin in "ABCD"[: {"INV": 1, "BUF": 1, "AOI22": 4}.get(name, 2 + (name in THREE))]
    )
    for place, function in enumerate(FUNCTIONS[name]):
        rise, fall = (straight(kind, figures, place, factor) for kind, factor in (("rise", 1.2), ("fall", 0.8)))
        energy = f'values ("{figures.internal_energy_fj[place] / 1000}");'
        pins += f'    pin (Y{place}) {{ direction : output; function : "{function}";\n'
        pins += f"      timing () {{ {rise}\n {fall} }}\n      internal_power () {{\n"
        pins += f"        rise_power (scalar) {{ {energy} }} fall_power (scalar) {{ {energy} }} }} }}\n"
    head = f"  cell ({name}_X1) {{\n    area : {figures.area_um2}; cell_leakage_power : {figures.leakage_nw};\n"
    return head + pins + "  }\n"


THREE = ("NAND3", "NOR3", "AOI21", "OAI21", "MUX2", "FA")


@pytest.fixture(scope="session")
def liberty():
    """Write a Liberty file with the named cells of the built-in table; all of them if none are named."""

    def write(*names: str, flip_flop: str = FLIP_FLOP, head: str = HEAD) -> str:
        cells = default_library().cells
        return head + "".join(cell_text(name, cells[name]) for name in names or FUNCTIONS) + flip_flop + "}\n"

    return write
