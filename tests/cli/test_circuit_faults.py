"""``laxity circuits faults``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from laxity.circuits import catalogue
from laxity.circuits.stuck_at import stuck_at

from .conftest import call


def document(*words: object) -> Any:
    outcome = call("circuits", "faults", *words, "--json")
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_figures_and_worst_faults() -> None:
    outcome = call("circuits", "faults", "dadda4", "--top", 3)
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    study = stuck_at("dadda4")
    assert ["faults", str(len(study))] in [line.split() for line in lines]
    header = next(k for k, line in enumerate(lines) if line.split()[:2] == ["fault", "gate"])
    worst = [" ".join(line.split()[:2]) for line in lines[header + 2 :]]
    assert worst == [study.faults[place].label for place in study.worst(3)]
    assert "stuck-at" not in call("circuits", "faults", "dadda4", "--top", 0).out


def test_json_has_every_fault() -> None:
    found = document("drum4s_3", "--pins")
    study = stuck_at("drum4s_3", pins=True)
    assert found == json.loads(json.dumps(study.to_json()))
    assert len(found["rows"]) == found["faults"] > document("drum4s_3")["faults"]
    assert found["med"] == catalogue.get("drum4s_3").metrics().med


def test_adders_of_which_only_pins_are_faulty_and_samples() -> None:
    whole, gates = document("ripple16", "--whole-adders", "--samples", 512), document("ripple16", "--seed", 1)
    assert whole["faults"] < gates["faults"]
    assert (whole["pairs"], whole["exhaustive"], whole["undetectable"]) == (512, False, None)
    assert gates["pairs"] == 65536
    assert "undetectable" not in call("circuits", "faults", "ripple16", "--samples", 512).out


def test_operands(tmp_path: Path) -> None:
    small = np.zeros(16)
    small[:4] = 1
    np.savez(tmp_path / "h.npz", a_histogram=small)
    rows = {row["fault"]: row for row in document("dadda4", "--histogram", tmp_path / "h.npz")["rows"]}
    assert rows["a[3] stuck-at-0"]["detected"]
    assert rows["a[3] stuck-at-0"]["fault_med"] == 0
    assert rows["a[1] stuck-at-0"]["fault_med"] == pytest.approx(2 * 7.5 / 2)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["dada8"], 2, "did you mean 'dadda8'"),
        (["dadda17"], 1, "operand widths 2..16"),
        (["ripple47"], 1, "use at most 16384 pairs"),
        (["dadda4", "--histogram", "nowhere.npz"], 1, "nowhere.npz"),
    ],
)
def test_what_is_refused(words: list[str], code: int, message: str) -> None:
    outcome = call("circuits", "faults", *words)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in " ".join(outcome.err.split())
