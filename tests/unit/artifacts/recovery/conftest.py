"""A deterministic, clearly synthetic folder of studies with every part that the page shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from laxity.core.plan import Recovery
from laxity.core.serial import to_json
from laxity.search.treat import baselines

NAMES = ["coltrunc8_4", "coltrunc8_8", "drum8_3", "coltrunc8_12"]


def head(command: str) -> dict[str, Any]:
    return {
        "laxity": "0.1.0",
        "command": command,
        "created": "2026-01-02T03:04:05+00:00",
        "seeds": [0, 1, 2],
        "versions": {"python": "3.11.2", "torch": "2.13.0"},
        "task": {"name": "invented", "fingerprint": "f00", "notes": "", "samples": {"train": 9, "test": 540}},
        "target": {"name": "invented-array", "description": "An array that does not exist.", "key": "abc"},
        "operands": "w4a8",
        "seconds": 93.5,
    }


def score(*values: float) -> dict[str, Any]:
    mean = sum(values) / len(values)
    spread = (sum((v - mean) ** 2 for v in values) / (len(values) - 1)) ** 0.5 if len(values) > 1 else None
    return {"mean": mean, "spread": spread, "values": list(values)}


def treated(name: str, recovery: Recovery | None, accuracy: float) -> dict[str, Any]:
    epochs = 0 if recovery is None else recovery.epochs
    curves = [
        [{"loss": 2.0 / (e + k + 1), "accuracy": accuracy - 0.1 / (e + k + 1)} for e in range(epochs)] for k in range(3)
    ]
    values = (accuracy - 0.01, accuracy, accuracy + 0.01)
    return {
        "name": name,
        "recovery": to_json(recovery),
        "validation": score(*(v + 0.005 for v in values)),
        "test": score(*values),
        "drop": score(*(0.98 - v for v in values)),
        "drop_from_exact": score(*(0.97 - v for v in values)),
        "energy_ratio": 0.54,
        "seconds": 2.5,
        "curves": curves,
    }


def comparison() -> dict[str, Any]:
    ways = {k: v for k, v in baselines(Recovery(epochs=4)).items() if v is not None}
    rows = [treated(name, way, 0.6 + 0.03 * i) for i, (name, way) in enumerate(ways.items())]
    return head("laxity recover compare invented --multiplier coltrunc8_12") | {
        "multiplier": "coltrunc8_12",
        "original": {"validation": 0.985, "test": 0.98},
        "exact": treated("exact", None, 0.97),
        "before": treated("none", None, 0.115),
        "after": rows,
        "best": rows[-1]["name"],
    }


def judged(accuracy: float, ratio: float, split: str = "validation", epochs: int = 0) -> dict[str, Any]:
    return {
        "accuracy": accuracy,
        "low": accuracy - 0.01,
        "high": min(1.0, accuracy + 0.01),
        "samples": 540,
        "split": split,
        "drop": 0.98 - accuracy,
        "drop_error": 0.004,
        "energy_ratio": ratio,
        "seconds": 1.0,
        "curve": [{"loss": 1 / (e + 1), "accuracy": accuracy - 0.05 / (e + 1)} for e in range(epochs)],
    }


def ladder() -> dict[str, Any]:
    rungs = []
    for index, (name, before, after) in enumerate(
        zip(NAMES, (0.97, 0.93, 0.6, 0.1), (0.98, 0.975, 0.9, None), strict=True)
    ):
        ratio = 0.9 - 0.1 * index
        treated = None if after is None else judged(after, ratio, epochs=3)
        rung = {"name": name, "energy_ratio": ratio, "before": judged(before, ratio), "after": treated}
        rungs.append(rung | {"accepted": after is not None and after > 0.95})
    return head("laxity recover uniform invented") | {
        "max_drop": 0.01,
        "guard": 0.0,
        "whole": False,
        "recovery": to_json(Recovery(epochs=3, gradient="table_2d")),
        "original": {"validation": 0.98, "test": 0.98},
        "quantised": judged(0.978, 1.0) | {"trained": False},
        "quantised_test": judged(0.977, 1.0, "test"),
        "rungs": rungs,
        "chosen": "coltrunc8_8",
        "chosen_test": judged(0.9722, 0.8, "test"),
    }


def ranking() -> dict[str, Any]:
    rows = [
        {
            "name": name,
            "divergence": 10.0 ** (index - 4),
            "accuracy_drop": 0.01 * index,
            "loss_increase": 0.02 * index,
            "basis": "modelled" if index < 2 else "first order",
            "slope": -0.02 * index,
            "mred": 0.01 * (index + 1),
            "energy_pj": (0.9, 0.7, 0.8, None)[index],
            "area_um2": (600.0, 500.0, 400.0, None)[index],
            "delay_ns": (1.2, 1.1, 1.0, None)[index],
        }
        for index, name in enumerate(NAMES)
    ]
    return head("laxity recover rank invented") | {"basis": "invented netlists", "rows": rows}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder with all three studies."""
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "subject.json").write_text("{}")
    for name, document in (("comparison", comparison()), ("ladder", ladder()), ("ranking", ranking())):
        (folder / f"{name}.json").write_text(json.dumps(document))
    return folder


@pytest.fixture
def edit() -> Callable[[Path, Callable[[Any], Any]], None]:
    """``edit(file, change)`` changes a JSON file in place."""

    def change_file(path: Path, change: Callable[[Any], Any]) -> None:
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return change_file
