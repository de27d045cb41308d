"""Relevance of all output channels of a task's network by a criterion."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import torch

from laxity.core.errors import ConfigError, TaskError
from laxity.core.registry import did_you_mean
from laxity.core.seeds import derive
from laxity.relevance.criterion import CRITERIA, Criterion, Scores, Subject
from laxity.sites.prepare import Prepared, prepare
from laxity.task.splits import batches
from laxity.task.task import Task

SPLITS = ("train", "calibration")
"""Splits that relevance may be judged on: a search must not learn from the others."""


def relevances(
    task: Task,
    criterion: str | Criterion,
    *,
    samples: int = 256,
    seed: int = 0,
    device: str | torch.device = "cpu",
    split: str = "train",
    prepared: Prepared | None = None,
    **options: Any,
) -> Scores:
    """How much each output channel of each site matters for the decisions of a task's network.

    The network is the original one in floating point, with its batch norms folded. Sites without a stored weight, such
    as products of two activations, and functional calls are left out.

    Args:
        task: network and data.
        criterion: a name in `CRITERIA`, or a criterion.
        samples: drawn from the split; all of them where it has fewer.
        seed: root seed of what is drawn.
        device: where the network runs.
        split: ``"train"`` or ``"calibration"``.
        prepared: the task's network, prepared, where this has been done already; it then stays on its device.
        options: fields of a criterion that is given by name.

    Returns:
        Per site float64 (output channels,), high where a channel matters. Numbers of different criteria cannot be
        compared.

    Raises:
        ConfigError: the split may not be used; the criterion has no such option or value.
        RegistryError: there is no criterion of this name.
        TaskError: the criterion cannot judge this network, or finds what is no number; names site or node.
        DataError: fewer than one sample is asked for.
    """
    if split not in SPLITS:
        raise ConfigError(f"relevance is judged on the split 'train' or 'calibration', not {split!r}")
    judge = _made(criterion, options)
    found = judge.scores(subject_of(task, samples=samples, seed=seed, device=device, split=split, prepared=prepared))
    for name, values in found.items():
        if not np.isfinite(values).all():
            raise TaskError(f"criterion {judge.kind!r} finds NaN or infinite relevance at site {name!r}; try 'taylor'")
    return found


def subject_of(
    task: Task,
    *,
    samples: int = 256,
    seed: int = 0,
    device: str | torch.device = "cpu",
    split: str = "train",
    prepared: Prepared | None = None,
) -> Subject:
    """What criteria look at; arguments as in `relevances`.

    Raises:
        DataError: fewer than one sample is asked for.
        TaskError: the network has no site with weights.
    """
    if prepared is None:
        prepared = prepare(task.model, task.example_input, device, task.exact)
    layers = {s.name: prepared.model.get_submodule(s.name) for s in prepared.sites if not s.functional}
    layers = {name: layer for name, layer in layers.items() if hasattr(layer, "weight")}
    if not layers:
        raise TaskError(f"task {task.name!r}: no site has weights, so no channel can be told to be relevant")
    generator = torch.Generator().manual_seed(derive(seed, "relevance", "samples"))
    (drawn,) = batches(task.splits()[split], max(samples, 1), generator=generator, limit=samples)
    where = prepared.example_input.device
    return Subject(prepared, layers, drawn[0].to(where), drawn[1].to(where), task.loss, seed)


def _made(criterion: str | Criterion, options: dict[str, Any]) -> Criterion:
    if isinstance(criterion, Criterion):
        if options:
            raise ConfigError(f"options {', '.join(options)} go with a name; set the fields of {criterion!r} instead")
        return criterion
    kind = CRITERIA[criterion]
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    for option in options:
        if option not in known:
            hint = did_you_mean(option, known) if known else "; it has none"
            raise ConfigError(f"criterion {criterion!r} has no option {option!r}{hint}")
    return kind(**options)
