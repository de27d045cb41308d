"""Inject faults into the weight memories of a copy of a model."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from laxity.core.errors import ConfigError
from laxity.core.seeds import stream
from laxity.emulate.build import emulated
from laxity.evaluation.memory import WeightMemory, weight_memories
from laxity.faults import FaultModel, IntegerLayout, Layout, Words
from laxity.faults.layout import IntArray
from laxity.sites.composites import open_composites


def inject(
    model: nn.Module, fault: FaultModel, *, seed: int, example_input: Tensor | None = None, exact: Sequence[str] = ()
) -> nn.Module:
    """Return a copy of a model with faults in its stored weights.

    The faults of a site depend on the seed, the fault model, and the site's name and stored words only. With the seed
    of `laxity.evaluation.reliability.trial_seed` the copy is exactly the model of that trial of a sweep.

    Args:
        model: an approximated model (its integer codes are struck) or any other (its floating-point words are); it is
            not changed.
        fault: what happens to the words.
        seed: root seed.
        example_input: float32 (1, ...); needed only where a forward method passes weights to functions itself.
        exact: patterns of composite modules (attention, recurrent layers) to leave closed, as in `find_sites`; their
            weights are then fault-free.

    Returns:
        A deep copy in evaluation mode.

    Raises:
        TaskError: the model stores no weights of convolutions or linear layers, or of an unknown type.
        ConfigError: the fault model gives words of another shape or type.
        DataError: the fault model gives words that are too wide.
    """
    struck, memories = private_copy(model, example_input, exact)
    strike(memories, fault, seed)
    return struck


def private_copy(
    model: nn.Module, example_input: Tensor | None, exact: Sequence[str] = ()
) -> tuple[nn.Module, list[WeightMemory]]:
    """A deep copy in evaluation mode whose weights can be struck, and its memories; its composite modules are opened.

    In a model that mixes floating point and integers, NaN is turned into 0 where it enters an integer site, because an
    integer cannot hold it, and infinities into the largest numbers, which saturate.
    """
    own = open_composites(copy.deepcopy(model), exact).eval()
    memories = weight_memories(own, example_input)
    if not all(m.finite for m in memories):
        for layer in emulated(own):
            if layer.operand is None or layer.operand.input.holds_nan:
                continue
            layer.register_forward_pre_hook(_convert_nan)
    return own, memories


def _convert_nan(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(torch.nan_to_num(x, nan=0.0) for x in inputs)


def strike(memories: Iterable[WeightMemory], fault: FaultModel, seed: int) -> bool:
    """Write corrupted words into memories, each with its own stream; return whether any word changed.

    Protected memories are struck as they are stored, check bits among them, and what is written is what the protection
    reads. Its alarms are not told.

    Raises:
        ConfigError: the fault model gives words of another shape or type.
        DataError: the fault model gives words that are too wide.
    """
    changed = False
    for memory in memories:
        words = _corrupted(memory, fault, stream(seed, "faults", memory.name))
        if not np.array_equal(words, memory.words):
            memory.write(words)
            changed = True
    return changed


def _corrupted(memory: WeightMemory, fault: FaultModel, rng: np.random.Generator) -> Words:
    """What a memory is read as where every bit is struck at the rate."""
    if memory.protection is None:
        return _all_struck(fault, memory.words, memory.layout, rng)
    struck = stored_words(fault, memory, _all_struck(fault, struck_words(fault, memory), memory.layout, rng))
    flips = np.zeros(0, np.uint64)
    if memory.check_width:
        flips = memory.checks ^ _all_struck(fault, memory.checks, IntegerLayout(memory.check_width), rng)
    return memory.protection.read_all(memory.stored, struck, memory.layout, flips)[0]


def struck_words(fault: FaultModel, memory: WeightMemory) -> Words:
    """The words that a fault model strikes: bits of what is stored, or words as a whole by what they mean."""
    return memory.stored if fault.unit == "bit" else memory.words


def stored_words(fault: FaultModel, memory: WeightMemory, struck: Words, places: IntArray | None = None) -> Words:
    """What lies in memory after `struck_words`, all or those at some places, have become `struck`.

    A fault of a whole word leaves check bits that stand in it as they are.
    """
    if fault.unit == "bit" or memory.stored is memory.words:
        return struck
    change = memory.words ^ memory.stored
    found: Words = struck ^ (change if places is None else change[places]).astype(struck.dtype)
    return found


def _all_struck(fault: FaultModel, words: Words, layout: Layout, rng: np.random.Generator) -> Words:
    """All words after faults at the rate.

    Raises:
        ConfigError: the fault model gives words of another shape or type.
    """
    struck = fault.corrupt(words, layout, rng)
    if struck.shape != words.shape or struck.dtype != words.dtype:
        raise ConfigError(
            f"fault model {fault.kind!r} turned words {words.dtype} {words.shape} into {struck.dtype} {struck.shape}; "
            "corrupt() must keep type and shape"
        )
    return struck
