"""The base class of fault models, and their registry."""

from __future__ import annotations

import dataclasses
import math
import typing
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from laxity.core.errors import ConfigError
from laxity.core.registry import Registry, did_you_mean

Words = NDArray[np.unsignedinteger[Any]]
"""Stored words: the low `width_bits` bits of each element hold the word, all higher bits are zero."""

FAULTS: Registry[type[FaultModel]] = Registry("fault model", "laxity.faults")
"""Fault models by kind; other packages add theirs through the entry-point group ``laxity.faults``."""


@dataclasses.dataclass(frozen=True)
class FaultModel(ABC):
    """A way in which stored words go wrong, with its parameters.

    A subclass is a frozen dataclass whose fields are plain JSON values. It states `kind`, checks its own parameters in
    ``__post_init__`` (raising `ConfigError`, and calling the base's), and implements `corrupt`.

    Attributes:
        rate_per_bit: probability with which a stored bit is struck, 0 to 1. With 0 nothing ever changes.
    """

    kind: ClassVar[str]

    rate_per_bit: float

    def __post_init__(self) -> None:
        rate = self.rate_per_bit
        number = isinstance(rate, (int, float)) and not isinstance(rate, bool)
        if not number or not math.isfinite(rate) or not 0 <= rate <= 1:
            raise ConfigError(f"rate_per_bit of {self.kind!r} is a probability between 0 and 1, not {rate!r}")

    @abstractmethod
    def corrupt(self, words: Words, width_bits: int, rng: np.random.Generator) -> Words:
        """Return the words as they are read after the fault.

        Args:
            words: unsigned integers of any shape, read-only; every element is below ``2**width_bits``.
            width_bits: stored bits per word, at most the width of the array's type.
            rng: the only source of randomness.

        Returns:
            A new array of the same shape and type, every element below ``2**width_bits``.
        """

    def at(self, rate_per_bit: float) -> Self:
        """The same fault model at another rate.

        Raises:
            ConfigError: the rate is not a probability.
        """
        return dataclasses.replace(self, rate_per_bit=rate_per_bit)

    def to_json(self) -> dict[str, Any]:
        """``{"kind": ..., parameter: value, ...}``."""
        return {"kind": self.kind, **{f.name: getattr(self, f.name) for f in dataclasses.fields(self)}}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> FaultModel:
        """Rebuild a fault model from its JSON form.

        Raises:
            RegistryError: unknown kind.
            ConfigError: unknown or missing parameter, or a value of another type or out of range.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("kind"), str):
            raise ConfigError(f"a fault model must be an object with a 'kind', not {data!r}")
        model = FAULTS[data["kind"]]
        fields = {f.name: f for f in dataclasses.fields(model)}
        given = {k: v for k, v in data.items() if k != "kind"}
        for key in given:
            if key not in fields:
                raise ConfigError(f"fault model {data['kind']!r} has no parameter {key!r}{did_you_mean(key, fields)}")
        for name, field in fields.items():
            if name not in given and field.default is dataclasses.MISSING:
                raise ConfigError(f"fault model {data['kind']!r} needs parameter {name!r}")
        _check_types(model, given)
        return model(**given)


def _check_types(model: type[FaultModel], given: Mapping[str, Any]) -> None:
    hints = typing.get_type_hints(model)
    for key, value in given.items():
        expected = hints[key]
        whole = expected is float and type(value) is int
        if isinstance(expected, type) and type(value) is not expected and not whole:
            raise ConfigError(
                f"parameter {key!r} of fault model {model.kind!r} must be {expected.__name__}, not {value!r}"
            )
