"""Results are kept per test; tests that need a tool skip visibly without it."""

import pytest

from laxity.eda.tools import available


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The folder in which this test keeps results."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("LAXITY_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def yosys():
    tool = available("yosys")
    if tool is None:
        pytest.skip("no yosys; pip install 'laxity[rtl]'")
    return tool


@pytest.fixture(scope="session")
def nextpnr(yosys):
    if not all(map(available, ("nextpnr-ecp5", "ecppack", "nextpnr-ice40", "icepack"))):
        pytest.skip("no nextpnr; pip install 'laxity[rtl]'")


@pytest.fixture
def pretend(monkeypatch):
    """Let Yosys seem to write a netlist: ports and cells in its JSON format, for every script."""
    import json

    from laxity.eda.run import Finished
    from laxity.eda.tools import Tool

    def install(ports, cells):
        module = {
            "ports": {name: {"direction": direction, "bits": bits} for name, (direction, bits) in ports.items()},
            "cells": {
                str(k): {"type": kind, "parameters": parameters, "connections": pins}
                for k, (kind, parameters, pins) in enumerate(cells)
            },
        }
        content = json.dumps({"modules": {"circuit": module}}).encode()
        tool = Tool("yosys", ("none",), "0.70", "system")
        for home in ("mapping", "fpga"):
            monkeypatch.setattr(f"laxity.circuits.synthesis.{home}.find", lambda name: tool)
            monkeypatch.setattr(
                f"laxity.circuits.synthesis.{home}.yosys", lambda *a, **k: Finished({"out.json": content}, "", "", 0.1)
            )

    return install
