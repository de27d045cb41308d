"""Folders of hardened networks with invented figures that agree with each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SECDED = {"kind": "secded", "data_bits": 64}
CLIP = {"kind": "weight_clip", "per": "channel"}
COSTS = {"energy_pj": 1_000_000.0, "area_um2": 800_000.0, "memory_bits": 120_000.0, "latency_cycles": 4_698.0}


def interval(estimate: float, half: float = 0.0004, faults: int = 12_000) -> dict[str, Any]:
    ends = {"low": max(0.0, estimate - half), "high": estimate + half}
    return {"estimate": estimate, **ends, "confidence": 0.99, "samples": faults, "method": "invented"}


def point(
    name: str, choices: dict[str, dict[str, Any]], cost: float, share: float, *, accepted: bool, due: float = 0.0
) -> dict[str, Any]:
    """A set whose energy and memory are larger by the cost, a fraction, and by twice the cost."""
    return {
        "name": name,
        "protections": [{"site": site, "slot": "memory", **choice} for site, choice in choices.items()],
        **COSTS,
        "energy_pj": COSTS["energy_pj"] * (1 + cost),
        "memory_bits": COSTS["memory_bits"] * (1 + 2 * cost),
        "cost_ratio": 1 + cost,
        "share": interval(share),
        "due": interval(due),
        "exposure": 1 + 2 * cost,
        "accepted": accepted,
    }


def network(share: float, value: float, limit: float) -> dict[str, Any]:
    quality = {"metric": "accuracy", "value": value, "low": value - 0.01, "high": value + 0.008, "loss": 0.1}
    quality |= {"samples": 500, "split": "test", "confidence": 0.95}
    found = interval(share)
    return {"quality": quality, "share": found, "due": interval(0.0), "kept": found["high"] <= limit, "campaign": {}}


def hardened() -> dict[str, Any]:
    """SEC-DED at two of three sites is enough; one step less is not, and clipping everywhere is not."""
    steps = [
        {"site": "conv1", "choice": CLIP, "saving": 0.0004, "cost": 1_000.0},
        {"site": "conv1", "choice": SECDED, "saving": 0.0008, "cost": 4_000.0},
        {"site": "linear", "choice": SECDED, "saving": 0.001, "cost": 9_000.0},
        {"site": "conv2", "choice": SECDED, "saving": 0.0001, "cost": 30_000.0},
    ]
    sites = ("conv1", "linear", "conv2")
    chosen = point("3 steps at 2 sites", dict.fromkeys(sites[:2], SECDED), 0.013, 0.0002, accepted=True)
    whole = point("SEC-DED 64 everywhere", dict.fromkeys(sites, SECDED), 0.043, 0.0001, accepted=True)
    few = point("2 steps at 1 sites", {"conv1": SECDED}, 0.004, 0.0012, accepted=False)
    clip = point("clip channel everywhere", dict.fromkeys(sites, CLIP), 0.002, 0.0006, due=0.4, accepted=False)
    limit = 0.001
    return {
        "command": "laxity harden digits --max-sdc 0.001",
        "versions": {"python": "3.11.7", "laxity": "0.1.0", "optuna": None},
        "task": "digits",
        "target": "invented-array",
        "subject": {
            "fault": {"kind": "bit_flip", "rate_per_bit": 0.0},
            "population": "weights",
            "options": {},
            "split": "validation",
            "images": 0,
            "skip": 0,
            "seed": 7,
        },
        "objective": "energy_pj",
        "limit": {"share": limit, "metric": "sdc", "confidence": 0.99, "alarms": False},
        "unprotected": point("unprotected", {}, 0.0, 0.002, accepted=False),
        "left": {"SEC-DED 64": 0.0, "clip channel": 0.75},
        "steps": steps,
        "tried": [whole, few, chosen, clip],
        "chosen": chosen,
        "test": {
            "unprotected": network(0.0021, 0.98, limit),
            "hardened": network(0.0003, 0.978, limit),
            "difference": None,
        },
    }


def hopeless() -> dict[str, Any]:
    """No set keeps the limit."""
    document = hardened()
    document["tried"] = [p for p in document["tried"] if not p["accepted"]]
    return document | {"chosen": None, "test": None}


def good_enough() -> dict[str, Any]:
    """The unprotected network keeps the limit."""
    document = hardened()
    document["unprotected"] = point("unprotected", {}, 0.0, 0.0003, accepted=True)
    same = {"estimate": 0.0, "low": -0.0005, "high": 0.0005, "confidence": 0.99, "samples": 12_000, "method": "paired"}
    both = network(0.0002, 0.98, 0.001)
    test = {"unprotected": both, "hardened": both, "difference": same}
    return document | {"chosen": document["unprotected"], "left": {}, "steps": [], "tried": [], "test": test}


DOCUMENTS = {"hardened": hardened, "hopeless": hopeless, "good_enough": good_enough}
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """``make(name, change)`` writes a document of `DOCUMENTS`, changed in place, and gives its folder."""

    def write(name: str = "hardened", change: Callable[[Any], Any] = lambda _: None) -> Path:
        document = DOCUMENTS[name]()
        change(document)
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "hardening.json").write_text(json.dumps(document))
        return folder

    return write


@pytest.fixture
def document() -> Callable[[Path], Any]:
    """``document(folder)`` reads its file."""
    return lambda folder: json.loads((folder / "hardening.json").read_text())


@pytest.fixture
def hostile() -> Callable[[Any, str], None]:
    """``hostile(document, text)`` puts a text wherever a document has one that the page shows."""

    def change(document: Any, text: str) -> None:
        document.update(command=text, task=text, target=text, versions={text: text})
        document["subject"].update(population=text, options={text: text}, split=text)
        document["subject"]["fault"] = {"kind": text, text: text}
        document["left"] = {text: 0.5, **document["left"]}
        for step in document["steps"]:
            step.update(site=text, choice={"kind": text, text: text})
        for one in [document["unprotected"], *document["tried"], *filter(None, [document["chosen"]])]:
            one["name"] = text
            for protection in one["protections"]:
                protection.update(site=text, kind=text, slot=text, **{text: text})
        if document["test"]:
            for one in (document["test"]["unprotected"], document["test"]["hardened"]):
                one["quality"].update(metric=text, split=text)

    return change
