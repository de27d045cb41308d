"""Timing of several actions in turns, so that the state of the machine strikes all of them alike."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

Action = Callable[[], object]
_STATE = Path("/proc/stat")


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
        others: cores that other programs kept busy meanwhile, or None where the system does not say.
    """

    least_ms: dict[str, float]
    rounds: int
    others: float | None = None

    def fastest(self, prefix: str) -> tuple[str, float]:
        """The fastest of the actions ``prefix layout``: its layout, and its time in ms."""
        times = {name.removeprefix(prefix + " "): ms for name, ms in self.least_ms.items() if name.startswith(prefix)}
        layout = min(times, key=times.__getitem__)
        return layout, times[layout]

    def with_(self, other: Timing) -> Timing:
        """Both measurements of the same actions taken together."""
        shorter = {name: min(ms, other.least_ms[name]) for name, ms in self.least_ms.items()}
        seen = [t.others for t in (self, other) if t.others is not None]
        return Timing(shorter, self.rounds + other.rounds, min(seen, default=None))

    def only(self, layout: str) -> Timing:
        """The actions of one layout."""
        own = {name: ms for name, ms in self.least_ms.items() if name.endswith(f" {layout}")}
        return Timing(own, self.rounds, self.others)


class OtherPrograms:
    """Watches how busy other programs keep the machine, from its creation on."""

    def __init__(self) -> None:
        self._begin = time.perf_counter()
        self._busy = _busy_s()
        self._own = time.process_time()

    def cores(self) -> float | None:
        """Cores that they used on average."""
        now = _busy_s()
        if now is None or self._busy is None:
            return None
        theirs = now - self._busy - (time.process_time() - self._own)
        return max(0.0, theirs / (time.perf_counter() - self._begin))


def _busy_s() -> float | None:
    """Time that all cores together have been busy or taken away since the system started."""
    if not _STATE.exists():
        return None
    user, nice, system, _, _, irq, softirq, steal = map(int, _STATE.read_text(encoding="utf-8").split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


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
    watch = OtherPrograms()
    begin, rounds = time.perf_counter(), 0
    while rounds < budget.least or (rounds < budget.most and time.perf_counter() - begin < budget.time_s):
        if pause_s:
            time.sleep(pause_s)
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            least[name] = min(least[name], time.perf_counter() - start)
        rounds += 1
    return Timing({name: 1e3 * seconds for name, seconds in least.items()}, rounds, watch.cores())
