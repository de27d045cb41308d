"""The weight memories of a model: every stored weight as a word of bits that a fault can strike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from laxity.core.errors import PlanError, TaskError
from laxity.emulate.build import emulated
from laxity.emulate.functional import FunctionalModel
from laxity.emulate.layer import EmulatedLayer
from laxity.faults import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    FloatLayout,
    IntegerLayout,
    Layout,
    ListedLayout,
    Words,
    decode,
    encode,
)
from laxity.faults.protection import StorageProtection
from laxity.sites.find import run_recorded
from laxity.sites.layers import MODULE_TYPES, plain_layer
from laxity.sites.trace import LAYERS, argument
from laxity.techniques.data.floats import FloatWeight
from laxity.techniques.data.operands import WeightCoder

_FORMATS: dict[torch.dtype, tuple[torch.dtype, type[np.unsignedinteger[Any]], Layout]] = {
    torch.float16: (torch.int16, np.uint16, FLOAT16),
    torch.bfloat16: (torch.int16, np.uint16, BFLOAT16),
    torch.float32: (torch.int32, np.uint32, FLOAT32),
    torch.float64: (torch.int64, np.uint64, FLOAT64),
}
"""Integer type of the same width in torch, its unsigned counterpart in numpy, and what its bits mean."""


class WeightMemory(ABC):
    """The stored weights of one site.

    Attributes:
        name: of the site; the same in the original and in the approximated model.
        words: what is stored, unsigned (n,), read-only.
        layout: what the words mean; ``layout.at(places)`` of some of them.
        form: the number format, in words.
        sparse: only weights that are not zero are stored.
        finite: no word stands for NaN or infinity.
        protection: of these words, or None.
    """

    finite = False
    protection: StorageProtection | None = None

    def __init__(self, name: str, words: Words, layout: Layout, form: str, sparse: bool) -> None:
        words.flags.writeable = False
        self.name, self.words, self.layout, self.form, self.sparse = name, words, layout, form, sparse

    @property
    def width_bits(self) -> int:
        """Bits per word."""
        return self.layout.width_bits

    @cached_property
    def stored(self) -> Words:
        """The words as they lie in memory, with check bits where these have their place among them; read-only."""
        if self.protection is None:
            return self.words
        found = self.protection.stored(self.words, self.layout)
        found.flags.writeable = False
        return found

    @property
    def check_width(self) -> int:
        """Bits per check word; 0 where nothing is stored besides."""
        if self.protection is None or not self.check_words:
            return 0
        return self.protection.check_width(self.width_bits)

    @property
    def check_words(self) -> int:
        """Check words that are stored besides."""
        return 0 if self.protection is None else self.protection.check_words(len(self.words), self.width_bits)

    @cached_property
    def checks(self) -> Words:
        """The check words, uint64 (check_words,), read-only."""
        if self.protection is None:
            return np.zeros(0, np.uint64)
        found = self.protection.checks(self.words, self.layout)
        found.flags.writeable = False
        return found

    def protect(self, protection: StorageProtection | None, channels: NDArray[np.int64]) -> None:
        """Protect the memory.

        Args:
            protection: or None.
            channels: output channel of every word, int64 (n,).
        """
        self.protection = None if protection is None else protection.written(self.words, self.layout, channels)

    @abstractmethod
    def write(self, words: Words) -> None:
        """Let the model compute with these words, in the order of `words`, instead of the stored ones."""

    @abstractmethod
    def restore(self) -> None:
        """Let the model compute with the stored words again."""

    @abstractmethod
    def changed(self, places: NDArray[np.int64], words: Words) -> tuple[NDArray[np.int64], Tensor]:
        """What other words at some places mean; nothing is written.

        Args:
            places: in `words`, int64 (n,).
            words: what is read there, unsigned (n,).

        Returns:
            Places in the flattened weight, int64 (n,), and values there: stored whole numbers, float32, or numbers of
            the weight's type.
        """


class CodeMemory(WeightMemory):
    """Codes of an emulated layer."""

    def __init__(self, layer: EmulatedLayer) -> None:
        clean, bits, signed = layer.stored_codes()
        self._layer, self._before, self._signed, self._coder = layer, layer.forced_codes, signed, weight_coder(layer)
        codes = clean if self._before is None else self._before
        self._shape, self._device = codes.shape, codes.device
        self._plain = _numpy(self._coder.stored(codes)).reshape(-1)
        self._stored = None if layer.structure is None else _nonzero(layer, clean)
        kept = self._plain if self._stored is None else self._plain[self._stored]
        words = encode(kept, bits, signed)
        self.finite = self._coder.finite
        layout = _layout(layer, self._coder, self._stored)
        super().__init__(layer.site.name, words, layout, self._coder.form, self._stored is not None)
        self.protect(layer.memory, _channels(layer, self._stored))

    def write(self, words: Words) -> None:
        """Force the codes of these words on the layer.

        Raises:
            DataError: a word has more bits than a code.
        """
        plain = self._plain.copy()
        plain[slice(None) if self._stored is None else self._stored] = decode(words, self.width_bits, self._signed)
        stored = torch.from_numpy(plain).reshape(self._shape).to(self._device)
        self._layer.forced_codes = self._coder.restored(stored)

    def restore(self) -> None:
        """Force nothing, or what was forced before."""
        self._layer.forced_codes = self._before

    def changed(self, places: NDArray[np.int64], words: Words) -> tuple[NDArray[np.int64], Tensor]:
        """See `WeightMemory.changed`."""
        within = places if self._stored is None else np.flatnonzero(self._stored)[places]
        return within, torch.from_numpy(decode(words, self.width_bits, self._signed)).to(torch.float32)


class FloatMemory(WeightMemory):
    """Floating-point words of a weight.

    Args:
        name: of the site.
        weight: the parameter or buffer, changed in place by `write`.
        stored: which weights are stored, bool of the weight's shape, or None for all.

    Raises:
        TaskError: the weight is not floating point of 16, 32 or 64 bits.
    """

    def __init__(self, name: str, weight: Tensor, stored: Tensor | None = None) -> None:
        if weight.dtype not in _FORMATS:
            known = ", ".join(str(t) for t in _FORMATS)
            raise TaskError(f"weight of {name!r} is {weight.dtype}; faults can be injected into {known}")
        self._weight = weight
        self._stored = None if stored is None else _numpy(stored).reshape(-1)
        same_width, unsigned, layout = _FORMATS[weight.dtype]
        self._words = _numpy(weight.detach().contiguous().view(same_width)).view(unsigned).reshape(-1).copy()
        kept = self._words.copy() if self._stored is None else self._words[self._stored]
        super().__init__(name, kept, layout, str(weight.dtype).removeprefix("torch."), stored is not None)

    def write(self, words: Words) -> None:
        """Copy the words into the weight."""
        full = self._words.copy()
        full[slice(None) if self._stored is None else self._stored] = words
        self._fill(full)

    def restore(self) -> None:
        """Copy the stored words back, bit by bit."""
        self._fill(self._words)

    def changed(self, places: NDArray[np.int64], words: Words) -> tuple[NDArray[np.int64], Tensor]:
        """See `WeightMemory.changed`."""
        within = places if self._stored is None else np.flatnonzero(self._stored)[places]
        signed = words.astype(self._words.dtype).view(f"i{self._words.dtype.itemsize}")
        return within, torch.from_numpy(signed.copy()).view(self._weight.dtype)

    def _fill(self, words: Words) -> None:
        signed = torch.from_numpy(words.view(f"i{words.dtype.itemsize}").copy())
        values = signed.view(self._weight.dtype).reshape(self._weight.shape)
        with torch.no_grad():
            self._weight.copy_(values.to(self._weight.device))


def weight_memories(model: nn.Module, example_input: Tensor | None = None) -> list[WeightMemory]:
    """Memories of all convolution and linear weights, biases excluded.

    Emulated sites store their integer codes, all others floating point. Where a STRUCTURE choice masks weights, only
    those whose value is not zero are stored (compressed storage; the indices that it needs are not part of a memory).
    A weight that several layers share is stored once.

    Args:
        model: in evaluation mode if an example is given; it is referred to, and changed by `WeightMemory.write`.
        example_input: float32 (1, ...); with it the model is run once and its weights are those that the run uses, so
            weights that a forward method passes to functions are found too. Without it those of the modules are taken.

    Raises:
        TaskError: there is no such weight, its type has no known bits, or the model does not run on the example.
        PlanError: a site stores codes of an unknown kind.
    """
    layers = [m for m in emulated(model) if isinstance(m, EmulatedLayer)]
    found: list[WeightMemory] = [_memory(layer) for layer in layers]
    seen = {id(layer.weight) for layer in layers}
    for name, weight in _floating(model, example_input):
        if id(weight) not in seen:
            seen.add(id(weight))
            found.append(FloatMemory(name, weight))
    if not found:
        raise TaskError("the model has no stored weight of a convolution or linear layer to inject faults into")
    return found


def _memory(layer: EmulatedLayer) -> WeightMemory:
    if layer.operand is not None:
        return CodeMemory(layer)
    stored = None if layer.structure is None else layer.used_weight().detach() != 0
    memory = FloatMemory(layer.site.name, layer.weight, stored)
    memory.protect(layer.memory, _channels(layer, None if stored is None else _numpy(stored).reshape(-1)))
    return memory


def _channels(layer: EmulatedLayer, stored: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Output channel of every stored word; channels of transposed layers count within their group."""
    axis, shape = layer.channel_axis, layer.weight.shape
    along = np.arange(shape[axis]).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    channels = np.broadcast_to(along, shape).reshape(-1)
    return channels if stored is None else channels[stored]


def weight_coder(layer: EmulatedLayer) -> WeightCoder:
    """The coder of the weight of a layer that stores codes.

    Raises:
        PlanError: the site stores floating point of 32 bits, or words of several widths.
    """
    if layer.operand is None or not isinstance(layer.operand.weight, WeightCoder):
        raise PlanError(f"site {layer.site.name!r} stores no codes; give it an OPERAND choice")
    if not layer.operand.weight.uniform:
        raise PlanError(
            f"site {layer.site.name!r} stores words of several widths, one per mode of its filters, and faults strike "
            "words of one width; leave weight_bits of 'filter_multipliers' empty there"
        )
    return layer.operand.weight


def _nonzero(layer: EmulatedLayer, codes: Tensor) -> NDArray[np.bool_]:
    """Which codes stand for a value other than zero; with zero-points this is not the code 0."""
    coder, weight = weight_coder(layer), layer.used_weight()
    values = coder.represent(weight.detach(), codes, *coder.scale_and_zero(weight))
    return _numpy(values != 0).reshape(-1)


def _layout(layer: EmulatedLayer, coder: WeightCoder, stored: NDArray[np.bool_] | None) -> Layout:
    """What the words of a layer mean; `stored` tells which weights are, or None for all."""
    if isinstance(coder, FloatWeight):
        f = coder.format
        return FloatLayout(f.exponent_bits, f.mantissa_bits, f.bias, f.specials, f.subnormals)
    if type(coder).restored is not WeightCoder.restored:
        words = torch.arange(1 << coder.bits, dtype=torch.float32, device=layer.weight.device)
        return ListedLayout(_numpy(coder.restored(words)).astype(np.float64))
    if coder.symmetric:
        return IntegerLayout(coder.bits, coder.stored_signed)
    weight = layer.used_weight().detach()
    # The code of the value 0 is the zero-point, whatever the direction along which these differ.
    zeros = _numpy(coder.codes(torch.zeros_like(weight), *coder.scale_and_zero(weight))).reshape(-1).astype(np.int64)
    zeros = zeros if stored is None else zeros[stored]
    same = not len(zeros) or bool((zeros == zeros[0]).all())
    return IntegerLayout(coder.bits, coder.stored_signed, (int(zeros[0]) if len(zeros) else 0) if same else zeros)


def _floating(model: nn.Module, example_input: Tensor | None) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of the weights of layers that are not emulated."""
    root = model.inner if isinstance(model, FunctionalModel) else model
    modules = dict(root.named_modules())
    owned = {id(t): t for t in (*model.parameters(), *model.buffers())}
    if example_input is None:
        for name, module in modules.items():
            weight = getattr(module, "weight", None) if isinstance(module, MODULE_TYPES) else None
            if id(weight) in owned:
                yield name, owned[id(weight)]
        return
    prefix = "inner" if root is not model else ""
    # The model may change its input in place, and the caller's example must stay as it is.
    for call in run_recorded(model, example_input.clone()):
        weight = argument(call, 1, "weight") if call.kind in LAYERS else None
        if id(weight) in owned:
            owner, name = (n.removeprefix(prefix).removeprefix(".") for n in (call.owner, call.name))
            yield (owner if plain_layer(modules.get(owner)) else name), owned[id(weight)]


def describe(memories: Sequence[WeightMemory]) -> str:
    """The population of single-bit faults in words: what is stored, in which form, how many bits, and what is not."""
    forms, protections = Counter[str](), Counter[str]()
    for memory in memories:
        forms[memory.form] += memory.words.size
        if memory.protection is not None:
            protections[memory.protection.form] += 1
    parts = ", ".join(f"{count} {form}" for form, count in forms.items())
    bits = sum(m.words.size * m.width_bits for m in memories)
    sparse = sum(m.sparse for m in memories)
    zeros = f"; zero weights of {sparse} pruned layers are not stored, their indices are fault-free" if sparse else ""
    found = f"{bits} weight bits of {len(memories)} layers ({parts})"
    if protections:
        check = sum(m.check_words * m.check_width for m in memories)
        how = ", ".join(f"{count} layers by {form}" for form, count in protections.items())
        found += f" and {check} check bits besides ({how})"
    return f"{found}; biases and scales are fault-free{zeros}"


def _numpy(tensor: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().cpu().numpy()
    return array
