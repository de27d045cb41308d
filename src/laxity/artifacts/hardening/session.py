"""Harden a network from beginning to end: search on validation data, judge on test data, write everything down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from laxity.artifacts.folder import result_folder
from laxity.artifacts.hardening.documents import document_of, estimator
from laxity.artifacts.hardening.load import CAMPAIGNS, DOCUMENT
from laxity.artifacts.hardening.render import write_hardening
from laxity.campaign import Aim, Source, Subject, difference, run_campaign, same_faults, summary
from laxity.core.plan import Plan
from laxity.core.records import Cost
from laxity.core.seeds import derive
from laxity.core.serial import to_json, write_json
from laxity.emulate.protect import protect
from laxity.emulate.weights import save_state
from laxity.evaluation.evaluator import Evaluator, versions
from laxity.evaluation.quality import predict
from laxity.search.harden import Hardening, Limit, Means, Tell, candidates, harden
from laxity.task import Task

PLAN, WEIGHTS = "plan.json", "model.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A network to be hardened.

    Attributes:
        evaluator: of its task, on its target.
        plan: that it was built from.
        model: as built, with its weights.
    """

    evaluator: Evaluator
    plan: Plan
    model: nn.Module


Opening = Callable[[], Network]
"""Gives the network; equal openings give equal networks, and it is picklable where there are several processes."""

_open_networks: list[tuple[Opening, Network]] = []


def opened(opening: Opening) -> Network:
    """The network of an opening; the last one is kept in the process."""
    if not _open_networks or _open_networks[0][0] != opening:
        _open_networks[:] = [(opening, opening())]
    return _open_networks[0][1]


def harden_network(
    opening: Opening,
    subject: Subject,
    limit: Limit,
    *,
    folder: Path,
    command: str,
    kinds: Sequence[str] | None = None,
    objective: str = "energy_pj",
    executor: Executor | None = None,
    progress: Tell | None = None,
) -> dict[str, Any]:
    """Find the cheapest protections within a limit, and judge the result on the test split with faults of its own.

    The folder gets ``hardening.json``, its page ``report.html``, and where a set was accepted ``plan.json`` and
    ``model.safetensors``. The same call again goes on where it was ended.

    Args:
        opening: of the network.
        subject: what strikes; its split decides. If that is ``test``, its first half does, and its second judges.
        limit: to be kept.
        folder: made where it is missing.
        command: for the record.
        kinds: techniques that may be used; all that protect if None.
        objective: field of `Cost` that is to stay small.
        executor: where faults are tried; this process if None.
        progress: called with (what, done, total).

    Returns:
        The content of ``hardening.json``.

    Raises:
        LaxityError: bad input, or a campaign failed; finished faults are kept.
    """
    result_folder(folder, "the hardened network")
    network = opened(opening)
    if subject.split == "test":
        subject = replace(subject, images=len(network.evaluator.task.test) // 2)
    means = _means(opening, folder, objective, executor, progress)
    choices = candidates(network.evaluator.prepared.sites, kinds)
    found = harden(network.plan, choices, subject, limit, means)
    document = {
        "command": command,
        "versions": versions(),
        "task": network.evaluator.task.name,
        "target": network.evaluator.target.name,
        "subject": subject,
        "objective": objective,
        **document_of(found, means),
        "test": None if found.chosen is None else _test(opening, found, subject, limit, means),
    }
    plain: dict[str, Any] = to_json(document)
    if found.chosen is not None:
        write_json(folder / PLAN, found.chosen.plan.to_json())
        save_state(_protected(network, found.chosen.plan), folder / WEIGHTS)
    write_json(folder / DOCUMENT, plain)
    write_hardening(folder)
    return plain


def _means(opening: Opening, folder: Path, objective: str, executor: Executor | None, progress: Tell | None) -> Means:
    network = opened(opening)
    return Means(
        build=lambda plan: _source(opening, plan),
        price=lambda plan: _price(network, plan),
        estimate=estimator(network.evaluator, network.model),
        objective=objective,
        folder=folder / CAMPAIGNS,
        executor=executor,
        tell=progress,
    )


def _protected(network: Network, plan: Plan) -> nn.Module:
    evaluator = network.evaluator
    return protect(network.model, evaluator.prepared, plan, evaluator.inputs)


def _struck(opening: Opening, plan: dict[str, Any]) -> tuple[nn.Module, Task]:
    network = opened(opening)
    return _protected(network, Plan.from_json(plan)), network.evaluator.task


def _source(opening: Opening, plan: Plan) -> Source:
    return partial(_struck, opening, plan.to_json())


def _price(network: Network, plan: Plan) -> Cost:
    return network.evaluator.cost(plan, _protected(network, plan))


def _test(opening: Opening, found: Hardening, subject: Subject, limit: Limit, means: Means) -> dict[str, Any]:
    """Accuracy and faults of both networks on the test split, with a seed of its own."""
    assert found.chosen is not None  # the caller has looked
    half = len(opened(opening).evaluator.task.test) // 2
    skip = half if subject.split == "test" else 0
    fresh = replace(subject, split="test", images=0, skip=skip, seed=derive(subject.seed, "hardened", "test"))
    network, document, campaigns = opened(opening), {}, []
    for name, point in (("unprotected", found.unprotected), ("hardened", found.chosen)):
        campaigns.append(
            run_campaign(
                _source(opening, point.plan),
                fresh,
                Aim(limit.confidence, faults=limit.faults),
                folder=None if means.folder is None else means.folder / f"test-{name}",
                executor=means.executor,
            )
        )
        quality = predict(_protected(network, point.plan), network.evaluator.task, "test").quality()
        share = campaigns[-1].interval(limit.metric).scaled(point.exposure)
        document[name] = {
            "quality": quality,
            "share": share,
            "due": campaigns[-1].interval("due").scaled(point.exposure),
            "kept": share.high <= limit.share,
            "campaign": summary(campaigns[-1]),
        }
    first, second = campaigns
    common = same_faults(first, second)
    return {**document, "difference": difference(first, second, limit.metric) if common else None}
