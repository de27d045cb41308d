"""Gate-level Verilog: the language's meaning, netlists of laxity itself, and every way of being wrong."""

import numpy as np
import pytest

from laxity.circuits import catalogue, evaluate, to_verilog
from laxity.circuits.importers import load, load_circuit
from laxity.circuits.simulate import settle
from laxity.core.errors import CircuitError, ToolError


@pytest.fixture(autouse=True)
def _no_yosys(monkeypatch):
    """Everything here is read without a tool."""

    def missing(program):
        raise ToolError(f"{program} is missing")

    monkeypatch.setattr("laxity.circuits.importers.yosys_netlist.find", missing)


def read(tmp_path, text, **options):
    path = tmp_path / "m.v"
    path.write_text(text)
    return load_circuit(path, **options)


def module(body, ports="input [3:0] a, input [2:0] b, output [7:0] p"):
    return f"module m({ports});\n{body}\nendmodule\n"


A, B = (grid.ravel() for grid in np.meshgrid(np.arange(16), np.arange(8), indexing="ij"))

EXPRESSIONS = {
    "a & b": A & B,
    "a | b ^ a & b": A | (B ^ (A & B)),
    "~a": ~A & 255,
    "~(a & b)": ~(A & B) & 255,
    "~(a | b)": ~(A | B) & 255,
    "~(a ^ b)": ~(A ^ B) & 255,
    "a ~^ b": ~(A ^ B) & 255,
    "~(a & b | {4{b[0]}} & a)": ~((A & B) | (A & -(B & 1) & 15)) & 255,
    "~((a | b) & 4'b0101)": ~((A | B) & 5) & 255,
    "{a, b}": A << 3 | B,
    "{2{b}}": B << 3 | B,
    "{a[1:0], 1'b1, a[3]}": (A & 3) << 2 | 2 | A >> 3,
    "a[3:1]": A >> 1,
    "a + b": A + B,
    "a - b": (A - B) & 255,
    "-a": -A & 255,
    "{a + b}": (A + B) & 15,
    "a + b + 1": A + B + 1,
    "a[0] ? b : a": np.where(A & 1, B, A),
    "a[0] ? b : a[1] ? 8'hA5 : {a, a}": np.where(A & 1, B, np.where(A & 2, 0xA5, A << 4 | A)),
    "~(a[0] ? b : a)": ~np.where(A & 1, B, A) & 255,
    "a ? 1 : 2": np.where(A > 0, 1, 2),
    "&a": A == 15,
    "~|a": A == 0,
    "^a": (A ^ A >> 1 ^ A >> 2 ^ A >> 3) & 1,
    "~^b": 1 - ((B ^ B >> 1 ^ B >> 2) & 1),
    "!a": A == 0,
    "!(a[0] & b[0])": 1 - (A & B & 1),
    "a && b": (A > 0) & (B > 0),
    "a || b": (A > 0) | (B > 0),
    "a == b": A == B,
    "a != {1'b0, b}": A != B,
    "a << 2": A << 2,
    "(a << 2) >> 3": A << 2 >> 3,
    "a >> 1": A >> 1,
    "a & b == b": A & (B == B),
    "1'b1 ^ a[0] & b[0] | b[1]": (1 ^ (A & B & 1)) | (B >> 1 & 1),
    "8'd200": 200,
    "'o17": 15,
    "12'hfff": 255,
}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expressions_mean_what_verilog_says(expression, tmp_path):
    circuit = read(tmp_path, module(f"assign p = {expression};"))
    found = evaluate(circuit, {"a": A, "b": B})["p"]
    np.testing.assert_array_equal(found, np.broadcast_to(EXPRESSIONS[expression], A.shape).astype(int))


@pytest.mark.parametrize(
    "name", [*catalogue.names(4), *catalogue.names(4, signed=True), "dadda8", "drum8_4", "udm8", "mitchell8s"]
)
def test_netlists_of_the_catalogue_come_back(name, tmp_path):
    circuit = catalogue.circuit(name)
    path = tmp_path / "m.v"
    path.write_text(to_verilog(circuit))
    imported = load(path, compare=False)
    assert imported.multiplier == catalogue.get(name)
    if name.startswith(("array", "dadda")):
        assert imported.circuit.cells() == circuit.cells()


def test_old_style_ports_primitives_and_hierarchy(tmp_path):
    text = """
    `timescale 1ns/1ps
    module ha(x, y, s, c); input x, y; output s, c; xor (s, x, y); and g1(c, x, y); endmodule
    (* top *) module \\mul$1 (A, B, O);
      input [1:0] A, B;
      output [3:0] O;
      wire t0, t1, t2, t3, k;
      localparam LO = 0, HI = LO + 1;
      nand n0(t0, A[LO], B[LO]), n1(t1, A[1], B[0]);
      and  n2(t2, A[LO], B[HI]);
      and  (t3, A[1], B[1]);
      not  (O[0], t0), (u, t1); // u is an implicit wire
      ha h1(.x(u), .y(t2), .s(O[1]), .c(k));
      ha h2(t3, k, O[2], O[3]);
    endmodule
    """
    circuit = read(tmp_path, text)
    assert circuit.cells()["HA"] == 2
    np.testing.assert_array_equal(evaluate(circuit, {"A": A & 3, "B": B & 3})["O"], (A & 3) * (B & 3))


def test_library_cells(tmp_path):
    ports = "input a, input b, input c, input d, output [11:0] p"
    body = """
    NAND2X1 g0(.A(a), .B(b), .Y(p[0]));      NOR3X1 g1(.A(a), .B(b), .C(c), .Y(p[1]));
    AOI21X1 g2(.A(a), .B(b), .C(c), .Y(p[2]));  OAI21_X1 g3(.A(c), .B1(a), .B2(b), .ZN(p[3]));
    MUX2X1 g4(.S(c), .A(a), .B(b), .Y(p[4]));   MUX2_X2 g5(.S(c), .A(a), .B(b), .Z(p[5]));
    FAX1 g6(.A(a), .B(b), .C(c), .YS(p[6]), .YC(p[7]));  HA_X1 g7(.A(a), .B(d), .S(p[8]), .CO());
    AOI22X1 g8(.A(a), .B(b), .C(c), .D(d), .Y(p[9]));  INVX8 g9(.A(d), .Y(p[10]));
    PDKGENBUFX2 g10(.A(d), .Y(p[11]));
    """
    circuit = read(tmp_path, module(body, ports))
    bits = np.arange(16)
    a, b, c, d = (bits >> i & 1 for i in range(4))
    p = evaluate(circuit, {"a": a, "b": b, "c": c, "d": d})["p"]
    expected = [
        1 - a * b,
        1 - (a | b | c),
        1 - (a & b | c),
        1 - ((a | b) & c),
        1 - np.where(c, a, b),
        np.where(c, b, a),
        a ^ b ^ c,
        a + b + c >> 1,
        a ^ d,
        1 - (a & b | c & d),
        1 - d,
        d,
    ]
    for bit, values in enumerate(expected):
        np.testing.assert_array_equal(p >> bit & 1, values, err_msg=str(bit))
    assert circuit.cells()["FA"] == 1
    assert circuit.cells()["BUF"] == 1


def test_adders_are_found_among_gates_and_keep_their_function(tmp_path):
    body = """wire h = a[0] ^ a[1], g = a[0] & a[1], s = h ^ b[0], k = b[0] & h;
    assign p = {5'b0, s & b[1], g | k, s};"""
    circuit = read(tmp_path, module(body))
    assert circuit.cells() == {"AND2": 1, "FA": 1}
    total = (A & 1) + (A >> 1 & 1) + (B & 1)
    np.testing.assert_array_equal(evaluate(circuit, {"a": A, "b": B})["p"], total | (total & B >> 1 & 1) << 2)
    read_between = read(tmp_path, module(body.replace("5'b0", "{4'b0, g}")))
    assert "FA" not in read_between.cells()


def test_the_top_module_is_found_or_asked_for(tmp_path):
    two = module("assign p = a;") + module("assign p = b;").replace("module m", "module n")
    assert read(tmp_path, two).name == "m"  # named like the file
    assert read(tmp_path, two, top="n").name == "n"
    (tmp_path / "two.v").write_text(two)
    with pytest.raises(CircuitError, match=r"two\.v has 2 modules: 'm', 'n'; name one with --top"):
        load_circuit(tmp_path / "two.v")


BAD = {
    "cut in the middle": ("module m(input a, output p);\n assign p = a &", r"m\.v:2: .*truncated"),
    "no endmodule": ("module m(input a, output p);\n assign p = a;\n", r"m\.v:3: .*truncated"),
    "open comment": ("module m;\n/* x", r"m\.v:2: '/\*' is not closed"),
    "no module": ("// nothing\n", "has no module"),
    "other text": ("hello world", r"m\.v:1: expected 'module'"),
    "cycle": (module("wire x, y;\nassign x = y & a[0];\nassign y = x;\nassign p = x;"), "combinational loop through"),
    "own output": (module("assign p = p;"), "combinational loop through 'p"),
    "latch of gates": (module("wire q, r; nor (q, r, a[0]); nor (r, q, b[0]); assign p = q;"), "latches and feedback"),
    "two drivers": (module("assign p = a;\nassign p[1] = b[0];"), r"m\.v:3: 'p\[1\]' is driven again, first at line 2"),
    "driven input": (module("assign p = a;\nassign a[0] = 1'b1;"), r"m\.v:3: the input 'a\[0\]' is driven"),
    "undriven output": (module("assign p[6:0] = a;"), r"nothing drives 'p\[7\]'.*unknown \(x\)"),
    "undriven wire": (
        module("wire [1:0] w;\nassign w[0] = a[0];\nassign p = w & b;"),
        r"m\.v:4: nothing drives 'w\[1\]'",
    ),
    "misspelt wire": (module("wire sum = a[0];\nassign p = smu;"), r"m\.v:3: nothing drives 'smu'"),
    "unknown constant": (module("assign p = 8'b0000_00x0;"), r"m\.v:2: 8'b0000_00x0 has unknown or open bits"),
    "out of range": (module("assign p = a[4];"), r"m\.v:2: a\[4:4\] does not lie in its range, \[3:0\]"),
    "turned range": (module("assign p = a[0:1];"), "does not lie in its range"),
    "width of a pin": (module("and (p[0], a, b[0]);"), r"m\.v:2: 4 bits at a pin of one bit"),
    "width of a port": (
        module("n u(.x(b), .y(p));") + "module n(input [3:0] x, output [7:0] y); assign y = x; endmodule",
        r"m\.v:2: 3 bits are connected to a port of 4 bits",
    ),
    "unknown port": (
        module("n u(.z(b), .y(p));") + "module n(input [2:0] x, output [7:0] y); assign y = x; endmodule",
        r"m\.v:2: 'n' has no port 'z'; its ports are x, y",
    ),
    "too many connections": (
        module("n u(b, p, a);") + "module n(input [2:0] x, output [7:0] y); assign y = x; endmodule",
        "3 connections for the 2 ports",
    ),
    "unknown pin": (
        module("NAND2X1 u(.A(a[0]), .B(b[0]), .Z(p[0]));"),
        r"NAND2X1 has no pin 'Z'; its pins are A, B, Y",
    ),
    "open pin": (module("NAND2X1 u(.A(a[0]), .Y(p[0]));"), "pin 'B' of 'NAND2X1' is not connected"),
    "cell by position": (module("NAND2X1 u(a[0], b[0], p[0]);"), "by name"),
    "flip-flop": (module("DFFPOSX1 u(.D(a[0]), .Q(p[0]));"), r"m\.v:2: DFFPOSX1 stores"),
    "contains itself": (module("m u(.a(a), .b(b), .p(p));"), "contains itself"),
    "port without direction": ("module m(a);\nendmodule", r"m\.v:1: port 'a' has no direction"),
    "declared twice": (module("wire x;\nwire x;\nassign p = a;"), r"m\.v:3: 'x' is declared again, first at line 2"),
    "module twice": (module("assign p = a;") * 2, r"m\.v:4: module 'm' is defined again"),
    "inout": ("module m(inout a); endmodule", "inout ports cannot be imported"),
    "wide vector": (module("wire [99999:0] x;\nassign p = a;"), "at most 65536 bits"),
    "many wires": (module("".join(f"wire [65535:0] x{i};" for i in range(20)) + "assign p = a;"), "more than 1000000"),
    "wide repetition": (module("assign p = {65536{a}};"), "262144 bits; at most 65536"),
    "many bits": (module("assign p[0] = " + "^".join(["^{9999{a}}"] * 500) + ";"), "more than 10000000 bits"),
    "deep nesting": (module(f"assign p = {'(' * 5000}a{')' * 5000};"), "nested deeper than 60"),
    "operators in a row": (module(f"assign p = {'~' * 5000}a;"), "more than 60 operators"),
    "assigned expression": (module("assign a & b = p;"), "can be assigned"),
    "odd character": (module("assign p = a \x07;"), r"m\.v:2: unexpected character '\\\\x07'"),
    "target in parts": (module("assign {p, 2{a}} = b;"), "expected"),
    "many ports": (f"module m({','.join(f'p{i}' for i in range(5000))}); endmodule", "more than 4096 ports"),
    "include": ('\n`include "x.v"\n' + module("assign p = a;"), r"m\.v:2: '`include' reaches outside the file"),
    "foreign function": (module('import "DPI-C" function int f();\nassign p = f();'), "'DPI' reaches outside"),
    "file of numbers": (module('reg [7:0] x [3:0];\ninitial $readmemh("f", x);'), r"m\.v:3: .*readmemh.* reaches"),
    "huge index": (module("assign p = a[99999999];"), "beyond 16777216"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_netlists_are_refused_with_file_and_line(case, tmp_path):
    text, message = BAD[case]
    with pytest.raises(CircuitError, match=message) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith("m.v")


@pytest.mark.parametrize("operator", ["&", "|", "^", "~&", "~|", "~^"])
def test_wide_reductions_take_no_quadratic_time(operator, tmp_path):
    circuit = read(tmp_path, f"module m(input [9999:0] a, output p); assign p = {operator}a; endmodule")
    port = circuit.inputs[0]
    rows = {"zero": 0, "one": 1, "all": (1 << port.width) - 1, "all but one": (1 << port.width) - 2}
    planes = np.array(
        [[sum((value >> i & 1) << k for k, value in enumerate(rows.values()))] for i in range(port.width)]
    )
    p = int(settle(circuit, {"a": planes.astype(np.uint64)})[circuit.port("p").nets[0]][0])
    ones = [value.bit_count() for value in rows.values()]
    plain = [{"&": n == 10_000, "|": n > 0, "^": n % 2 == 1}[operator[-1]] for n in ones]
    assert [bool(p >> k & 1) for k in range(4)] == [v != operator.startswith("~") for v in plain]


def test_hierarchy_that_grows_without_end(tmp_path):
    levels = "".join(f"module m{i}(input a); m{i + 1} x(a), y(a), z(a), w(a); endmodule\n" for i in range(40))
    text = module("m0 u(a[0]); assign p = a;") + levels + "module m40(input a); endmodule"
    with pytest.raises(CircuitError, match="more than"):
        read(tmp_path, text)


def test_long_chains_are_no_recursion_and_gates_are_limited(tmp_path, monkeypatch):
    body = "wire w0 = a[0];" + "".join(f"wire w{i} = w{i - 1} ^ a[1];\n" for i in range(1, 5000))
    text = module(f"{body} assign p = w4999;")
    circuit = read(tmp_path, text)
    np.testing.assert_array_equal(evaluate(circuit, {"a": A, "b": B})["p"], (A & 1) ^ (A >> 1 & 1))
    monkeypatch.setattr("laxity.circuits.importers.graph.MAX_DRIVERS", 5000)
    with pytest.raises(CircuitError, match="more than 5000 gates"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (module("assign p = a * b;"), r"m\.v:2: the operator '\*'"),
        (module("reg x;\nassign p = a;"), "'reg'"),
        (module("always @* p = a;"), "'always'"),
        (module("assign p = $signed(a);"), "'\\$'"),
        (module("assign p = f(a);"), "function call"),
        (module("assign p = a[b];"), "not a plain number"),
        (module("other u(a, p);"), "neither a module of this file nor a known cell"),
    ],
)
def test_what_is_beyond_gates_needs_yosys(text, what, tmp_path):
    with pytest.raises(ToolError, match="yosys is missing") as caught:
        read(tmp_path, text)
    assert caught.value.exit_code == 4
    assert __import__("re").search(what, str(caught.value.__context__))
