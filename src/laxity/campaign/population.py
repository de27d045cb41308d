"""The base class of fault populations: what can be struck, with which probability, and what a struck network says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from laxity.core.errors import ConfigError, DataError
from laxity.core.registry import Registry
from laxity.faults import FaultModel

IntArray = NDArray[np.int64]

POPULATIONS: Registry[type[Population]] = Registry("fault population", "laxity.populations")
"""Populations by kind; other packages add theirs through the entry-point group ``laxity.populations``."""

NO_BIT = -1


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """A population as a table of cells, each with so many equally likely sites; all sites are equally likely.

    Attributes:
        places: names of what is struck, for example layers.
        place: of each cell, a number in `places`, int64 (m,).
        bit: of each cell, 0 the least significant, or `NO_BIT`, int64 (m,).
        sites: in each cell, int64 (m,), at least 1.
    """

    places: tuple[str, ...]
    place: IntArray
    bit: IntArray
    sites: IntArray

    def __post_init__(self) -> None:
        if not len(self.sites) or int(self.sites.min()) < 1:
            raise ConfigError("a population has at least one cell, and a cell at least one site")

    @property
    def size(self) -> int:
        """Sites of all cells."""
        return int(self.sites.sum())

    @staticmethod
    def grid(places: Sequence[str], words: Sequence[int], bits: Sequence[int]) -> Cells:
        """Every bit of every word: place p has ``words[p]`` words of ``bits[p]`` bits; 0 bits for words as a whole.

        Places without words are left out.
        """
        kept = [p for p, n in enumerate(words) if n]
        columns = [(k, b) for k, p in enumerate(kept) for b in (range(bits[p]) if bits[p] else (NO_BIT,))]
        place, bit = np.array(columns, np.int64).reshape(-1, 2).T
        counts = np.array([words[p] for p in kept], np.int64)
        return Cells(tuple(places[p] for p in kept), place.copy(), bit.copy(), counts[place])


@dataclass(frozen=True, slots=True, eq=False)
class Faults:
    """Single faults and the images that meet them, one each.

    Attributes:
        cell: of the population's cells, int64 (n,).
        site: within the cell, int64 (n,).
        random: uint64 (n, draws), for what is random about a fault besides its site.
        image: which sample of the inputs of the golden pass, int64 (n,).
    """

    cell: IntArray
    site: IntArray
    random: NDArray[np.uint64]
    image: IntArray

    def __len__(self) -> int:
        return len(self.cell)


@dataclass(frozen=True, slots=True)
class Part:
    """One stratum of a population.

    Attributes:
        name: of the stratum.
        cells: which cells belong to it, increasing.
        guess: share of its faults expected to change a prediction: a campaign is planned with it, and a wrong guess
            costs faults, never coverage.
        certified: its faults are proved to change nothing, and are not sampled.
    """

    name: str
    cells: tuple[int, ...]
    guess: float = field(default=0.01)
    certified: bool = False


class Population(ABC):
    """Single faults of one kind in one network.

    A subclass states `kind`, builds itself in `of`, and gives the logits of faults. The model is neither changed nor
    copied; it is in evaluation mode.

    Attributes:
        cells: all that can be struck.
        statement: the population in words, for reports: what is struck, how many sites, uniform over what, and what is
            left out.
        draws: random words that a fault needs besides its site.
        exact: logits are the same in whatever batch they are computed, bit for bit, so that a fault without effect is
            recognised by its logits.
    """

    kind: ClassVar[str]

    cells: Cells
    statement: str
    draws: int = 0
    exact: bool = False

    @classmethod
    @abstractmethod
    def of(cls, model: nn.Module, fault: FaultModel, example: Tensor, options: Mapping[str, Any]) -> Population:
        """The population of a network.

        Args:
            model: in evaluation mode.
            fault: what happens to what is struck; its rate is not used.
            example: float32 (n, ...), at least three samples.
            options: of this kind of population, plain JSON values.

        Raises:
            TaskError: the network has nothing of the kind, or cannot be run with such faults.
            ConfigError: an unknown option, or a fault model that does not go with the population.
        """

    @abstractmethod
    def golden(self, inputs: Tensor) -> Any:
        """The pass without faults: an object whose ``logits`` are float32 (n, classes)."""

    @abstractmethod
    def logits(self, faults: Faults, golden: Any) -> Tensor:
        """Logits of every fault with its image, float32 (n, classes); may hold NaN and infinities."""

    def noticed(self, faults: Faults, golden: Any) -> NDArray[np.bool_]:
        """Faults that a protection notices without being able to correct them, (n,); none where there is none."""
        return np.zeros(len(faults), np.bool_)

    def parts(self) -> tuple[Part, ...]:
        """The strata in which faults are drawn; they partition the cells."""
        return (Part("all", tuple(range(len(self.cells.sites)))),)

    def check(self, faults: Faults) -> None:
        """Check that faults lie in the population.

        Raises:
            DataError: a cell or a site does not exist.
        """
        if not len(faults):
            return
        if faults.cell.min() < 0 or faults.cell.max() >= len(self.cells.sites):
            raise DataError(f"the population has {len(self.cells.sites)} cells, and a fault names another one")
        if faults.site.min() < 0 or np.any(faults.site >= self.cells.sites[faults.cell]):
            raise DataError("a fault names a site that its cell does not have")


def no_options(kind: str, options: Mapping[str, Any]) -> None:
    """Refuse options where a kind of population has none.

    Raises:
        ConfigError: there is one.
    """
    if options:
        raise ConfigError(f"faults in {kind} have no option {next(iter(options))!r}")
