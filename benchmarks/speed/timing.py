"""Timing of several actions in turns, so that the state of the machine strikes all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Action = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Budget:
    """How long one measurement may take.

    Attributes:
        time_s: no round begins after this time, once there are `least` rounds.
        least, most: rounds that are counted.
    """

    time_s: float
    least: int
    most: int


FULL = Budget(1.0, 3, 100)
QUICK = Budget(0.05, 1, 3)


@dataclass(frozen=True, slots=True)
class Timing:
    """What came out.

    Attributes:
        least_ms: shortest time of every action.
        rounds: how often each was timed.
    """

    least_ms: dict[str, float]
    rounds: int

    def fastest(self, prefix: str) -> tuple[str, float]:
        """The fastest of the actions ``prefix layout``: its layout, and its time in ms."""
        times = {name.removeprefix(prefix + " "): ms for name, ms in self.least_ms.items() if name.startswith(prefix)}
        layout = min(times, key=times.__getitem__)
        return layout, times[layout]

    def with_(self, other: Timing) -> Timing:
        """Both measurements of the same actions taken together."""
        shorter = {name: min(ms, other.least_ms[name]) for name, ms in self.least_ms.items()}
        return Timing(shorter, self.rounds + other.rounds)

    def only(self, layout: str) -> Timing:
        """The actions of one layout."""
        return Timing({name: ms for name, ms in self.least_ms.items() if name.endswith(f" {layout}")}, self.rounds)


def interleaved(actions: Mapping[str, Action], budget: Budget, pause_s: float = 0.0) -> Timing:
    """Run all actions one after the other, round and round; the first round warms up and is not counted.

    Args:
        actions: by name, in order.
        budget: of the whole measurement.
        pause_s: rest before each round, for actions that leave threads of their own busy.
    """
    for action in actions.values():
        action()
    least = dict.fromkeys(actions, float("inf"))
    begin, rounds = time.perf_counter(), 0
    while rounds < budget.least or (rounds < budget.most and time.perf_counter() - begin < budget.time_s):
        if pause_s:
            time.sleep(pause_s)
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            least[name] = min(least[name], time.perf_counter() - start)
        rounds += 1
    return Timing({name: 1e3 * seconds for name, seconds in least.items()}, rounds)
