"""Damaged files of every format, and noise: an error that says so, or a multiplier; never a crash, never a hang."""

import io
import json
import random
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from laxity.circuits import catalogue, to_verilog
from laxity.circuits.importers import load, load_saved
from laxity.circuits.importers.imported import Imported
from laxity.core.errors import CircuitError, ToolError

EXAMPLES = {"verilog": 2800, "blif": 2400, "csv": 1900, "npy": 1400, "npz": 900, "raw": 400, "saved": 400}
"""Inputs for each format; 10,200 together."""

TABLE = catalogue.get("dadda3").table
OLD_STYLE = b"""/* two cells */ module ha(x, y, s, c); input x, y; output s, c;
  xor g0(s, x, y); and (c, x, y); endmodule
module m(A, B, O); input [1:0] A, B; output [3:0] O; wire [3:0] t; localparam K = 1; wire u, v, w;
  NAND2X1 n0(.A(A[0]), .B(B[0]), .Y(t[0])); assign O[0] = ~t[0];
  assign {t[1], t[2]} = {A[K] & B[0], A[0] & B[K]}; ha h(.x(t[1]), .y(t[2]), .s(O[1]), .c(u));
  assign v = A[1] & B[1], O[3:2] = {1'b0, v} + (u ? 2'd1 : 2'h0); endmodule
"""
BLIF = b""".model m
.inputs a[0] a[1] b[0] \\
 b[1]
.outputs p0 p1 p2 p3 # product
.names a[0] b[0] p0
11 1
.names a[1] b[0] a[0] b[1] p1
1101 1
1110 1
0-11 1
-011 1
.gate AND2X1 A=a[1] B=b[1] Y=k
.names k p0 p2
10 1
.names k p0 p3
0- 0
-0 0
.end
"""


def saved_bytes(writer, **arrays):
    buffer = io.BytesIO()
    writer(buffer, **arrays)
    return buffer.getvalue()


def plain_zip():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("t.npy", saved_bytes(np.save, arr=TABLE.astype("<u2")))
    return buffer.getvalue()


def text_of(rows):
    return "\n".join(",".join(map(str, row)) for row in rows).encode()


SEEDS = {
    "verilog": [
        to_verilog(catalogue.circuit("dadda2")).encode(),
        to_verilog(catalogue.circuit("dadda2s")).encode(),
        OLD_STYLE,
    ],
    "blif": [BLIF],
    "csv": [
        text_of(TABLE.tolist()),
        text_of([["a", "b", "p"], *([a, b, a * b] for a in range(-2, 2) for b in range(-2, 2))]),
        text_of([["", *range(4)], *([a, *(a * b for b in range(4))] for a in range(4))]),
    ],
    "npy": [saved_bytes(np.save, arr=TABLE.astype(t)) for t in ("<u2", ">i4", "<i8")],
    "npz": [saved_bytes(np.savez, x=TABLE), saved_bytes(np.savez_compressed, x=TABLE, y=TABLE.T), plain_zip()],
    "raw": [TABLE.astype("<u2").tobytes(), TABLE.astype(">u2").tobytes()],
}
PIECES = [
    *(b"( ) [ ] { } ; : , = ~ & | ^ ? + - * ' ` \\ # @ ! << 1'b 4'hx 99999999999 -1 [9:0] [0:9] 0x -0 1e9".split()),
    *(b"module endmodule input output wire assign and FAX1 reg localparam .a( /* */ // (* {4{a}} a n2".split()),
    *(b".names .end .model .latch .gate .inputs 11 1- nan inf '<f8' '|O' (9,9) \xff \x00 \x93NUMPY PK\x03\x04".split()),
    b"\n",
    b" ",
    b"9" * 30,
    b"(" * 200,
    b"~" * 200,
    b"{" * 200,
    b"{99999{1'b1}}",
]

EDITS = ("insert", "replace", "delete", "repeat", "move", "cut")


def damaged(content, rng):
    """Apply up to six edits at random places."""
    for _ in range(rng.randrange(7)):
        at, kind, length = rng.randrange(len(content) + 1), rng.choice(EDITS), rng.randrange(1, 40)
        piece = rng.choice(PIECES) if rng.random() < 0.7 else rng.randbytes(rng.randrange(8))
        part = content[at : at + length]
        if kind == "insert":
            content = content[:at] + piece + content[at:]
        elif kind == "replace":
            content = content[:at] + piece + content[at + len(piece) :]
        elif kind == "delete":
            content = content[:at] + content[at + length :]
        elif kind == "repeat":
            content = content[:at] + part * 3 + content[at:]
        elif kind == "move":
            content = part + content[:at] + content[at + length :]
        else:
            content = content[:at]
    return content


def noise(kind):
    """Damaged files mostly, heaps of their pieces, and bytes."""

    def content(rng):
        style = rng.random()
        if style < 0.8:
            return damaged(rng.choice(SEEDS[kind]), rng)
        if style < 0.95:
            return b" ".join(rng.choice(PIECES) for _ in range(rng.randrange(20)))
        return rng.randbytes(rng.randrange(300))

    return st.integers(0, 2**48).map(lambda seed: content(random.Random(seed)))


def fuzz(kind, check, content):
    """Run `check` on as many contents as the format gets; returns how many there were."""
    seen = 0

    @settings(
        max_examples=EXAMPLES[kind],
        deadline=2000,  # ms: parsers are linear and sizes are limited, so nothing takes long
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(content)
    def run(case):
        nonlocal seen
        seen += 1
        check(case)

    run()
    return seen


@pytest.fixture(autouse=True)
def _no_yosys(monkeypatch):
    def missing(program):
        raise ToolError(f"{program} is missing")

    monkeypatch.setattr("laxity.circuits.importers.yosys_netlist.find", missing)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SEEDS)
def test_damaged_files(kind, tmp_path):
    path = tmp_path / "file"
    taken: list[bytes] = []
    said: set[str] = set()

    def check(case):
        path.write_bytes(case)
        try:
            imported = load(path, format=kind, compare=False)
        except (CircuitError, ToolError) as error:
            said.add(str(error))
            return
        taken.append(case)
        assert isinstance(imported, Imported)
        json.dumps(imported.to_json())

    assert fuzz(kind, check, noise(kind)) >= EXAMPLES[kind]
    assert taken  # some damage leaves a multiplier
    assert len(said) > 5
    assert all(message.isprintable() for message in said)


@pytest.mark.slow
def test_damaged_circuits_that_were_kept(tmp_path):
    (tmp_path / "m.v").write_bytes(SEEDS["verilog"][0])
    imported = load(tmp_path / "m.v", compare=False)
    path = imported.save(tmp_path / "kept")
    whole = path.read_bytes()

    def check(seed):
        path.write_bytes(damaged(whole, random.Random(seed)))
        try:
            back = load_saved(tmp_path / "kept", imported.key)
        except CircuitError:
            return
        assert back.key == imported.key
        assert back.multiplier == imported.multiplier

    assert fuzz("saved", check, st.integers(0, 2**48)) >= EXAMPLES["saved"]


def test_enough_inputs():
    assert sum(EXAMPLES.values()) >= 10_000
