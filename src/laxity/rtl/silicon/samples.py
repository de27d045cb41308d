"""Transitions of a whole design, drawn at random from its cycles, for simulation with glitches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from laxity.circuits.simulate import Words
from laxity.core.seeds import stream
from laxity.rtl.silicon.engine import State

BATCH = 64
"""Transitions in a machine word: the least number that is told apart."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """What is wanted of one cycle: images, and where their bits go."""

    images: tuple[int, ...]
    slots: tuple[int, ...]


class Samples:
    """Draws pairs of cycle and image, and collects what flip-flops, memories and inputs hold before and after.

    Attributes:
        before, after: bit planes (rows of inputs, flip-flops and memories, words); each phase has `words` of them.
        words: machine words, and so batches of `BATCH` transitions, per phase.
    """

    def __init__(self, cycles: Sequence[int], images: int, count: int, seed: int) -> None:
        """Draw.

        Args:
            cycles: of each phase.
            images: to draw from.
            count: transitions per phase, rounded up to whole words.
            seed: of the draw.
        """
        self.words = -(-count // BATCH)
        self.before = self.after = np.zeros((0, 0), np.uint64)
        self._phases = len(cycles)
        self._wanted: dict[tuple[int, int], _Taken] = {}
        self._last: Words | None = None
        for phase, length in enumerate(cycles):
            random = stream(seed, "silicon", "transitions", phase)
            # What was before the first cycle of all is a reset.
            places = random.integers(1 if phase == 0 else 0, length, self.words * BATCH)
            chosen = random.integers(0, images, self.words * BATCH)
            for cycle in np.unique(places).tolist():
                slots = np.flatnonzero(places == cycle)
                first = phase * self.words * BATCH
                self._wanted[phase, cycle] = _Taken(tuple(chosen[slots].tolist()), tuple((slots + first).tolist()))

    def observe(self, phase: int, cycle: int, state: State) -> None:
        """Take what is wanted of a settled cycle, as `laxity.rtl.silicon.testbench.Observer`."""
        held = state.nets[state.rows.inputs : state.rows.gates]
        if self._last is None:
            self._last = np.zeros_like(held)
            shape = (len(held), self._phases * self.words)
            self.before, self.after = np.zeros(shape, np.uint64), np.zeros(shape, np.uint64)
        wanted = self._wanted.pop((phase, cycle), None)
        if wanted is not None:
            for image, slot in zip(wanted.images, wanted.slots, strict=True):
                _place(self.before, self._last, image, slot)
                _place(self.after, held, image, slot)
        np.copyto(self._last, held)

    @property
    def missing(self) -> int:
        """Cycles that were wanted and did not come."""
        return len(self._wanted)


def _place(planes: Words, held: Words, image: int, slot: int) -> None:
    bits = held[:, image // 64] >> np.uint64(image % 64) & np.uint64(1)
    planes[:, slot // BATCH] |= bits << np.uint64(slot % BATCH)
