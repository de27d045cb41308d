"""Conformance check for fault models: what every one must satisfy, whoever wrote it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from laxity.core.errors import ConfigError, LaxityError
from laxity.core.seeds import stream
from laxity.faults import FAULTS, FLOAT16, FLOAT32, FLOAT64, FaultModel, FloatLayout, IntegerLayout, Layout, Words

_LAYOUTS: tuple[tuple[str, Layout], ...] = (
    ("uint8", IntegerLayout(3)),
    ("uint8", FloatLayout(4, 3, specials="nan")),
    ("uint16", FLOAT16),
    ("uint32", IntegerLayout(8, True)),
    ("uint32", IntegerLayout(8, zero=np.arange(257) % 256)),
    ("uint32", FLOAT32),
    ("uint64", FLOAT64),
)
_SHAPES = ((0,), (1,), (257,), (6, 5, 3))
_FAILURES = (ValueError, TypeError, IndexError, OverflowError, LaxityError)


def check_fault_model(fault: FaultModel) -> None:
    """Check that a fault model behaves as laxity relies on.

    Corrupted and struck words come in a new array of the same shape and type and stay inside their width, for all
    layouts and types of words; the given words stay as they are; the generator, or the random words, are the only
    source of randomness; at rate 0 nothing changes, at the highest rate something does. What is read of a struck word
    depends on that word, its bit and its random words alone, and differs from it in bits that `FaultModel.reach` names
    only. The model is registered, and its JSON form gives an equal model.

    Args:
        fault: the fault model to check.

    Raises:
        ConfigError: lists every property that does not hold.
    """
    problems = list(_identity_problems(fault))
    for dtype, layout in _LAYOUTS:
        kind = f"{layout.width_bits}-bit {layout.form} words in {dtype}"
        for shape in _SHAPES:
            words = example_words(dtype, layout.width_bits, shape)
            some = layout.at(np.arange(words.size))
            problems += [f"{kind} {shape}: {problem}" for problem in _corrupt_problems(fault, words, some)]
        struck = example_words(dtype, layout.width_bits, (257,))
        problems += [f"{kind}: {problem}" for problem in _strike_problems(fault, struck, layout)]
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
    if fault.unit not in ("bit", "word"):
        yield f"unit is {fault.unit!r}, not 'bit' or 'word'"
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


def _corrupt_problems(fault: FaultModel, words: Words, layout: Layout) -> Iterator[str]:
    before = words.copy()
    try:
        first = fault.corrupt(words, layout, stream(1, "check"))
        second = fault.corrupt(words, layout, stream(1, "check"))
        harmless = fault.at(0.0).corrupt(words, layout, stream(1, "check"))
    except _FAILURES as error:
        yield f"corrupt() fails, perhaps on words that are read-only: {error}"
        return
    yield from _form_problems(first, words, before, layout.width_bits)
    if not np.array_equal(first, second):
        yield "equal generators give different words; draw from rng only"
    if not np.array_equal(harmless, before):
        yield "words change at rate 0"


def _form_problems(found: Words, words: Words, before: Words, width_bits: int) -> Iterator[str]:
    if not isinstance(found, np.ndarray) or found.shape != words.shape or found.dtype != words.dtype:
        yield "shape or type of the words is not kept"
        return
    if not np.array_equal(words, before):
        yield "the given words are changed"
    if found.size and np.shares_memory(found, words):
        yield "the result is not a new array"
    if found.size and int(found.max()) >> width_bits:
        yield f"a word has more than {width_bits} bits"


def _strike_problems(fault: FaultModel, words: Words, layout: Layout) -> Iterator[str]:
    rng, before = stream(3, "check"), words.copy()
    bits = rng.integers(0, layout.width_bits, len(words))
    random = rng.integers(0, 1 << 64, (len(words), fault.draws_per_fault), np.uint64)
    half = np.arange(0, len(words), 2)
    try:
        found = fault.strike(words, layout, bits, random)
        again = fault.strike(words, layout, bits, random)
        part = fault.strike(words[half], layout.at(half), bits[half], random[half])
        reach = fault.reach(layout, bits)
    except _FAILURES as error:
        yield f"strike() fails, perhaps on words that are read-only: {error}"
        return
    shapes = list(_form_problems(found, words, before, layout.width_bits))
    yield from (f"strike(): {problem}" for problem in shapes)
    if shapes:
        return
    if not np.array_equal(found, again) or not np.array_equal(found[half], part):
        yield "strike() depends on more than each word with its bit and its random words"
    if np.any((found ^ words).astype(np.uint64) & ~reach):
        yield "strike() changes bits that reach() does not name"


def _effect_problems(fault: FaultModel) -> Iterator[str]:
    words = example_words("uint32", 32, (64,))
    try:
        struck = fault.at(1.0).corrupt(words, FLOAT32, stream(2, "check"))
    except _FAILURES as error:
        yield f"corrupt() fails at rate 1: {error}"
        return
    if np.array_equal(struck, words):
        yield "nothing changes at rate 1"
