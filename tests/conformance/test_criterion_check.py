"""Every built-in criterion passes its check, and the check notices what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

from laxity.core.errors import ConfigError
from laxity.relevance import CRITERIA, Criterion
from laxity.testing import check_criterion


@pytest.mark.parametrize("name", CRITERIA.names())
def test_built_in(name):
    check_criterion(CRITERIA[name]())


def scores_of(subject, value=1.0):
    return {name: np.full(len(layer.weight), value) for name, layer in subject.layers.items()}


def missing(subject):
    return {}


def narrow(subject):
    return {name: values.astype(np.float32) for name, values in scores_of(subject).items()}


def infinite(subject):
    return scores_of(subject, np.inf)


def unsteady(subject):
    return scores_of(subject, np.random.default_rng().random())


def hooked(subject):
    subject.layers["conv1"].register_forward_hook(lambda *_: None)
    return scores_of(subject)


def changed(subject):
    subject.layers["conv1"].weight.data += 1
    return scores_of(subject)


def failing(subject):
    raise ValueError("no such thing")


def short(subject):
    return {name: values[:-1] for name, values in scores_of(subject).items()}


@pytest.mark.parametrize(
    ("way", "message"),
    [
        (missing, "not for"),
        (narrow, "no float64 array"),
        (infinite, "NaN or infinite"),
        (unsteady, "equal seeds give different scores"),
        (hooked, "hooks are left"),
        (changed, "network or samples are changed"),
        (failing, "ValueError: no such thing"),
        (short, "no float64 array of shape"),
    ],
)
def test_what_is_wrong_is_noticed(way, message):
    @dataclass(frozen=True)
    class Bad(Criterion):
        kind: ClassVar[str] = "bad"

        def scores(self, subject):
            with torch.no_grad():
                return way(subject)

    with pytest.raises(ConfigError, match=message) as raised:
        check_criterion(Bad())
    assert "kind 'bad' is not registered" in str(raised.value)


def test_a_class_that_can_be_changed_is_noticed():
    class Loose(Criterion):
        def scores(self, subject):
            return scores_of(subject)

    with pytest.raises(ConfigError, match="no frozen dataclass"):
        check_criterion(Loose())
