"""Conformance check for criteria of relevance: what every one must satisfy, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from laxity.core.errors import ConfigError, LaxityError
from laxity.relevance import CRITERIA, Criterion, Subject, subject_of
from laxity.relevance.channels import channel_count
from laxity.task.load import load_task

_SAMPLES = 24


def check_criterion(criterion: Criterion) -> None:
    """Check that a criterion behaves as laxity relies on, on the embedded task.

    It is registered under its kind and is a frozen dataclass; it gives one finite number in float64 per output channel
    of every site; equal seeds give equal numbers; network and samples stay as they are, without hooks left behind.

    Args:
        criterion: the criterion to check.

    Raises:
        ConfigError: lists every property that does not hold.
    """
    problems = list(_identity_problems(criterion))
    try:
        problems += _score_problems(criterion, subject_of(load_task("digits"), samples=_SAMPLES, seed=1))
    except (ValueError, TypeError, KeyError, IndexError, RuntimeError, LaxityError) as error:
        problems.append(f"scores() fails: {type(error).__name__}: {error}")
    if problems:
        listed = "".join(f"\n- {problem}" for problem in problems)
        raise ConfigError(f"criterion {type(criterion).__name__} does not conform:{listed}")


def _identity_problems(criterion: Criterion) -> Iterator[str]:
    kind = criterion.kind
    if kind not in CRITERIA or CRITERIA[kind] is not type(criterion):
        yield f"kind {kind!r} is not registered for this class; decorate it with @CRITERIA.register"
    parameters = getattr(type(criterion), "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        yield "it is no frozen dataclass"


def _score_problems(criterion: Criterion, subject: Subject) -> Iterator[str]:
    model = subject.prepared.model
    before = [value.clone() for value in (*model.state_dict().values(), subject.inputs, subject.targets)]
    first, second = criterion.scores(subject), criterion.scores(subject)
    after = [*model.state_dict().values(), subject.inputs, subject.targets]
    if not all(map(_equal, before, after)):
        yield "network or samples are changed"
    if any(module._forward_hooks or module._forward_pre_hooks for module in model.modules()):
        yield "hooks are left on the network"
    if list(first) != list(subject.layers):
        yield f"it gives scores for {list(first)}, not for {list(subject.layers)}"
        return
    for name, layer in subject.layers.items():
        values, wanted = first[name], (channel_count(layer),)
        if not isinstance(values, np.ndarray) or values.dtype != np.float64 or values.shape != wanted:
            yield f"site {name!r}: scores are no float64 array of shape {wanted}"
        elif not np.isfinite(values).all():
            yield f"site {name!r}: scores are NaN or infinite"
        elif not np.array_equal(values, second[name]):
            yield f"site {name!r}: equal seeds give different scores; draw from laxity.core.seeds.stream only"


def _equal(before: object, after: object) -> bool:
    return bool((before == after).all())  # type: ignore[attr-defined]
