"""Verilog of a multiplier with a self-checking test bench and exhaustive vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from laxity.circuits.catalogue import require_circuit
from laxity.circuits.multiplier import Multiplier
from laxity.circuits.netlist import Circuit
from laxity.circuits.verilog import identifier, to_verilog
from laxity.core.serial import write_atomic

_BENCH = """// Self-checking test bench of {name}: every operand pair against the product table {sha}.
// Run it in the folder that holds vectors/, for example:
//   iverilog -g2005 -o tb_{name} {name}.v tb_{name}.v && ./tb_{name}
module tb_{name};
  reg [{word_top}:0] vectors [0:{last}];
  reg [{a_top}:0] a;
  reg [{b_top}:0] b;
  reg [{p_top}:0] expected;
  wire [{p_top}:0] p;
  integer index;
  integer errors;

  {module} dut (.a(a), .b(b), .p(p));

  initial begin
    errors = 0;
    $readmemh("vectors/{name}.hex", vectors);
    for (index = 0; index <= {last}; index = index + 1) begin
      {{a, b, expected}} = vectors[index];
      #10;
      if (p !== expected) begin
        errors = errors + 1;
        if (errors <= 10) $display("a=%h b=%h: p=%h, expected %h", a, b, p, expected);
      end
    end
    if (errors == 0) $display("PASS {name}: %0d vectors", {count});
    else $display("FAIL {name}: %0d of %0d vectors", errors, {count});
    $finish;
  end
endmodule
"""


def write_rtl(multiplier: Multiplier, folder: Path) -> list[Path]:
    """Write ``<name>.v``, ``tb_<name>.v`` and ``vectors/<name>.hex`` into `folder`.

    The vector file has one line for each operand pair: a, b and the expected product of the table, concatenated to one
    hexadecimal word. So the test bench checks the Verilog against the table, not against the netlist.

    Returns:
        The three paths.

    Raises:
        CircuitError: the multiplier has no netlist.
        RunError: the folder cannot be written.
    """
    circuit = require_circuit(multiplier)
    name = circuit.name
    files = {
        folder / f"{name}.v": to_verilog(circuit),
        folder / f"tb_{name}.v": bench_text(multiplier, circuit),
        folder / "vectors" / f"{name}.hex": vector_lines(multiplier, circuit.port("p").width),
    }
    for path, text in files.items():
        write_atomic(path, text)
    return list(files)


def bench_text(multiplier: Multiplier, circuit: Circuit) -> str:
    """Verilog-2005 test bench that reads the vectors and prints PASS or FAIL."""
    count = multiplier.table.size
    a_bits, b_bits, p_bits = multiplier.a_bits, multiplier.b_bits, circuit.port("p").width
    return _BENCH.format(
        name=circuit.name,
        module=identifier(circuit.name),
        sha=multiplier.table_sha256[:16],
        word_top=a_bits + b_bits + p_bits - 1,
        a_top=a_bits - 1,
        b_top=b_bits - 1,
        p_top=p_bits - 1,
        last=count - 1,
        count=count,
    )


def vector_lines(multiplier: Multiplier, product_bits: int) -> str:
    """Hexadecimal words {a, b, product}, one line for each operand pair, products in two's complement."""
    pairs = np.arange(multiplier.table.size, dtype=np.int64)
    products = multiplier.table.ravel() & ((1 << product_bits) - 1)
    words = (pairs << product_bits) | products
    digits = -(-(multiplier.a_bits + multiplier.b_bits + product_bits) // 4)
    return "".join(f"{word:0{digits}x}\n" for word in words.tolist())
