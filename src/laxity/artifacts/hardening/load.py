"""A typed view of the folder of a hardened network; its file is checked before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from laxity.artifacts.report.files import Count, Part, read_part
from laxity.artifacts.report.hardening import Found, Fraction, Judged, Struck
from laxity.campaign.store import ROWS
from laxity.core.errors import RunError

DOCUMENT, CAMPAIGNS = "hardening.json", "campaigns"
_REMEDY = "run the command that made the folder again; it resumes and writes the file anew"

Signed = Annotated[float, Field(ge=-1, le=1)]


class Accuracy(Part):
    """Quality of a network on some split."""

    metric: str
    value: Fraction
    low: Fraction
    high: Fraction
    confidence: Annotated[float, Field(gt=0, lt=1)]
    samples: Count
    split: str


class Network(Judged):
    """One network on the test split."""

    quality: Accuracy


class Gap(Part):
    """Share of the unprotected network less that of the hardened one, from common faults."""

    estimate: Signed
    low: Signed
    high: Signed
    confidence: Annotated[float, Field(gt=0, lt=1)]
    samples: Count


class Verdict(Part):
    """Both networks on samples that played no part in the choice."""

    unprotected: Network
    hardened: Network
    difference: Gap | None = None


class HardeningFile(Found):
    """``hardening.json``."""

    command: str
    versions: dict[str, str | None]
    task: str
    target: str
    subject: Struck
    objective: Literal["energy_pj", "area_um2", "memory_bits", "latency_cycles"]
    test: Verdict | None

    @model_validator(mode="after")
    def _judged(self) -> Self:
        if (self.chosen is None) != (self.test is None):
            raise ValueError("a chosen set and its figures on the test split go together; one of them is missing")
        return self

    @property
    def base(self) -> float:
        """The objective of the unprotected network."""
        return self.objective_of(self.unprotected)

    def objective_of(self, point: Any) -> float:
        """The objective of a set of protections."""
        return float(getattr(point, self.objective))


@dataclass(frozen=True, slots=True)
class HardeningView:
    """All that the page shows: the folder's name and its file."""

    name: str
    file: HardeningFile


def is_hardening(folder: Path) -> bool:
    """Whether a folder was made by ``laxity harden``, finished or not; runs may have a file of the same name."""
    if (folder / "config.toml").exists():
        return False
    return (folder / DOCUMENT).is_file() or any((folder / CAMPAIGNS).glob(f"*/{ROWS}"))


def load_hardening(folder: Path) -> HardeningView:
    """Read and check the file of a folder.

    Raises:
        RunError: the folder is none of this kind, or the hardening is not finished, or the file is malformed; names
            file and field.
    """
    path = folder / DOCUMENT
    if not path.is_file():
        if is_hardening(folder):
            raise RunError(f"{folder} has no results yet; run the command that made it again, it goes on from there")
        raise RunError(f"{folder} is no folder of laxity harden; it has no {DOCUMENT}")
    return HardeningView(folder.resolve().name, read_part(path, HardeningFile, _REMEDY))
