"""A typed view of the folder of a fault campaign; its file is checked before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from laxity.artifacts.report.files import Count, Part, read_part
from laxity.campaign.store import ROWS
from laxity.core.errors import RunError

DOCUMENT = "campaign.json"
_REMEDY = "run the command that made the folder again; it resumes and writes the file anew"

Fraction = Annotated[float, Field(ge=0, le=1)]
Signed = Annotated[float, Field(ge=-1, le=1)]


class Range(Part):
    """An interval of a share, or of a difference of shares."""

    estimate: Signed
    low: Signed
    high: Signed
    confidence: Annotated[float, Field(gt=0, lt=1)]
    samples: Count
    method: str

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"the interval ends at {self.high} before it begins at {self.low}")
        return self

    @property
    def half_width(self) -> float:
        """Half the distance of the ends."""
        return (self.high - self.low) / 2


class Tried(Part):
    """How many faults of a group were tried, and what they did; ends of the critical ones' interval."""

    faults: Count
    critical: Count
    sdc: Count
    due: Count
    low: Fraction
    high: Fraction

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if max(self.critical, self.sdc, self.due) > self.faults:
            raise ValueError(f"more faults did harm than the {self.faults} that were tried")
        if self.low > self.high:
            raise ValueError(f"the interval ends at {self.high} before it begins at {self.low}")
        return self


class GroupShare(Tried):
    """Critical faults of a place, a bit or a class; `value` is None where part of the group was not tried."""

    name: str
    value: Fraction | None = None

    @property
    def proved(self) -> bool:
        """Whether the group was not sampled because its faults are proved to change nothing."""
        return self.faults == 0 and self.value == 0 and self.high == 0


class BitShare(GroupShare):
    """Critical faults of a bit; its name is its number."""

    @field_validator("name")
    @classmethod
    def _number(cls, name: str) -> str:
        if not (name.isascii() and name.isdigit()):
            raise ValueError(f"{name!r} is no bit; bits are numbered from 0")
        return name


class Cell(Tried):
    """Faults of one bit of one place."""

    place: str
    bit: int


class Stratum(Part):
    """One stratum in which faults were drawn."""

    name: str
    weight: Fraction
    certified: bool
    faults: Count
    critical: Count


class SiteCheck(Part):
    """Chi-square test of the drawn cells of a stratum against the declared population."""

    part: str
    statistic: Annotated[float, Field(ge=0)]
    cells: Annotated[int, Field(ge=2)]
    pooled: Count
    p_value: Fraction
    draws: Count
    plausible: bool


class Aim(Part):
    """When the campaign was to end."""

    confidence: Annotated[float, Field(gt=0, lt=1)]
    half_width: Annotated[float, Field(gt=0, lt=1)]
    faults: Count


class Struck(Part):
    """What was struck, and by what."""

    fault: dict[str, Any]
    population: str
    options: dict[str, Any]
    split: str
    images: Count
    seed: Count


class Identity(Part):
    """Digests of what decided the outcomes."""

    laxity: str
    task: str
    data: str
    weights: str
    predictions: str
    population: str
    subject: Struck


class Metrics(Part):
    """Shares of all faults; `masked` is None where the network does not compute a sample alike in every batch."""

    critical: Range
    sdc: Range
    due: Range
    sdc_top5: Range
    lost: Range
    gained: Range
    masked: Range | None = None


class Network(Part):
    """The campaign of one network."""

    key: str
    identity: Identity
    statement: str
    size: Annotated[int, Field(ge=1)]
    aim: Aim
    met: bool
    faults: Count
    looks: Annotated[int, Field(ge=1)]
    parts: list[Stratum] = Field(min_length=1)
    metrics: Metrics
    accuracy_drop: Range
    golden_right: Fraction
    places: list[GroupShare] = Field(min_length=1)
    bits: list[BitShare]
    classes: list[GroupShare]
    cells: list[Cell]
    site_checks: list[SiteCheck]

    @model_validator(mode="after")
    def _named(self) -> Self:
        places, bits = {p.name for p in self.places}, {b.name for b in self.bits}
        for cell in self.cells:
            if cell.place not in places or (cell.bit >= 0 and str(cell.bit) not in bits):
                raise ValueError(f"a cell is of place {cell.place!r}, bit {cell.bit}, which the campaign does not have")
        return self


class Difference(Part):
    """Share of critical faults of one network less that of another, from faults that both have met."""

    first: str
    second: str
    critical: Range


class CampaignFile(Part):
    """``campaign.json``."""

    command: str
    versions: dict[str, str | None]
    networks: dict[str, Network] = Field(min_length=1)
    differences: list[Difference]

    @model_validator(mode="after")
    def _known(self) -> Self:
        for pair in self.differences:
            for name in (pair.first, pair.second):
                if name not in self.networks:
                    raise ValueError(f"a difference is with {name!r}, which is none of the networks")
        return self


@dataclass(frozen=True, slots=True)
class CampaignView:
    """All that the page shows: the folder's name and its file."""

    name: str
    file: CampaignFile

    @property
    def networks(self) -> dict[str, Network]:
        """By name, in the order in which they were struck."""
        return self.file.networks

    @property
    def first(self) -> Network:
        """One of them, for what they have in common."""
        return next(iter(self.networks.values()))


def is_campaign(folder: Path) -> bool:
    """Whether a folder was made by a fault campaign, finished or not."""
    return (folder / DOCUMENT).is_file() or any(folder.glob(f"*/{ROWS}"))


def load_campaign(folder: Path) -> CampaignView:
    """Read and check the file of a folder.

    Raises:
        RunError: the folder is none of this kind, or the campaign is not finished, or the file is malformed; names file
            and field.
    """
    path = folder / DOCUMENT
    if not path.is_file():
        if is_campaign(folder):
            raise RunError(f"{folder} has no results yet; run the command that made it again, it goes on from there")
        raise RunError(f"{folder} is no folder of laxity faults; it has no {DOCUMENT}")
    return CampaignView(folder.resolve().name, read_part(path, CampaignFile, _REMEDY))
