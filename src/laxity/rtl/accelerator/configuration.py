"""What a user chooses about the accelerator; all widths follow from the program."""

from __future__ import annotations

from dataclasses import dataclass

from laxity.core.array import words_per_group
from laxity.core.errors import ConfigError

WEIGHT_STATIONARY, OUTPUT_STATIONARY = "weight-stationary", "output-stationary"
DATAFLOWS = (WEIGHT_STATIONARY, OUTPUT_STATIONARY)
"""Ways in which operands move through the array."""

LEAST_SIDE, MOST_SIDE = 2, 256


@dataclass(frozen=True, slots=True)
class Configuration:
    """Size of the accelerator.

    Attributes:
        rows: processing elements in a column, and lanes of a word of activations: input channels that are worked on
            together, or, output-stationary, positions.
        columns: processing elements in a row: output channels that are worked on together.
        dataflow: what stays in the array: ``"weight-stationary"``, weights of a tile, while all positions pass; or
            ``"output-stationary"``, sums of a group of positions, while the reduction passes.
        accumulator_words: positions whose partial sums fit the accumulators of a weight-stationary array, so many per
            column; as many as the largest layer has if None. With fewer, layers are cut into bands of output rows.

    Raises:
        ConfigError: a value out of range, or neither of rows and columns divides the other.
    """

    rows: int = 8
    columns: int = 8
    dataflow: str = WEIGHT_STATIONARY
    accumulator_words: int | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        sides = {"rows": self.rows, "columns": self.columns}
        for name, value in sides.items():
            if not LEAST_SIDE <= value <= MOST_SIDE:
                raise ConfigError(f"an array with {name} = {value} is not possible; use {LEAST_SIDE} to {MOST_SIDE}")
        if max(sides.values()) % min(sides.values()):
            raise ConfigError(
                f"an array of {self.rows} rows and {self.columns} columns is not possible; one must divide the other, "
                "because sums are packed into words of as many lanes as there are rows"
            )
        if self.dataflow not in DATAFLOWS:
            raise ConfigError(f"unknown dataflow {self.dataflow!r}; choose from {', '.join(DATAFLOWS)}")
        if self.accumulator_words is not None and self.accumulator_words < 1:
            raise ConfigError(f"accumulators of {self.accumulator_words} words are not possible; use at least 1")

        if self.dataflow == OUTPUT_STATIONARY:
            self._check_output_stationary()

    def _check_output_stationary(self) -> None:
        if self.columns > 2 * self.rows:
            raise ConfigError(
                f"an output-stationary array of {self.columns} columns and {self.rows} rows is not possible: results "
                "leave every other cycle, and each may fill two words; use at most twice as many columns as rows"
            )
        if self.accumulator_words is not None:
            raise ConfigError("an output-stationary array has no accumulator memory; leave out accumulator_words")

    @property
    def words_per_group(self) -> int:
        """Words of lanes that the sums of all columns fill; 1 also where they fill a part of one."""
        return words_per_group(self.rows, self.columns)
