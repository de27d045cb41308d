"""The generated Verilog: synthesisable, without latches, lint-clean; elements and instructions against Python."""

import json
import re
import subprocess

import numpy as np
import pytest

from laxity.circuits import get
from laxity.eda import tools
from laxity.eda.yosys import yosys
from laxity.rtl.accelerator import Configuration, make_schedule, write_accelerator
from laxity.rtl.accelerator.configuration import DATAFLOWS
from laxity.rtl.accelerator.verilog import design

needs_iverilog = pytest.mark.skipif(tools.available("iverilog") is None, reason="iverilog is not installed")
needs_yosys = pytest.mark.skipif(tools.available("yosys") is None, reason="yosys is not installed")


@pytest.fixture(scope="module", params=DATAFLOWS)
def written(lab, request, tmp_path_factory):
    """An accelerator with every optional part: two cores, shifts, wrapped sums, weights with zero-points, additions."""
    b = lab.Builder(1, (3, 5, 5), type(lab.SUMS)(1.0, 1, 0, 7))
    b.product(4, "drum8_4", (3, 3), shifts=(5, 3), zeros=True, before=(1, 1), after=(1, 1))
    first = b.last
    b.product(4, "mitchell8", (1, 1), register=lab.Register(14, "ripple"))
    b.add(first, b.last)
    b.pool("average", 2, 2, 0)
    b.product(3, "drum8_4", (1, 1), code=lab.SUMS)
    folder = tmp_path_factory.mktemp("accelerator")
    found = write_accelerator(b.program, b.used, Configuration(4, 8, request.param), folder, b.inputs(1))
    return b, folder, found


def test_files(written):
    _, folder, found = written
    names = {str(p.relative_to(folder)) for p in found.files}
    assert all((folder / n).is_file() for n in names)
    assert {"rtl/accelerator.v", "rtl/pe.v", "memory/program.hex", "bench/bench.v", "README.txt"} <= names
    for path in (folder / "rtl").glob("*.v"):
        text = path.read_text()
        modules = re.findall(r"^module (\w+)", text, re.M)
        assert len(set(modules)) == 1, "one module per file"
        assert "@" not in re.sub(r"@\(|@\*|@ ?posedge", "", text), path.name
        assert text.startswith("//"), "a comment says what it is"
        assert max(map(len, text.splitlines())) <= 120 or path.name.startswith("core_")


def test_instructions_hold_the_passes(written):
    """Fields read back from the image by the bit ranges that the Verilog states."""
    b, folder, found = written
    text = (folder / "rtl" / "descriptor.v").read_text()
    table = re.findall(r"^//\s+(\d+)(?::(\d+))?\s+(\w+)  (.*)$", text, re.M)
    words = [int(w, 16) for w in (folder / "memory" / "program.hex").read_text().split()]
    assert len(words) == len(found.schedule.passes)
    descriptor = design(found.schedule, b.used).descriptor
    signed = {f.name for f in descriptor.fields if f.signed}
    address = descriptor.wire_bits("base")
    for word, one in zip(words, found.schedule.passes, strict=True):
        for top, low, name, meaning in table:
            bits = int(top) - int(low or top) + 1
            value = word >> int(low or top) & ((1 << bits) - 1)
            if name in signed and value >> (bits - 1):
                value -= 1 << bits
            value += "(less one)" in meaning
            wanted = getattr(one, name)
            same = value == wanted if bits != address else (value - wanted) % (1 << address) == 0
            assert same, name


@needs_yosys
def test_yosys_finds_no_latch_and_no_undriven_wire(written):
    _, folder, _ = written
    files = {p.name: p.read_bytes() for p in [*(folder / "rtl").glob("*.v"), *(folder / "memory").glob("*.hex")]}
    sources = " ".join(sorted(n for n in files if n.endswith(".v")))
    script = (
        f"read_verilog -defer {sources}\nhierarchy -check -top accelerator\nproc\nopt_clean\ncheck -assert\n"
        "select -assert-none t:$dlatch t:$_DLATCH_*_ t:$sr t:$adlatch t:$dlatchsr\n"
        "write_json design.json\n"
    )
    document = json.loads(yosys(script, files, ["design.json"]).outputs["design.json"])
    modules = document["modules"]
    instances = [c["type"] for m in modules.values() for c in m["cells"].values()]
    assert sum(bool(re.search(r"\\pe(\\|$)", t)) for t in instances) == 4 * 8


def test_another_parser_reads_it_as_systemverilog(written):
    """Names are no keywords of the later standard, as which many tools read files."""
    pyslang = pytest.importorskip("pyslang")
    _, folder, _ = written
    for path in sorted((folder / "rtl").glob("*.v")):
        tree = pyslang.syntax.SyntaxTree.fromFile(str(path))
        assert not [str(d.code) for d in tree.diagnostics if d.isError()], path.name


@needs_iverilog
@pytest.mark.parametrize("name", ["dadda8", "drum8_4", "mitchell8s", "coltrunc8_6"])
def test_elements_multiply_as_the_table_says(lab, name, tmp_path):
    """A few thousand operand pairs through one processing element, its netlist inside."""
    b = lab.Builder(0, (2, 1, 1), type(lab.SUMS)(1.0, 0, -128, 127))
    b.product(2, name, (1, 1), code=lab.SUMS)
    write_accelerator(b.program, b.used, Configuration(2, 2), tmp_path, b.inputs(1))
    multiplier = get(name)
    rng = np.random.default_rng(0)
    a, w = (rng.integers(-128, 128, 3000) for _ in range(2))
    before = rng.integers(-50000, 50000, 3000)
    planned = design(make_schedule(b.program, b.used, Configuration(2, 2)), b.used).parameters
    lines = []
    for x, y, s in zip(a.tolist(), w.tolist(), before.tolist(), strict=True):
        operands = [(v % 256, 0) if multiplier.a_signed else (abs(v), int(v < 0)) for v in (x, y)]
        product = int(multiplier.table[operands[0][0], operands[1][0]])
        total = s + (-product if operands[0][1] ^ operands[1][1] else product)
        words = [sign << 8 | bits for bits, sign in operands] + [v & (1 << planned["SUM_BITS"]) - 1 for v in (s, total)]
        lines.append(" ".join(f"{v:x}" for v in words))
    (tmp_path / "pairs.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "tb.v").write_text(_ELEMENT_BENCH.format(bits=planned["SUM_BITS"], product=planned["PRODUCT_BITS"]))
    sources = [f"rtl/{n}" for n in ("pe.v", "product.v", f"core_{multiplier.circuit.name}.v")]
    build = ["iverilog", "-g2005", "-Wall", "-o", "tb", *sources, "tb.v"]
    compiled = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert not compiled.stderr
    said = subprocess.run(["vvp", "tb"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60).stdout
    assert said == "3000 pairs, 0 wrong\n"


_ELEMENT_BENCH = """
module tb;
  reg clk = 0, load = 0, swap = 0;
  reg [8:0] a, w;
  reg [{bits}-1:0] before, expected;
  wire [{bits}-1:0] after;
  integer file, code, pairs, wrong;
  pe #(.A_BITS(8), .W_BITS(8), .PRODUCT_BITS({product}), .SUM_BITS({bits}), .SELECT_BITS(1)) dut (
    .clk(clk), .select(1'b0), .load_in(load), .swap_in(swap), .a_in(a), .w_in(w), .sum_in(before),
    .load_out(), .swap_out(), .a_out(), .sum_out(after));
  initial begin
    pairs = 0;
    wrong = 0;
    file = $fopen("pairs.txt", "r");
    code = $fscanf(file, "%h %h %h %h", a, w, before, expected);
    while (code == 4) begin
      load = 1; #5 clk = 1; #5 clk = 0;
      load = 0; swap = 1; #5 clk = 1; #5 clk = 0;
      swap = 0; #5 clk = 1; #5 clk = 0;
      pairs = pairs + 1;
      if (after !== expected) wrong = wrong + 1;
      code = $fscanf(file, "%h %h %h %h", a, w, before, expected);
    end
    $display("%0d pairs, %0d wrong", pairs, wrong);
    $finish;
  end
endmodule
"""
