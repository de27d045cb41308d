"""Comparisons that pages are made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from laxity.artifacts.circuits import render_page
from laxity.circuits import Sampling, catalogue
from laxity.circuits.comparison import Comparison, compare, find_candidates
from laxity.targets.element_energy import element_energy

EVIL = "<img src=x onerror=document.title='owned'><script>alert(1)</script>"


@pytest.fixture(scope="session", autouse=True)
def nothing_is_kept() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAXITY_CACHE", "off")
        yield


@pytest.fixture(scope="session")
def multipliers(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    table = tmp_path_factory.mktemp("tables") / "known_by_table.npy"
    np.save(table, catalogue.get("mitchell8").table)
    words = ["drum", "coltrunc", "optrunc8_2", "dadda8", "wallace8", str(table)]
    return compare(
        find_candidates(words), "mred", "pe-energy", element_energy=lambda c, o: element_energy(c, o).energy_pj
    )


@pytest.fixture(scope="session")
def page(multipliers: Comparison) -> str:
    return render_page(multipliers, detailed=["known_by_table", "drum8_4"], most=2, command="laxity circuits compare")


@pytest.fixture(scope="session")
def adders_page() -> str:
    sampling = Sampling(4096)
    found = compare(find_candidates(["loa16_4", "gear16_4_4", "ripple16"]), "med", "delay", sampling=sampling)
    return render_page(found, sampling=sampling)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "page.html"
        path.write_text(text, encoding="utf-8")
        return path

    return write
