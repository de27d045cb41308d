"""The places of one operation at which an approximation, or a protection, can act, in their order of application."""

from __future__ import annotations

import enum


class Level(enum.StrEnum):
    """The three levels of the stack."""

    DATA = "data"
    SOFTWARE = "software"
    HARDWARE = "hardware"


class Slot(enum.StrEnum):
    """Where an approximation acts. Definition order is the order of application."""

    INPUT = "input"
    STRUCTURE = "structure"
    OPERAND = "operand"
    SKIP = "skip"
    MULTIPLIER = "multiplier"
    ACCUMULATOR = "accumulator"
    MEMORY = "memory"
    GUARD = "guard"

    @property
    def level(self) -> Level:
        """The level of the stack this slot belongs to."""
        return _LEVELS[self]

    @property
    def order(self) -> int:
        """Position in the order of application, from 0."""
        return list(Slot).index(self)


_LEVELS = {
    Slot.INPUT: Level.DATA,
    Slot.STRUCTURE: Level.SOFTWARE,
    Slot.OPERAND: Level.DATA,
    Slot.SKIP: Level.SOFTWARE,
    Slot.MULTIPLIER: Level.HARDWARE,
    Slot.ACCUMULATOR: Level.HARDWARE,
    Slot.MEMORY: Level.HARDWARE,
    Slot.GUARD: Level.HARDWARE,
}
