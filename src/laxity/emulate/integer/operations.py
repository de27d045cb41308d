"""What torch functions between emulated layers mean for integer codes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from laxity.core.parts import Window

Limits = tuple[float, float]


class UnsupportedError(ValueError):
    """A call has no integer form; the message says why. Turned into a `PlanError` where its result is needed."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One call in terms of values.

    Attributes:
        kind: ``identity|clamp|max|average|add|concatenate|reshape|pad|slice``.
        inputs: the tensors it reads.
        limits: of ``clamp``, as values.
        window: of ``max`` and ``average``.
        divisor: of ``average``.
        before, after: of ``pad``, per dimension without the batch.
        start, stride: of ``slice``, likewise.
        axis: of ``concatenate``, without the batch.
    """

    kind: str
    inputs: tuple[Tensor, ...]
    limits: Limits = (-math.inf, math.inf)
    window: Window | None = None
    divisor: int = 1
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    start: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    axis: int = 0


@dataclass(frozen=True, slots=True)
class Arguments:
    """Arguments of a call, found by position or by name.

    Attributes:
        args, kwargs: as passed.
        output: what the call returned.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    output: Any = None

    def get(self, position: int, name: str, default: Any = None) -> Any:
        """An argument; None stands for the default too."""
        value = self.args[position] if len(self.args) > position else self.kwargs.get(name)
        return default if value is None else value

    @property
    def x(self) -> Tensor:
        """The first argument."""
        value = self.get(0, "input")
        if not isinstance(value, Tensor):
            raise UnsupportedError("its first argument is no tensor")
        return value


def _clamp(low: float, high: float) -> Callable[[Arguments], Operation]:
    def read(call: Arguments) -> Operation:
        return Operation("clamp", (call.x,), limits=(low, high))

    return read


def _limited(low: tuple[int, str] | None, high: tuple[int, str] | None) -> Callable[[Arguments], Operation]:
    def read(call: Arguments) -> Operation:
        least = -math.inf if low is None else call.get(*low, -math.inf)
        most = math.inf if high is None else call.get(*high, math.inf)
        if isinstance(least, Tensor) or isinstance(most, Tensor) or not least <= 0 <= most:
            raise UnsupportedError("its limits are tensors, or 0 does not lie between them")
        return Operation("clamp", (call.x,), limits=(float(least), float(most)))

    return read


def _identity(call: Arguments) -> Operation:
    if call.output.dtype != call.x.dtype or call.output.device != call.x.device:
        raise UnsupportedError("it changes dtype or device")
    return Operation("identity", (call.x,))


def _dropout(call: Arguments) -> Operation:
    if call.get(2, "training", True):
        raise UnsupportedError("it drops values, as in training")
    return Operation("identity", (call.x,))


def _each(value: Any, dims: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, Sequence) else (value,)
    return tuple(int(v) for v in (values * dims if len(values) == 1 else values))


def _window(call: Arguments, dims: int, dilation: Any) -> Window:
    """The window of a pooling call; with a ceiling, as much padding behind as the last window needs."""
    kernel = _each(call.get(1, "kernel_size"), dims)
    stride = _each(call.get(2, "stride", kernel) or kernel, dims)
    padding, spread = _each(call.get(3, "padding", 0), dims), _each(dilation, dims)
    parts = zip(call.output.shape[-dims:], call.x.shape[-dims:], kernel, stride, padding, spread, strict=True)
    after = tuple(max(p, (m - 1) * s + d * (k - 1) + 1 - n - p) for m, n, k, s, p, d in parts)
    return Window(kernel, stride, spread, padding, after)


def _batched(call: Arguments, dims: int) -> None:
    if call.x.dim() != dims + 2:
        raise UnsupportedError(f"its input has {call.x.dim()} dimensions, not {dims + 2}")


def _max_pool(dims: int) -> Callable[[Arguments], Operation]:
    def read(call: Arguments) -> Operation:
        _batched(call, dims)
        if not isinstance(call.output, Tensor):
            raise UnsupportedError("it returns indices")
        return Operation("max", (call.x,), window=_window(call, dims, call.get(4, "dilation", 1)))

    return read


def _average_pool(dims: int) -> Callable[[Arguments], Operation]:
    def read(call: Arguments) -> Operation:
        _batched(call, dims)
        window = _window(call, dims, 1)
        padded = any((*window.before, *window.after))
        if padded and (call.get(4, "ceil_mode", False) or call.get(5, "count_include_pad", True) is False):
            raise UnsupportedError("its windows at the border have divisors of their own")
        divisor = int(call.get(6, "divisor_override", math.prod(window.kernel)))
        return Operation("average", (call.x,), window=window, divisor=divisor)

    return read


def _adaptive(kind: str, dims: int) -> Callable[[Arguments], Operation]:
    def read(call: Arguments) -> Operation:
        _batched(call, dims)
        if not isinstance(call.output, Tensor):
            raise UnsupportedError("it returns indices")
        sizes = tuple(zip(call.x.shape[2:], call.output.shape[2:], strict=True))
        if any(m == 0 or n % m for n, m in sizes):
            raise UnsupportedError("its windows differ in size")
        kernel = tuple(n // m for n, m in sizes)
        return _pool(kind, call.x, kernel)

    return read


def _pool(kind: str, x: Tensor, kernel: tuple[int, ...]) -> Operation:
    none, ones = (0,) * len(kernel), (1,) * len(kernel)
    return Operation(kind, (x,), window=Window(kernel, kernel, ones, none, none), divisor=math.prod(kernel))


def _mean(call: Arguments) -> Operation:
    """A mean over all spatial dimensions, which leaves out or keeps them."""
    x, dims = call.x, call.get(1, "dim")
    given = () if dims is None else _each(dims, 1)
    spatial = tuple(range(2, x.dim()))
    if not spatial or sorted(d % x.dim() for d in given) != list(spatial):
        raise UnsupportedError("it is no mean over all dimensions but batch and channels")
    return _pool("average", x, tuple(x.shape[2:]))


def _add(call: Arguments) -> Operation:
    other = call.get(1, "other")
    if not isinstance(other, Tensor) or other.shape != call.x.shape or call.get(2, "alpha", 1) != 1:
        raise UnsupportedError("it adds no second activation of the same shape")
    return Operation("add", (call.x, other))


def _concatenate(call: Arguments) -> Operation:
    tensors = call.args[0] if call.args else call.kwargs.get("tensors")
    axis = int(call.get(1, "dim", call.kwargs.get("axis", 0))) % call.output.dim()
    if axis == 0 or not tensors:
        raise UnsupportedError("it joins samples of the batch")
    return Operation("concatenate", tuple(tensors), axis=axis - 1)


def _reshape(call: Arguments) -> Operation:
    x, y = call.x, call.output
    if not y.dim() or x.dtype != y.dtype or x.shape[0] != y.shape[0]:
        raise UnsupportedError("it changes the batch dimension")
    return Operation("reshape", (x,))


def _pad(call: Arguments) -> Operation:
    x, pads = call.x, [int(p) for p in call.get(1, "pad")]
    if call.get(2, "mode", "constant") != "constant" or call.get(3, "value", 0) != 0:
        raise UnsupportedError("it pads with something else than zeros")
    pads += [0] * (2 * x.dim() - len(pads))
    if min(pads) < 0 or any(pads[-2:]):
        raise UnsupportedError("it crops, or pads the batch")
    before, after = pads[0:-2:2][::-1], pads[1:-2:2][::-1]
    return Operation("pad", (x,), before=tuple(before), after=tuple(after))


def _slice(call: Arguments) -> Operation:
    x, index = call.x, call.args[1]
    parts = list(index) if isinstance(index, tuple) else [index]
    if Ellipsis in [p for p in parts if not isinstance(p, Tensor)]:
        at = next(i for i, p in enumerate(parts) if p is Ellipsis)
        parts[at : at + 1] = [slice(None)] * (x.dim() - len(parts) + 1)
    if not all(isinstance(p, slice) for p in parts) or len(parts) > x.dim():
        raise UnsupportedError("it picks by something else than slices")
    parts += [slice(None)] * (x.dim() - len(parts))
    ranges = [range(*p.indices(n)) for p, n in zip(parts, x.shape, strict=True)]
    if ranges[0] != range(x.shape[0]):
        raise UnsupportedError("it picks samples of the batch")
    return Operation("slice", (x,), start=tuple(r.start for r in ranges[1:]), stride=tuple(r.step for r in ranges[1:]))


_RESHAPES = ("flatten", "view", "reshape", "squeeze", "unsqueeze", "unflatten")
_IDENTITIES = ("contiguous", "detach", "clone", "float", "to", "type_as", "alias")
_DROPOUTS = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")

READERS: dict[str, Callable[[Arguments], Operation]] = {
    "relu": _clamp(0.0, math.inf),
    "relu6": _clamp(0.0, 6.0),
    "hardtanh": lambda call: _limited((1, "min_val"), (2, "max_val"))(
        Arguments(call.args, {"min_val": -1.0, "max_val": 1.0, **call.kwargs})
    ),
    "clamp": _limited((1, "min"), (2, "max")),
    "clip": _limited((1, "min"), (2, "max")),
    "clamp_min": _limited((1, "min"), None),
    "clamp_max": _limited(None, (1, "max")),
    **dict.fromkeys(_IDENTITIES, _identity),
    **dict.fromkeys(_DROPOUTS, _dropout),
    **{f"max_pool{d}d": _max_pool(d) for d in (1, 2, 3)},
    **{f"avg_pool{d}d": _average_pool(d) for d in (1, 2, 3)},
    **{f"adaptive_max_pool{d}d": _adaptive("max", d) for d in (1, 2, 3)},
    **{f"adaptive_avg_pool{d}d": _adaptive("average", d) for d in (1, 2, 3)},
    "mean": _mean,
    "add": _add,
    "__add__": _add,
    "__radd__": _add,
    "__iadd__": _add,
    "cat": _concatenate,
    "concat": _concatenate,
    "concatenate": _concatenate,
    **dict.fromkeys(_RESHAPES, _reshape),
    "pad": _pad,
    "__getitem__": _slice,
}
"""What is known, by the name of the torch function; functions that change their input in place have the name without
the underscore at the end."""

_REASONS = {
    "batch_norm": "batch normalisation that was not folded into the layer before it has no integer form; put the norm "
    "directly behind a convolution or linear layer",
    "softmax": "it has no integer form; let the model end at its logits",
    "log_softmax": "it has no integer form; let the model end at its logits",
    **dict.fromkeys(
        ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "linear", "matmul"),
        "it computes in floating point; give this site an OPERAND choice",
    ),
}


def read_call(name: str, call: Arguments, activations: int) -> Operation:
    """What a call of the torch function `name` means.

    Args:
        name: of the function.
        call: its arguments and what it returned.
        activations: how many tensors among the arguments depend on the input of the network.

    Raises:
        UnsupportedError: it has no integer form.
    """
    reader = READERS.get(name) or READERS.get(name.removesuffix("_"))
    if reader is None:
        raise UnsupportedError(_REASONS.get(name, "it has no integer form"))
    if not isinstance(call.output, Tensor) and "max_pool" not in name:
        raise UnsupportedError("it returns no single tensor")
    if isinstance(call.output, Tensor) and call.output.dtype != torch.float32:
        raise UnsupportedError(f"it returns {call.output.dtype}")
    found = reader(call)
    if len(found.inputs) != activations:
        raise UnsupportedError("it reads a tensor that does not depend on the input")
    return found
