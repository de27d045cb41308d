"""What is in the table: treatments, multipliers, and the cells that are measured one by one and kept in a folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from laxity.core.plan import Recovery
from laxity.core.serial import content_key, to_json, write_json

EXACT = "exact"
EVOAPPROX = "mul8u_"

MULTIPLIERS = (
    "coltrunc8_8",
    "optrunc8_3",
    "drum8_3",
    "mitchell8",
    "mul8u_17KS",
    "mul8u_FTA",
    "mul8u_12N4",
    "coltrunc8_10",
    "optrunc8_4",
    "perf8_0_3",
)
"""From mild to brutal; the tables of EvoApproxLib (v1) have a mean relative error of 10.9, 14.0 and 4.2 %, the last one
rank 229."""

NONE, VARIATE = "none", "control variate"
ESTIMATED = "batch-norm re-estimation"
FIXED = (NONE, ESTIMATED, VARIATE)
"""Treatments that train nothing, and are the same for every seed."""


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One training, or one network that is not trained.

    Attributes:
        seed: root seed.
        weight_bits: of every site; activations have 8 bits.
        treatment: name.
        multiplier: at every site.
    """

    seed: int
    weight_bits: int
    treatment: str
    multiplier: str

    @property
    def key(self) -> str:
        """Content key, for file names."""
        return content_key(to_json(self))


def treatments(recovery: Recovery) -> dict[str, Recovery | None]:
    """Treatments of one length by name, from nothing to everything.

    Args:
        recovery: epochs, samples, learning rate, weight and temperature of distillation, and the gradient.
    """
    usual = replace(recovery.plain(), reestimate=True)
    labels = replace(usual, distil=0.0)
    both = replace(usual, gradient=recovery.gradient)
    return {
        NONE: None,
        ESTIMATED: Recovery(),
        VARIATE: None,
        "fine-tuning": labels,
        "distillation": usual,
        "gradient": replace(labels, gradient=recovery.gradient),
        "distillation + gradient": both,
        "regularised": replace(labels, regularise=0.05),
        "alpha regularised": replace(labels, alpha=0.05),
        "two stages": replace(both, quantised_epochs=both.epochs, teacher="quantised"),
    }


def cells(
    seeds: Iterable[int], bits: Sequence[int], names: Sequence[str], multipliers: Sequence[str]
) -> Iterator[Cell]:
    """All cells, those first that say most: seed by seed, treatment by treatment, and the exact circuits before all."""
    for number, seed in enumerate(seeds):
        for weight_bits in bits:
            yield from (Cell(seed, weight_bits, t, EXACT) for t in (NONE, "fine-tuning", "distillation") if t in names)
        for treatment in names:
            if treatment in FIXED and number:
                continue
            for weight_bits in bits:
                yield from (Cell(seed, weight_bits, treatment, m) for m in multipliers)


class Folder:
    """Finished cells, one JSON line each, trained weights of first stages, and unfinished trainings.

    Args:
        path: made where it is missing.
        settings: what all cells have in common.

    Raises:
        SystemExit: the folder holds cells of other settings.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        kept = path / "settings.json"
        if kept.exists() and json.loads(kept.read_text(encoding="utf-8")) != to_json(settings):
            raise SystemExit(f"{path} holds cells of other settings, see {kept}; give another folder by --out")
        write_json(kept, settings)

    def read(self) -> dict[Cell, dict[str, Any]]:
        """Finished cells; a last line that was cut off is left out."""
        found = {}
        lines = self._journal.read_text(encoding="utf-8").splitlines() if self._journal.exists() else []
        for line in lines:
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            found[Cell(**row["cell"])] = row
        return found

    def add(self, cell: Cell, result: Mapping[str, Any]) -> None:
        """Append a finished cell."""
        with self._journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"cell": to_json(cell), **result}) + "\n")

    @property
    def _journal(self) -> Path:
        return self.path / "cells.jsonl"
