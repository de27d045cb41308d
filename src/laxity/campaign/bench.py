"""A network on the bench: its private copy, the population of its faults, and the samples that meet them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from laxity.campaign.outcomes import Drawn, Outcomes, draw, judged
from laxity.campaign.population import POPULATIONS, Cells, Faults, Part
from laxity.campaign.populations import Weights
from laxity.core.errors import ConfigError, PlanError
from laxity.core.registry import did_you_mean
from laxity.core.seeds import numbered
from laxity.core.serial import content_key
from laxity.evaluation.evaluator import versions
from laxity.evaluation.injection import private_copy
from laxity.faults import FaultModel
from laxity.task.splits import subset
from laxity.task.task import Task

Source = Callable[[], tuple[nn.Module, Task]]
"""Gives the network and its task; to run in several processes it must be picklable."""

IMAGES = 256
"""Samples whose values are kept at a time."""

_NAMED_BY = 256
"""Samples whose predictions are part of the identity."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is struck, and by what.

    Attributes:
        fault: JSON form of the fault model.
        population: kind of population.
        options: of that kind.
        split: from which samples are drawn.
        images: so many samples of the split, 0 for all.
        skip: the samples begin after so many of the split.
        seed: root of all randomness.
    """

    fault: Mapping[str, Any] = field(default_factory=lambda: {"kind": "bit_flip", "rate_per_bit": 0.0})
    population: str = Weights.kind
    options: Mapping[str, Any] = field(default_factory=dict)
    split: str = "test"
    images: int = 0
    skip: int = 0
    seed: int = 0


class Bench:
    """Tries faults.

    Args:
        source: of the network and the task; neither is changed.
        subject: what is struck, and by what.

    Raises:
        ConfigError: the split, the fault model or an option cannot be.
        RegistryError: an unknown population or fault model.
        TaskError: the network has nothing of the kind.
    """

    def __init__(self, source: Source, subject: Subject) -> None:
        model, task = source()
        fault = FaultModel.from_json(subject.fault)
        splits = task.splits()
        if subject.split not in splits:
            raise ConfigError(f"unknown split {subject.split!r}{did_you_mean(subject.split, splits)}")
        if subject.images < 0 or subject.skip < 0:
            raise ConfigError(f"images is {subject.images} and skip {subject.skip}; give numbers of samples")
        every = splits[subject.split]
        kept = min(max(0, len(every) - subject.skip), subject.images or len(every))
        self._split = subset(every, range(subject.skip, subject.skip + kept))
        self._seed, self.images = subject.seed, kept
        example, _ = self._split.fetch(range(min(3, self.images)))
        if len(example) < 3:
            raise ConfigError(f"split {subject.split!r} has {len(example)} samples; a campaign needs at least 3")
        self._model, _ = private_copy(model.cpu(), task.example_input.cpu(), task.exact)
        self.population = POPULATIONS[subject.population].of(self._model, fault, example, subject.options)
        self.parts = self.population.parts()
        self._task, self._subject = task, subject

    def weight(self, part: int) -> float:
        """Share of a part in the population, fraction."""
        sites = self.population.cells.sites
        return int(sites[list(self.parts[part].cells)].sum()) / int(sites.sum())

    def try_out(self, part: int, first: int, count: int) -> Outcomes:
        """Outcomes of the faults `first` to ``first + count - 1`` of a part, each on its own image."""
        drawn = draw(self.population, self.parts[part], self.images, self._seed, first, count)
        return self.outcomes(drawn)

    def outcomes(self, drawn: Drawn) -> Outcomes:
        """Outcomes of faults; images are taken in blocks, so that memory is bounded."""
        images, where = np.unique(drawn.image, return_inverse=True)
        found: list[Outcomes] = []
        for start in range(0, len(images), IMAGES):
            block = images[start : start + IMAGES]
            some = np.flatnonzero((where >= start) & (where < start + len(block)))
            inputs, labels = self._split.fetch(torch.from_numpy(block))
            golden = self.population.golden(inputs)
            rows = where[some] - start
            faults = Faults(drawn.cell[some], drawn.site[some], drawn.random[some], rows)
            logits = self.population.logits(faults, golden)
            one = Drawn(drawn.index[some], drawn.cell[some], drawn.site[some], drawn.image[some], drawn.random[some])
            taken = torch.from_numpy(rows)
            noticed = self.population.noticed(faults, golden)
            exact = self.population.exact
            found.append(judged(one, logits, golden.logits[taken], labels[taken], noticed, exact=exact))
        return Outcomes.joined(found)

    def repeated(self, rows: Outcomes, part: Part, cells: Cells) -> Outcomes:
        """Faults of another network with the same words, once more in this one.

        Args:
            rows: outcomes there.
            part: of the other population, to which they belong.
            cells: of the other population; this one has at least the same places and bits.

        Returns:
            Outcomes here, in the order of `rows`.
        """
        own = self.population.cells
        known = {
            (own.places[p], b): c for c, (p, b) in enumerate(zip(own.place.tolist(), own.bit.tolist(), strict=True))
        }
        there = [(cells.places[int(cells.place[c])], int(cells.bit[c])) for c in rows.cell.tolist()]
        words = [
            numbered(self._seed, "fault", part.name, first=i, count=1, words=2 + self.population.draws)
            for i in rows.index.tolist()
        ]
        random = np.concatenate(words)[:, 2:]
        order = np.arange(len(rows), dtype=np.int64)
        cell = np.array([known[key] for key in there], np.int64)
        return self.outcomes(Drawn(order, cell, rows.site, rows.image, random))

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What decides the outcomes, for files: digests of weights, of predictions and of data, and the population.

        Raises:
            PlanError: the network gives no finite logits without faults.
        """
        inputs, _ = self._split.fetch(range(min(self.images, _NAMED_BY)))
        logits: Tensor = self.population.golden(inputs).logits
        if not bool(torch.isfinite(logits).all()):
            raise PlanError("the network gives logits that are not finite without any fault; repair it first")
        weights = hashlib.sha256()
        for name, value in sorted(self._model.state_dict().items()):
            if isinstance(value, Tensor):
                weights.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
                weights.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        cells = self.population.cells
        table = [list(cells.places), cells.place.tolist(), cells.bit.tolist(), cells.sites.tolist()]
        return {
            "laxity": versions()["laxity"],
            "task": self._task.name,
            "data": self._task.fingerprint,
            "weights": weights.hexdigest()[:16],
            "predictions": content_key(logits.argmax(1).tolist()),
            "population": content_key([table, [[p.name, *p.cells] for p in self.parts], self.population.statement]),
            "subject": {
                "fault": dict(self._subject.fault),
                "population": self._subject.population,
                "options": dict(self._subject.options),
                "split": self._subject.split,
                "images": self.images,
                "skip": self._subject.skip,
                "seed": self._subject.seed,
            },
        }
