"""What single faults did: drawn sites, the classes before and after, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from laxity.campaign.population import Part, Population
from laxity.core.errors import DataError
from laxity.core.seeds import below, numbered

IntArray = NDArray[np.int64]

UNRECOVERABLE = -1
"""Class of a sample whose logits are not all finite: detected, but no prediction."""

TOP = 5


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """Faults of one part of a population, one row each; all int64 (n,).

    Attributes:
        index: number of the fault within its part; everything else follows from it, the seed and the network.
        cell: of the population.
        site: within the cell.
        image: which sample of the split.
        label: its true class.
        golden: class without the fault.
        struck: class with it, or `UNRECOVERABLE`.
        top: 1 where the class without the fault is among the five largest with it (among all, where classes are fewer).
        noticed: 1 where a protection notices the fault and cannot correct it.
        same: 1 where all logits are the same as without the fault, bit for bit; 0 otherwise, and where the network does
            not compute a sample in the same way in every batch.
    """

    index: IntArray
    cell: IntArray
    site: IntArray
    image: IntArray
    label: IntArray
    golden: IntArray
    struck: IntArray
    top: IntArray
    noticed: IntArray
    same: IntArray

    def __len__(self) -> int:
        return len(self.index)

    @property
    def due(self) -> NDArray[np.bool_]:
        """Detected unrecoverable errors: logits that are NaN or infinite, or a protection that gives the alarm."""
        return np.asarray((self.struck == UNRECOVERABLE) | (self.noticed == 1))

    @property
    def sdc(self) -> NDArray[np.bool_]:
        """Silent data corruption: another class, without a sign of it."""
        return np.asarray((self.struck != self.golden) & ~self.due)

    @property
    def critical(self) -> NDArray[np.bool_]:
        """Either of the two: the prediction is another one, or there is none."""
        return np.asarray((self.struck != self.golden) | self.due)

    @property
    def sdc_top5(self) -> NDArray[np.bool_]:
        """Silent, and the class without the fault is not among the five largest."""
        return np.asarray((self.top == 0) & ~self.due)

    @property
    def lost(self) -> NDArray[np.bool_]:
        """Right without the fault, not with it."""
        return np.asarray((self.golden == self.label) & (self.struck != self.label))

    @property
    def gained(self) -> NDArray[np.bool_]:
        """Wrong without the fault, right with it."""
        return np.asarray((self.golden != self.label) & (self.struck == self.label))

    @property
    def masked(self) -> NDArray[np.bool_]:
        """No logit differs."""
        return np.asarray(self.same == 1)

    def first(self, count: int) -> Outcomes:
        """The rows of the first faults."""
        return Outcomes(**{f.name: getattr(self, f.name)[:count] for f in fields(self)})

    def where(self, chosen: NDArray[np.bool_]) -> Outcomes:
        """Some of the rows; bool (n,)."""
        return Outcomes(**{f.name: getattr(self, f.name)[chosen] for f in fields(self)})

    def to_json(self) -> dict[str, list[int]]:
        """Columns."""
        return {f.name: getattr(self, f.name).tolist() for f in fields(self)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Outcomes:
        """Rebuild from columns.

        Raises:
            DataError: a column is missing, or columns differ in length or are not of whole numbers.
        """
        try:
            columns = {f.name: np.array(data[f.name]) for f in fields(Outcomes)}
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"rows of faults lack a column: {error}") from None
        lengths = {len(c) for c in columns.values() if c.ndim == 1}
        if len(lengths) != 1 or any(c.ndim != 1 or (c.size and c.dtype.kind != "i") for c in columns.values()):
            raise DataError("rows of faults are not columns of whole numbers of one length")
        return Outcomes(**{name: c.astype(np.int64) for name, c in columns.items()})

    @staticmethod
    def joined(parts: Iterable[Outcomes]) -> Outcomes:
        """Rows of several, ordered by index."""
        found = list(parts)
        whole = {f.name: np.concatenate([getattr(p, f.name) for p in found] or [_NONE]) for f in fields(Outcomes)}
        order = np.argsort(whole["index"], kind="stable")
        return Outcomes(**{name: column[order] for name, column in whole.items()})


_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Faults before they are tried: int64 (n,) each, and their random words, uint64 (n, draws)."""

    index: IntArray
    cell: IntArray
    site: IntArray
    image: IntArray
    random: NDArray[np.uint64]


def draw(population: Population, part: Part, images: int, seed: int, first: int, count: int) -> Drawn:
    """Draw the faults `first` to ``first + count - 1`` of a part: each depends on the seed and its number only.

    Sites are uniform over the part, images over all.

    Args:
        population: what can be struck.
        part: one of its strata.
        images: number of samples.
        seed: root seed.
        first: number of the first fault.
        count: of faults.
    """
    words = numbered(seed, "fault", part.name, first=first, count=count, words=2 + population.draws)
    cells = np.array(part.cells, np.int64)
    ends = np.cumsum(population.cells.sites[cells])
    place = below(words[:, 0], int(ends[-1]))
    within = np.searchsorted(ends, place, side="right")
    site = place - np.concatenate([[0], ends[:-1]])[within]
    index = np.arange(first, first + count, dtype=np.int64)
    return Drawn(index, cells[within], site, below(words[:, 1], images), words[:, 2:])


def judged(
    drawn: Drawn, logits: Tensor, golden: Tensor, labels: Tensor, noticed: NDArray[np.bool_], *, exact: bool
) -> Outcomes:
    """What faults did.

    Args:
        drawn: n faults.
        logits: with them, float32 (n, classes).
        golden: without them, for the same images, (n, classes).
        labels: int64 (n,).
        noticed: by a protection, bool (n,).
        exact: whether equal logits mean that the fault had no effect.
    """
    finite = torch.isfinite(logits).all(1)
    before, after = golden.argmax(1), logits.argmax(1)
    struck = torch.where(finite, after, UNRECOVERABLE)
    largest = logits.topk(min(TOP, logits.shape[1]), dim=1).indices
    top = finite & (largest == before[:, None]).any(1)
    same = (logits == golden).all(1) if exact else torch.zeros_like(finite)
    columns = (labels, before, struck, top, torch.from_numpy(noticed), same)
    return Outcomes(drawn.index, drawn.cell, drawn.site, drawn.image, *(c.to(torch.int64).numpy() for c in columns))
