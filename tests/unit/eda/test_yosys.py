"""The real Yosys: results, errors with the user's file and line, limits, and what it may read."""

import pytest

from laxity.eda.run import ToolInputError, ToolRunError
from laxity.eda.tools import available
from laxity.eda.yosys import cell_counts, read_netlist, yosys

GOOD = b"module top(input [3:0] a, input [3:0] b, output [4:0] y); assign y = a + b; endmodule\n"
SCRIPT = "read_verilog in.v\nhierarchy -check -top top\nsynth -flatten -top top\nwrite_json out.json\n"
HOSTILE = "evil; rm -rf $(x) 'y' \".v"


@pytest.fixture(scope="module", autouse=True)
def installed():
    tool = available("yosys")
    if tool is None:
        pytest.skip("no yosys; pip install 'laxity[rtl]'")
    return tool


def synthesise(content, **options):
    return yosys(SCRIPT, {"in.v": content}, ["out.json"], shown={"in.v": HOSTILE}, **options)


def test_a_netlist_comes_back():
    done = synthesise(GOOD)
    counts = cell_counts(read_netlist(done.outputs["out.json"]), "top")
    assert counts
    assert all(kind.startswith("$_") for kind in counts)
    assert done.seconds > 0


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b"module top(input a, output y);\n\nassign y = ;\nendmodule\n", 3, "syntax error"),
        (b"module top(output y);\nassign y = no_such_function(1);\nendmodule\n", 2, "no_such_function"),
        (b"\n\nmodule top(output y); missing m(y); endmodule\n", None, "missing"),
        (b"\xff\x00\xfe", None, ""),
        (b"", None, "top"),
    ],
)
def test_errors_name_the_users_file_and_line(content, line, reason):
    with pytest.raises(ToolInputError) as caught:
        synthesise(content)
    assert caught.value.file == HOSTILE
    assert reason in caught.value.reason
    if line is not None:
        assert caught.value.line == line
    assert "in.v" not in str(caught.value)


def test_a_wheel_sees_its_folder_only(installed, tmp_path):
    if installed.provider != "wheel":
        pytest.skip("a system yosys is not fenced")
    secret = tmp_path / "secret.v"
    secret.write_text("wire from_outside;\n")
    content = f'module top(output y);\n`include "{secret}"\nassign y = 0;\nendmodule\n'.encode()
    with pytest.raises(ToolInputError, match="include"):
        synthesise(content)


def test_too_little_time_and_memory():
    with pytest.raises(ToolRunError, match="did not finish within"):
        synthesise(GOOD, timeout_s=0.01)
    with pytest.raises(ToolRunError, match=r"ran out of memory|was killed|failed with exit code"):
        synthesise(GOOD, memory_bytes=16 << 20)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"modules": 3}', b"{"])
def test_documents_that_are_no_netlists(content):
    with pytest.raises(ToolRunError, match="wrote a netlist"):
        read_netlist(content)
