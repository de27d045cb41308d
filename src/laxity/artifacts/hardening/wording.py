"""What a hardening found, in words."""

from __future__ import annotations

from laxity.artifacts.campaign.wording import fault_words, in_points
from laxity.artifacts.hardening.load import Gap, HardeningFile
from laxity.artifacts.page.numbers import number
from laxity.artifacts.report.hardening import (
    METRICS,
    OBJECTIVES,
    Share,
    added,
    fraction,
    grouped,
    in_brief,
    interval,
    label,
    level,
    verdict,
)

__all__ = [
    "METRICS",
    "OBJECTIVES",
    "added",
    "caution",
    "fault_words",
    "fraction",
    "gap",
    "grouped",
    "in_brief",
    "interval",
    "label",
    "level",
    "pill",
    "span",
    "title",
    "verdict",
]

TERMS = (
    (
        "SDC",
        "Silent data corruption: with the fault the predicted class is another one, and nothing tells.",
    ),
    (
        "DUE",
        "Detected unrecoverable error: a logit is NaN or infinite, or a protection gives the alarm. There is no "
        "prediction, but it can be noticed.",
    ),
    ("Critical", "SDC or DUE."),
    (
        "Share of faults",
        "Faults per fault that would strike the unprotected network in the same time. Check bits are struck too, so "
        "shares of a network with more bits are multiplied by its exposure, and may exceed 100 %.",
    ),
    (
        "Exposure",
        "Sites that can be struck, over those of the unprotected network.",
    ),
    (
        "Limit",
        "The upper end of the interval must not exceed it; an estimate below it is not enough.",
    ),
)
"""Terms of the page and what they mean."""


def span(share: Share) -> str:
    """A share with its interval, on one line."""
    value, between = interval(share)
    return f"{value} ({between})"


def title(file: HardeningFile) -> str:
    """The finding in one sentence."""
    metric, limit = METRICS[file.limit.metric], fraction(file.limit.share)
    if file.chosen is None or file.test is None:
        return f"No set of protections keeps {metric} below {limit}."
    kept = file.test.hardened.kept
    if not file.chosen.protections:
        if kept:
            return f"No protection is needed: {metric} stays below {limit} as the network is."
        return f"No protection seemed needed, but on the test split {metric} may exceed {limit}."
    more, of = added(file.objective_of(file.chosen), file.base), OBJECTIVES[file.objective]
    cost = f"{more.removeprefix('+')} more {of}" if more.startswith("+") else f"{more} {of}"
    words = in_brief(file.chosen.protections)
    words = words[:1].upper() + words[1:]
    if kept:
        return f"{words} keep {metric} below {limit}, for {cost}."
    return f"{words} take {cost}, but on the test split {metric} may exceed {limit}."


def pill(file: HardeningFile) -> tuple[str, str]:
    """Class and words of the verdict."""
    if file.test is None:
        return "unmet", "Limit not kept"
    return ("met", "Limit kept") if file.test.hardened.kept else ("unmet", "Limit missed on the test split")


def caution(file: HardeningFile) -> str:
    """How sure the verdict is, and from what it follows."""
    metric, limit = METRICS[file.limit.metric], file.limit
    said = f"the upper end of the {level(limit.confidence)} interval counts, and the limit is {fraction(limit.share)}"
    if file.chosen is None or file.test is None:
        least = min((p.share.high for p in file.tried), default=file.unprotected.share.high)
        start = (
            f"On the {file.subject.split} split {metric} of the unprotected network is {span(file.unprotected.share)}"
        )
        if not file.tried:
            return f"{start}; {said}. No set was tried."
        count = f"{len(file.tried)} {'set was' if len(file.tried) == 1 else 'sets were'} tried"
        return f"{start}; {said}. {count}; the smallest upper end is {fraction(least)}."
    one, two = file.test.unprotected, file.test.hardened
    samples = f"{number(two.share.samples, 9)} faults"
    start = f"Judged on the test split with {samples} that played no part in the choice"
    if not file.chosen.protections:
        return f"{start}: {metric} {span(one.share)}; {said}."
    return f"{start}: {metric} {span(one.share)} without protections, {span(two.share)} with them; {said}."


def gap(found: Gap) -> tuple[str, str]:
    """A difference of shares and its interval, in points."""
    half = (found.high - found.low) / 2
    return in_points(found.estimate, half), f"{in_points(found.low, half)} to {in_points(found.high, half)}"
