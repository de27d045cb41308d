"""Conformance check for fault models: what every one must satisfy, whoever wrote it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from laxity.core.errors import ConfigError, LaxityError
from laxity.core.seeds import stream
from laxity.faults import FAULTS, FaultModel, Words

_LAYOUTS = (("uint8", 3), ("uint8", 8), ("uint16", 16), ("uint32", 8), ("uint32", 32), ("uint64", 64))
_SHAPES = ((0,), (1,), (257,), (6, 5, 3))


def check_fault_model(fault: FaultModel) -> None:
    """Check that a fault model behaves as laxity relies on.

    Corrupted words come in a new array of the same shape and type and stay inside their width, for all types of words;
    the given words stay as they are; the generator is the only source of randomness; at rate 0 nothing changes, at the
    highest rate something does; the model is registered, and its JSON form gives an equal model.

    Args:
        fault: the fault model to check.

    Raises:
        ConfigError: lists every property that does not hold.
    """
    problems = list(_identity_problems(fault))
    for dtype, width_bits in _LAYOUTS:
        for shape in _SHAPES:
            words = example_words(dtype, width_bits, shape)
            where = f"{width_bits}-bit words in {dtype} {shape}"
            problems += [f"{where}: {problem}" for problem in _word_problems(fault, words, width_bits)]
    problems += _effect_problems(fault)
    if problems:
        listed = "".join(f"\n- {problem}" for problem in problems)
        raise ConfigError(f"fault model {type(fault).__name__} does not conform:{listed}")


def example_words(dtype: str, width_bits: int, shape: tuple[int, ...]) -> Words:
    """Random words with all widths used, read-only."""
    bits = stream(0, "check_fault_model", dtype, width_bits).integers(0, 2, (width_bits, *shape), np.uint8)
    words = np.zeros(shape, dtype)
    for position, plane in enumerate(bits):
        words |= np.left_shift(plane.astype(dtype), np.asarray(position, dtype))
    words.flags.writeable = False
    return words


def _identity_problems(fault: FaultModel) -> Iterator[str]:
    kind = getattr(fault, "kind", None)
    if not isinstance(kind, str) or kind not in FAULTS or FAULTS[kind] is not type(fault):
        yield f"kind {kind!r} is not registered for this class; decorate it with @FAULTS.register"
        return
    try:
        if FaultModel.from_json(json.loads(json.dumps(fault.to_json(), allow_nan=False))) != fault:
            yield "its JSON form gives a different fault model"
        hash(fault)
    except (TypeError, ValueError, LaxityError) as error:
        yield f"it has no JSON form, or is not a frozen dataclass: {error}"
    for wrong in (-0.1, 1.1, float("nan")):
        try:
            fault.at(wrong)
        except ConfigError:
            continue
        yield f"rate_per_bit {wrong} is accepted; call super().__post_init__()"


def _word_problems(fault: FaultModel, words: Words, width_bits: int) -> Iterator[str]:
    before = words.copy()
    try:
        first = fault.corrupt(words, width_bits, stream(1, "check"))
        second = fault.corrupt(words, width_bits, stream(1, "check"))
        harmless = fault.at(0.0).corrupt(words, width_bits, stream(1, "check"))
    except (ValueError, TypeError, IndexError, OverflowError, LaxityError) as error:
        yield f"corrupt() fails, perhaps on words that are read-only: {error}"
        return
    if not isinstance(first, np.ndarray) or first.shape != words.shape or first.dtype != words.dtype:
        yield "shape or type of the words is not kept"
        return
    if not np.array_equal(words, before):
        yield "the given words are changed"
    if first.size and (np.shares_memory(first, words) or np.shares_memory(harmless, words)):
        yield "the result is not a new array"
    if first.size and int(first.max()) >> width_bits:
        yield f"a word has more than {width_bits} bits"
    if not np.array_equal(first, second):
        yield "equal generators give different words; draw from rng only"
    if not np.array_equal(harmless, before):
        yield "words change at rate 0"


def _effect_problems(fault: FaultModel) -> Iterator[str]:
    words = example_words("uint32", 32, (64,))
    try:
        struck = fault.at(1.0).corrupt(words, 32, stream(2, "check"))
    except (ValueError, TypeError, IndexError, OverflowError, LaxityError) as error:
        yield f"corrupt() fails at rate 1: {error}"
        return
    if np.array_equal(struck, words):
        yield "nothing changes at rate 1"
