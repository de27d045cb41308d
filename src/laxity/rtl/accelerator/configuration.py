"""What a user chooses about the accelerator; all widths follow from the program."""

from __future__ import annotations

from dataclasses import dataclass

from laxity.core.errors import ConfigError

DATAFLOWS = ("weight-stationary",)
"""Ways in which operands move through the array."""

LEAST_SIDE, MOST_SIDE = 2, 256


@dataclass(frozen=True, slots=True)
class Configuration:
    """Size of the accelerator.

    Attributes:
        rows: processing elements in a column: input channels that are worked on together, and lanes of a word of
            activations.
        columns: processing elements in a row: output channels that are worked on together.
        dataflow: how operands move; ``"weight-stationary"``.
        accumulator_words: positions whose partial sums fit the accumulators, so many per column; as many as the
            largest layer has if None. With fewer, layers are cut into bands of output rows.

    Raises:
        ConfigError: a value out of range, or neither of rows and columns divides the other.
    """

    rows: int = 8
    columns: int = 8
    dataflow: str = "weight-stationary"
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

    @property
    def words_per_group(self) -> int:
        """Words of lanes that the sums of all columns fill; 1 also where they fill a part of one."""
        return max(1, self.columns // self.rows)
