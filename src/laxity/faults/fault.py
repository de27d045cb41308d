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
from laxity.faults.layout import IntArray, Layout
from laxity.faults.masks import bit_mask, full_word, one_bit
from laxity.faults.words import Words

Random = NDArray[np.uint64]

FAULTS: Registry[type[FaultModel]] = Registry("fault model", "laxity.faults")
"""Fault models by kind; other packages add theirs through the entry-point group ``laxity.faults``."""


@dataclasses.dataclass(frozen=True)
class FaultModel(ABC):
    """A way in which stored words go wrong, with its parameters.

    A subclass is a frozen dataclass whose fields are plain JSON values. It states `kind`, checks its own parameters in
    ``__post_init__`` (raising `ConfigError`, and calling the base's), and implements `read`. Where what is read depends
    on more than the word and its struck bit, it states in `draws` how many random numbers `read` needs; where
    a fault of a bit changes other bits too, it overrides `reach`; where bits are struck in another way than
    independently at a rate, `corrupt`.

    How long a fault lasts is said by where it strikes. In stored weights it is *permanent* as long as the data stay:
    every inference reads the same wrong words. In activations, which every inference writes anew, it is *transient*: it
    meets one inference. A fault that stays but shows in some inferences only is *intermittent*; `activity` is the
    probability of that, drawn anew for every word that is struck.

    Attributes:
        unit: what is struck, a ``bit`` or a ``word`` as a whole.
        draws: uniform words of 64 bits that `read` needs per struck word.
        rate_per_bit: probability with which a stored bit is struck, 0 to 1; a word is struck as a whole when any of its
            bits is. With 0 nothing ever changes.
        activity: probability with which a fault shows where it strikes, above 0, at most 1.
    """

    kind: ClassVar[str]
    unit: ClassVar[str] = "bit"
    draws: ClassVar[int] = 0

    rate_per_bit: float
    activity: float = dataclasses.field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        if not is_number(self.rate_per_bit) or not 0 <= self.rate_per_bit <= 1:
            raise ConfigError(
                f"rate_per_bit of {self.kind!r} is a probability between 0 and 1, not {self.rate_per_bit!r}"
            )
        if not is_number(self.activity) or not 0 < self.activity <= 1:
            raise ConfigError(
                f"activity of {self.kind!r} is a probability above 0 and at most 1, not {self.activity!r}"
            )

    @property
    def draws_per_fault(self) -> int:
        """Random words that `strike` needs per struck word: those of `read`, and one for `activity` below 1."""
        return self.draws + (self.activity < 1)

    @abstractmethod
    def read(self, words: Words, layout: Layout, bits: IntArray, random: Random) -> Words:
        """Words as they are read where a fault shows; a pure function, word by word.

        Args:
            words: struck words, unsigned (n,), read-only.
            layout: what these words mean.
            bits: the struck bit of each, 0 the least significant, int64 (n,); of no meaning to faults of whole words.
            random: the only source of randomness, uniform uint64 (n, draws).

        Returns:
            A new array of the same shape and type, every element inside the layout's width.
        """

    def reach(self, layout: Layout, bits: IntArray) -> Random:
        """The bits that one fault can change, as masks: uint64 (n,).

        Args:
            layout: of the struck words.
            bits: the struck bit of each, int64 (n,).
        """
        if self.unit == "bit":
            return one_bit(bits, np.dtype(np.uint64))
        return np.full(len(bits), full_word(layout.width_bits), np.uint64)

    def strike(self, words: Words, layout: Layout, bits: IntArray, random: Random) -> Words:
        """Words as they are read in one inference after one fault each, word by word.

        Args:
            words: struck words, unsigned (n,).
            layout: what these words mean; of a memory's layout, that `at` their places.
            bits: the struck bit of each, 0 the least significant, int64 (n,); ignored by faults of whole words.
            random: uniform uint64 (n, draws_per_fault), fresh for every inference of an intermittent fault.

        Returns:
            A new array of the same shape and type.
        """
        found = self.read(words, layout, bits, random[:, : self.draws])
        if self.activity == 1:
            return found
        return np.where(uniform(random[:, self.draws]) < self.activity, found, words)

    def corrupt(self, words: Words, layout: Layout, rng: np.random.Generator) -> Words:
        """Words as they are read where every bit is struck at the rate, independently of all others.

        A word with several struck bits is struck by one after the other, from the least significant up; a fault of
        whole words strikes it once.

        Args:
            words: unsigned integers of any shape, read-only; every element is inside the layout's width.
            layout: what the words mean.
            rng: the only source of randomness.

        Returns:
            A new array of the same shape and type, every element inside the layout's width.

        Raises:
            ConfigError: the words do not fit the array's type.
        """
        found = words.reshape(-1).copy()
        left = bit_mask(found, layout.width_bits, self.rate_per_bit, rng)
        struck = np.flatnonzero(left != 0)
        while len(struck):
            rest = left[struck] & (left[struck] - words.dtype.type(1))
            bits = np.bitwise_count((left[struck] ^ rest) - words.dtype.type(1)).astype(np.int64)
            random = rng.integers(0, 1 << 64, (len(struck), self.draws_per_fault), np.uint64)
            found[struck] = self.strike(found[struck], layout.at(struck), bits, random)
            if self.unit == "word":
                break
            left[struck] = rest
            struck = struck[rest != 0]
        return found.reshape(words.shape)

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


def uniform(random: Random) -> NDArray[np.float64]:
    """Numbers from 0 up to but without 1, of 53 bits each, from random words; float64 of the same shape."""
    numbers: NDArray[np.float64] = (random >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return numbers


def is_number(value: Any) -> bool:
    """Whether a parameter is a finite number; truth values are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _check_types(model: type[FaultModel], given: Mapping[str, Any]) -> None:
    hints = typing.get_type_hints(model)
    for key, value in given.items():
        expected = hints[key]
        whole = expected is float and type(value) is int
        if isinstance(expected, type) and type(value) is not expected and not whole:
            raise ConfigError(
                f"parameter {key!r} of fault model {model.kind!r} must be {expected.__name__}, not {value!r}"
            )
