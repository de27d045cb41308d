"""A typed view of a folder of studies; every file is checked before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from laxity.artifacts.recovery.folder import COMPARISON, LADDER, RANKING, SUBJECT
from laxity.artifacts.report.files import Amount, Count, Part, read_part
from laxity.artifacts.report.load import TaskFacts
from laxity.core.errors import RunError

T = TypeVar("T")
Curve = list[dict[str, float]]
"""Per epoch ``loss`` and, where samples were watched, ``accuracy``."""


class Target(Part):
    """The hardware target."""

    name: str
    description: str
    key: str


class Head(Part):
    """Where the figures of a file come from."""

    laxity: str
    command: str
    created: str
    seeds: list[Count]
    versions: dict[str, str | None]
    task: TaskFacts
    target: Target
    operands: str
    seconds: Amount


class Score(Part):
    """Mean and standard deviation of one figure over seeds, and its values."""

    mean: float
    spread: Amount | None = None
    values: list[float] = Field(min_length=1)


class Original(Part):
    """Accuracy of the user's network on both splits."""

    validation: float
    test: float


class TreatedRow(Part):
    """One treatment; drops are on the test split, against the original and against exact circuits."""

    name: str
    recovery: dict[str, Any] | None = None
    circuits: list[str] = Field(default_factory=list)
    validation: Score
    test: Score
    drop: Score
    drop_from_exact: Score
    energy_ratio: Amount
    seconds: Amount
    curves: list[Curve]


class ComparisonFile(Head):
    """``comparison.json``: one multiplier under several treatments."""

    multiplier: str
    original: Original
    exact: TreatedRow
    before: TreatedRow
    after: list[TreatedRow]
    best: str


class Judged(Part):
    """One network on one split."""

    accuracy: float
    low: float
    high: float
    samples: Count
    split: str
    drop: float
    drop_error: float
    energy_ratio: Amount
    curve: Curve


class Quantised(Judged):
    """The network with exact circuits; whether it was trained."""

    trained: bool


class RungRow(Part):
    """One multiplier everywhere."""

    name: str
    energy_ratio: Amount
    before: Judged
    after: Judged | None = None
    accepted: bool


class LadderFile(Head):
    """``ladder.json``: multipliers from mild to brutal."""

    max_drop: Amount
    guard: Amount
    whole: bool
    recovery: dict[str, Any]
    original: Original
    quantised: Quantised
    quantised_test: Judged
    rungs: list[RungRow]
    chosen: str | None = None
    chosen_test: Judged | None = None


class RankedRow(Part):
    """One multiplier: predicted harm, and what its circuit costs."""

    name: str
    divergence: Amount
    accuracy_drop: float
    loss_increase: float
    basis: str
    slope: float
    mred: Amount
    energy_pj: Amount | None = None
    area_um2: Amount | None = None
    delay_ns: Amount | None = None


class RankingFile(Head):
    """``ranking.json``: multipliers by predicted harm; `basis` is what costs are those of."""

    basis: str
    rows: list[RankedRow]


@dataclass(frozen=True, slots=True)
class StudyView:
    """All that the page shows; what has not been studied is None."""

    name: str
    comparison: ComparisonFile | None
    ladder: LadderFile | None
    ranking: RankingFile | None

    @property
    def files(self) -> list[tuple[str, Head]]:
        """Names and heads of the files that are there."""
        every = ((COMPARISON, self.comparison), (LADDER, self.ladder), (RANKING, self.ranking))
        return [(name, file) for name, file in every if file is not None]


def load_study(folder: Path) -> StudyView:
    """Read and check every result file of a folder.

    Raises:
        RunError: the folder is none of this kind or has no results, or a file is malformed; names file and field.
    """
    if not (folder / SUBJECT).is_file():
        raise RunError(f"{folder} is no folder of laxity recover; it has no {SUBJECT}")
    found = StudyView(
        folder.resolve().name,
        _read(folder / COMPARISON, ComparisonFile),
        _read(folder / LADDER, LadderFile),
        _read(folder / RANKING, RankingFile),
    )
    if not found.files:
        raise RunError(f"{folder} has no results yet; run the command that made it again, it goes on where it ended")
    return found


def _read(path: Path, form: type[T]) -> T | None:
    return read_part(path, form) if path.exists() else None
