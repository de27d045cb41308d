"""The page about circuits: its example runs, and its table is what laxity measures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from laxity.circuits import catalogue, errors_of
from laxity.circuits.comparison import measure
from laxity.circuits.metrics import METRICS
from laxity.targets.element_energy import element_energy

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "circuits.md").read_text(encoding="utf-8")
ROWS = re.findall(
    r"^\| (\w+) \| ([\d.]+) % \| ([\d.]+) \| (\d+) \| ([\d.]+) \| ([\d.]+) \| (\d+) \| ([\d.]+) \|$", PAGE, re.M
)


def test_the_example_runs() -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    exec(compile(example, "circuits.md", "exec"), {})


def test_every_metric_is_defined() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE.split("## Operands")[0], re.M)) == set(METRICS)


def test_there_is_a_front() -> None:
    assert len(ROWS) == 17
    errors, energies = [float(r[1]) for r in ROWS], [float(r[4]) for r in ROWS]
    assert errors == sorted(errors, reverse=True)
    assert energies == sorted(energies)


@pytest.mark.parametrize("row", ROWS[::4], ids=lambda row: row[0])
def test_figures_of_the_front(row: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAXITY_CACHE", "off")
    circuit = catalogue.circuit(row[0])
    metrics, figures = errors_of(row[0]), measure(circuit)
    assert float(row[1]) == float(f"{100 * metrics.mred:.3g}")
    assert (float(row[2]), int(row[3])) == (float(f"{metrics.med:.4g}"), metrics.wce)
    assert float(row[4]) == pytest.approx(element_energy(circuit).energy_pj, abs=6e-4)
    assert float(row[5]) == pytest.approx(figures.energy_pj, abs=6e-4)
    assert float(row[6]) == pytest.approx(figures.area_um2, abs=0.51)
    assert float(row[7]) == pytest.approx(figures.delay_ns, abs=0.0051)
