"""Contents of the weight memory and of the memory of lane parameters, as they are filled step by step."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LaneParameters:
    """What one lane of the post-processing does to its sums.

    Attributes:
        bias: added first, modulo 2**32.
        multiplier, shift: of the requantisation; a multiplier of 0 makes the code of zero.
        weight_zero: zero-point of the weights.
    """

    bias: int
    multiplier: int
    shift: int
    weight_zero: int = 0


UNUSED = LaneParameters(0, 0, 1)
"""Of lanes that carry no channel: their codes are the code of zero."""

Word = tuple[LaneParameters, ...]


@dataclass(slots=True)
class Images:
    """Memories under construction.

    Attributes:
        weights: rows of the weight memory, one list of `columns` weights each: magnitude or pattern, and sign.
        parameters: words of the memory of lane parameters.
    """

    weights: list[tuple[IntArray, NDArray[np.bool_]]] = field(default_factory=list)
    parameters: list[Word] = field(default_factory=list)
    _rows: int = 0
    _known: dict[Word, int] = field(default_factory=dict)

    def add_weights(self, patterns: IntArray, signs: NDArray[np.bool_]) -> int:
        """Append rows (n, columns); returns the address of the first."""
        self.weights.append((patterns, signs))
        self._rows += len(patterns)
        return self._rows - len(patterns)

    def add_group(self, words: list[Word]) -> int:
        """Append words that follow each other; returns the address of the first."""
        self.parameters.extend(words)
        return len(self.parameters) - len(words)

    def add_word(self, word: Word) -> int:
        """Address of a word, which is appended if it is new."""
        if word not in self._known:
            self._known[word] = self.add_group([word])
        return self._known[word]

    @property
    def weight_words(self) -> int:
        """Rows of the weight memory so far."""
        return self._rows
