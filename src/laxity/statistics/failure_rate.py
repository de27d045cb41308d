"""Failures in time: from raw error rates and fault campaigns to a rate of the device, with intervals.

One FIT is one failure in 1e9 hours. The rate of silent corruption is the sum over components of raw rate per bit,
number of bits, share of bit-cycles that are vulnerable, and probability that a fault there corrupts the result. The
interval covers what the campaigns leave open; the uncertainty of raw rates is a separate factor, because it comes
from elsewhere (beam tests, vendors) and usually is far larger.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from laxity.core.errors import ConfigError
from laxity.statistics.interval import Interval, check_confidence

HOURS = 1e9
"""In the unit of failures in time, by definition of FIT (JEDEC JESD89)."""


@dataclass(frozen=True, slots=True)
class Component:
    """A memory or register file that is struck.

    Attributes:
        name: of the component.
        raw_fit_per_bit: raw upsets of one bit, failures per 1e9 hours.
        bits: stored.
        vulnerability: architectural vulnerability factor, the share of bit-cycles whose content is still used;
            fraction.
        sdc: interval of the probability that a fault in used content corrupts the result.
        raw_factor: factor by which the raw rate may be larger or smaller than stated, at least 1.
    """

    name: str
    raw_fit_per_bit: float
    bits: int
    vulnerability: float
    sdc: Interval
    raw_factor: float = 1.0

    def __post_init__(self) -> None:
        if self.raw_fit_per_bit < 0 or self.bits < 0:
            raise ConfigError(f"component {self.name!r} has a negative rate or size")
        if not 0 <= self.vulnerability <= 1:
            raise ConfigError(f"component {self.name!r} has vulnerability {self.vulnerability}; it is a fraction")
        if self.raw_factor < 1:
            raise ConfigError(f"component {self.name!r} has raw factor {self.raw_factor}; it is at least 1")

    @property
    def struck_fit(self) -> float:
        """Faults in used content per 1e9 hours."""
        return self.raw_fit_per_bit * self.bits * self.vulnerability

    def fit(self) -> Interval:
        """Rate of silent corruption of this component, failures per 1e9 hours, for the raw rate as stated."""
        return self.sdc.scaled(self.struck_fit)


@dataclass(frozen=True, slots=True)
class FailureRate:
    """Rate of a device.

    Attributes:
        fit: failures per 1e9 hours, interval for raw rates as stated.
        raw_low, raw_high: the same interval's ends with raw rates at their extremes too.
    """

    fit: Interval
    raw_low: float
    raw_high: float


def failure_rate(components: Sequence[Component], confidence: float = 0.99) -> FailureRate:
    """Rate of a device from independent components.

    Ends are sums of the components' ends. They cover with the wanted confidence if each component's interval has
    confidence ``1 - alpha / components`` at least (`component_confidence`).

    Raises:
        ConfigError: no components, or an interval whose confidence is too low for so many.

    Source: S. S. Mukherjee et al., MICRO 2003 (architectural vulnerability factor); G. Li et al., SC 2017, equation 1.
    """
    if not components:
        raise ConfigError("a failure rate needs at least one component")
    needed = component_confidence(len(components), confidence)
    for c in components:
        if c.sdc.confidence < needed - 1e-12:
            raise ConfigError(
                f"the interval of component {c.name!r} has confidence {c.sdc.confidence:g}; "
                f"{len(components)} components together at {confidence:g} need {needed:g} each"
            )
    parts = [c.fit() for c in components]
    low, high = math.fsum(p.low for p in parts), math.fsum(p.high for p in parts)
    rate = Interval(
        math.fsum(p.estimate for p in parts), low, high, confidence, sum(p.samples for p in parts), "FIT, Bonferroni"
    )
    pairs = list(zip(parts, components, strict=True))
    raw_low = math.fsum(p.low / c.raw_factor for p, c in pairs)
    return FailureRate(rate, raw_low, math.fsum(p.high * c.raw_factor for p, c in pairs))


def component_confidence(components: int, confidence: float = 0.99) -> float:
    """Confidence that each component's interval needs, so that all hold together.

    Raises:
        ConfigError: no components, or a confidence that cannot be.

    Source: Bonferroni's inequality.
    """
    check_confidence(confidence)
    if components < 1:
        raise ConfigError(f"there is at least one component, not {components}")
    return 1 - (1 - confidence) / components


def mission_reliability(fit: float, time_h: float) -> float:
    """Probability of no failure during a mission, for a constant rate: ``exp(-FIT 1e-9 t)``.

    Args:
        fit: failures per 1e9 hours.
        time_h: hours.

    Raises:
        ConfigError: negative rate or time.
    """
    if fit < 0 or time_h < 0:
        raise ConfigError(f"rate and time are at least 0, not {fit} and {time_h}")
    return math.exp(-fit / HOURS * time_h)


def mission_interval(fit: Interval, time_h: float) -> Interval:
    """Interval of `mission_reliability` from that of the rate; the high rate gives the low end.

    Raises:
        ConfigError: negative rate or time.
    """
    low, middle, high = (mission_reliability(x, time_h) for x in (fit.high, fit.estimate, fit.low))
    return Interval(middle, low, high, fit.confidence, fit.samples, f"reliability over {time_h:g} h, {fit.method}")
