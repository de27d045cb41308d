"""Fake tools: small Python programs that behave badly."""

import stat
import sys
import textwrap

import pytest

from laxity.eda.tools import Tool


@pytest.fixture
def program(tmp_path):
    """Write an executable; returns its path."""

    def write(body, name="fake"):
        path = tmp_path / name
        path.write_text(f"#!{sys.executable} -S\n" + textwrap.dedent(body))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return write


@pytest.fixture
def fake(program):
    """Write an executable; returns it as a system tool."""
    return lambda body: Tool("yosys", (str(program(body)),), "0.70", "system")
