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
from laxity.faults import FaultModel
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
            if layer.operand is not None and layer.operand.input.holds_nan:
                continue
            layer.register_forward_pre_hook(_convert_nan)
    return own, memories


def _convert_nan(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(torch.nan_to_num(x, nan=0.0) for x in inputs)


def strike(memories: Iterable[WeightMemory], fault: FaultModel, seed: int) -> bool:
    """Write corrupted words into memories, each with its own stream; return whether any word changed.

    Raises:
        ConfigError: the fault model gives words of another shape or type.
        DataError: the fault model gives words that are too wide.
    """
    changed = False
    for memory in memories:
        words = fault.corrupt(memory.words, memory.layout, stream(seed, "faults", memory.name))
        if words.shape != memory.words.shape or words.dtype != memory.words.dtype:
            raise ConfigError(
                f"fault model {fault.kind!r} turned words {memory.words.dtype} {memory.words.shape} into "
                f"{words.dtype} {words.shape}; corrupt() must keep type and shape"
            )
        if not np.array_equal(words, memory.words):
            memory.write(words)
            changed = True
    return changed
