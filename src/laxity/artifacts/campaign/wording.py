"""What a fault campaign found, in words."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from laxity.artifacts.campaign.load import CampaignView, GroupShare, Network, Range, SiteCheck
from laxity.artifacts.page.numbers import MINUS, THIN, number

_LAYERS = frozenset({"weights", "activations", "neurons", "accumulators"})
"""Populations whose places are layers."""

METRICS = (
    ("critical", "critical", "another class, or none"),
    ("sdc", "SDC", "another class, silently"),
    ("due", "DUE", "a logit that is NaN or infinite, or an alarm"),
    ("sdc_top5", "SDC top-5", "silently out of the five largest"),
    ("lost", "lost", "right without the fault only"),
    ("gained", "gained", "right with the fault only"),
    ("masked", "masked", "no logit differs"),
)
"""Fields of `Metrics`, their names, and what they mean."""

TERMS = (
    (
        "Fault",
        "One thing struck, as the fault model and the population say, while one image is processed. Site and "
        "image are drawn at random; all sites and all images are equally likely.",
    ),
    (
        "Critical",
        "The network says something else than without the fault: SDC or DUE. What is right does not matter here: the "
        "network without faults is the reference.",
    ),
    (
        "SDC",
        "Silent data corruption: the predicted class is another one, and nothing tells.",
    ),
    (
        "SDC top-5",
        "Silent, and the class predicted without the fault is not even among the five largest; 0 where there are no "
        "more than five classes.",
    ),
    (
        "DUE",
        "Detected unrecoverable error: a logit is NaN or infinite, or a protection gives the alarm. There is no "
        "prediction to be trusted, but that is known.",
    ),
    (
        "Lost, gained",
        "Lost: right without the fault, not right with it. Gained: wrong without, right with it. Lost less gained is "
        "the accuracy that one fault costs on average.",
    ),
    (
        "Masked",
        "All logits are the same as without the fault, bit for bit. Known only where a network computes a sample alike "
        "in every batch.",
    ),
    (
        "Stratum, weight",
        "Faults are drawn within strata, more of them where outcomes vary more; every stratum counts by its share of "
        "the population, its weight. Shares on this page are weighted and may differ from counts.",
    ),
    (
        "Interval at planned looks",
        "The campaign may end at a few numbers of faults that were fixed beforehand. The interval of a metric covers "
        "the true share with the stated confidence although the campaign ends as soon as one is narrow enough.",
    ),
    (
        "Interval at any time",
        "The intervals by place, bit, class and cell hold whenever one looks, and are wider for it. Each holds by "
        "itself at the stated confidence: of a hundred at 99 %, one may miss.",
    ),
)
"""Terms of the page and what they mean."""


def place_word(network: Network) -> str:
    """What places of a network are called."""
    return "layer" if network.identity.subject.population in _LAYERS else "place"


def decimals(half_width: float) -> int:
    """Decimal places of a percentage that show two digits of its half-width."""
    points = 100 * half_width
    return 2 if points <= 0 else min(6, max(0, 1 - math.floor(math.log10(points))))


def share(value: float, places: int) -> str:
    """A fraction as percent."""
    return f"{100 * value:.{places}f}{THIN}%".replace("-", MINUS)


def estimate(found: Range) -> str:
    """The estimate of a share in percent, with as many digits as its interval supports."""
    return share(found.estimate, decimals(found.half_width))


def ends(found: Range) -> str:
    """The ends of an interval in percent."""
    places = decimals(found.half_width)
    return f"{share(found.low, places)} to {share(found.high, places)}"


def rounded(value: float) -> str:
    """A number of things that is not known exactly, with three significant digits."""
    return number(float(f"{value:.3g}"), 12)


def spaced(text: str) -> str:
    """Text with thin spaces in long whole numbers."""
    return re.sub(r"\d{5,}", lambda found: number(int(found[0]), len(found[0])), text)


def in_points(value: float, half_width: float) -> str:
    """An estimate or an end in percentage points, with sign, with as many digits as the half-width supports."""
    return f"{100 * value:+.{decimals(half_width)}f}".replace("-", MINUS)


def group(row: GroupShare) -> tuple[str, str]:
    """Share of a group and its interval, in percent."""
    if row.proved:
        return share(0, 0), "proved to change nothing"
    places = decimals((row.high - row.low) / 2)
    between = f"{share(row.low, places)} to {share(row.high, places)}"
    return ("unknown" if row.value is None else share(row.value, places)), between


def counted(row: GroupShare) -> str:
    """What the faults of a group did."""
    if not row.faults:
        return "no fault was tried"
    return f"{row.critical} critical of {number(row.faults, 12)} tried: {row.sdc} SDC, {row.due} DUE"


def level(network: Network) -> str:
    """The confidence of a campaign."""
    return f"{100 * network.aim.confidence:g}{THIN}%"


def title(view: CampaignView) -> str:
    """The finding in one sentence."""
    found = [(name, estimate(one.metrics.critical)) for name, one in view.networks.items()]
    (name, value), rest = found[0], found[1:]
    return ", ".join([f"{value} of faults are critical in {name}", *(f"{v} in {n}" for n, v in rest)]) + "."


def reached(network: Network) -> str:
    """Whether the interval is as narrow as was wanted."""
    got = f"±{number(100 * network.metrics.critical.half_width, 2)} points"
    wanted = f"±{number(100 * network.aim.half_width, 2)}"
    if network.aim.faults:
        return f"exactly {number(network.aim.faults, 12)} faults were asked for, which give {got}"
    if network.met:
        return f"half-width reached: {got} where {wanted} was wanted"
    return f"half-width not reached: {got} where {wanted} was wanted"


def sentence(network: Network) -> str:
    """What was done and found, less name and share, which stand before it."""
    subject = network.identity.subject
    return (
        f"of faults are critical, {ends(network.metrics.critical)} at {level(network)} confidence, from "
        f"{number(network.faults, 12)} faults in a population of {number(network.size, 12)} sites, on the first "
        f"{number(subject.images, 12)} images of split {subject.split}; the network without faults is right on "
        f"{share(network.golden_right, 1)} of those that were drawn."
    )


def fault_words(fault: Mapping[str, Any]) -> str:
    """A fault model with its options; single faults have no rate."""
    options = [f"{k} {v}" for k, v in fault.items() if k not in {"kind", "rate_per_bit"}]
    return ", ".join([str(fault.get("kind", "unknown")), *options])


def check_words(check: SiteCheck) -> str:
    """A chi-square test in words."""
    if check.plausible:
        return "plausible: such a draw is what the declared population gives"
    return "suspicious: the declared population hardly ever gives such a draw"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Two networks side by side.

    Attributes:
        first, second: their names.
        value, low, high: share of critical faults of the first less that of the second, fraction.
        basis: what the interval rests on.
        words: which one is more robust.
        better: its name; empty where that is open.
    """

    first: str
    second: str
    value: float
    low: float
    high: float
    basis: str
    words: str
    better: str

    @property
    def points(self) -> tuple[str, str, str]:
        """Value and ends in percentage points."""
        half = (self.high - self.low) / 2
        return in_points(self.value, half), in_points(self.low, half), in_points(self.high, half)


def verdicts(view: CampaignView) -> list[Verdict]:
    """Every pair of networks: from common faults where there are such, else from the two intervals."""
    common = {(pair.first, pair.second): pair.critical for pair in view.file.differences}
    found = []
    for (a, one), (b, other) in itertools.combinations(view.networks.items(), 2):
        known = common.get((a, b))
        if known is not None:
            basis = f"{number(known.samples, 12)} common faults, {100 * known.confidence:g}{THIN}%"
            found.append(_judged(a, b, known.estimate, known.low, known.high, basis))
            continue
        p, q = one.metrics.critical, other.metrics.critical
        both = max(0.0, p.confidence + q.confidence - 1)
        basis = f"both intervals, together at least {100 * both:g}{THIN}%"
        found.append(_judged(a, b, p.estimate - q.estimate, p.low - q.high, p.high - q.low, basis))
    return found


def _judged(first: str, second: str, value: float, low: float, high: float, basis: str) -> Verdict:
    better = first if high < 0 else second if low > 0 else ""
    words = f"{better} is more robust" if better else "undecided"
    return Verdict(first, second, value, low, high, basis, words, better)


def sizes(view: CampaignView) -> list[str]:
    """How often networks of different size are harmed where every site is struck equally often."""
    found = []
    for (a, one), (b, other) in itertools.combinations(view.networks.items(), 2):
        if one.size == other.size:
            continue
        big, small, p, q = (a, b, one, other) if one.size > other.size else (b, a, other, one)
        ratio = p.size / q.size
        text = f"{big} has {number(ratio, 3)} times the sites of {small}"
        mine, theirs = p.metrics.critical, q.metrics.critical
        if mine.low * p.size > theirs.high * q.size:
            least = mine.low * p.size / (theirs.high * q.size)
            text += (
                f"; struck at the same rate per site, it meets at least {number(least, 2)} times the critical faults"
            )
        elif theirs.low * q.size > mine.high * p.size:
            text += "; struck at the same rate per site, it meets fewer critical faults all the same"
        found.append(text + ".")
    return found
