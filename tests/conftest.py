"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Read when torch starts: parallel test processes would otherwise fight for the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of data sets and checkpoints: LAXITY_DATA, else ../shared/data next to the repository."""
    named = os.environ.get("LAXITY_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no data folder; set LAXITY_DATA to run the tests that read data sets")
    return folder
