"""How far changes of bounded size spread through the nodes of an exported network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional as F

from laxity.campaign.scores.slopes import unfolded
from laxity.core.errors import TaskError
from laxity.relevance.lrp.graph import function_name, place

LARGEST = ("max_pool2d",)
_KERNELS = {"conv1d": 1, "conv2d": 2, "conv3d": 3}
_SHAPES = (
    "view", "_unsafe_view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "permute", "transpose",
    "contiguous", "clone", "alias", "detach", "dropout", "slice", "select", "cat", "stack", "expand", "to", "_to_copy",
)  # fmt: skip
_MEANS = ("mean", "sum", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d")
_NORMS = ("batch_norm", "_native_batch_norm_legit_no_training")


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """Bounds on changes of one value.

    Attributes:
        error: on the absolute change of each element.
        single_channel: only one index of dimension 1 changes at a time, whichever it is.
    """

    error: Tensor
    single_channel: bool = False


def spread_through(node: fx.Node, values: Mapping[str, Any], errors: Mapping[str, Spread]) -> Spread | None:
    """Bounds on the changes of a node's value; None where there is no rule.

    Args:
        node: a call of a function that is no activation.
        values: of nodes in the pass without faults.
        errors: bounds of what the node uses, where these are not 0.
    """
    name = function_name(node)
    if name in _KERNELS or name == "linear":
        return _weighted(node, values, errors)
    if name in {"add", "sub"}:
        return _added(node, values, errors)
    if name in {"mul", "div"}:
        return _scaled(node, values, errors)
    if name in _NORMS:
        return _normalised(node, values, errors)
    if name == "getitem" and node.args[1] == 0 and function_name(node.all_input_nodes[0]) in _NORMS:
        return errors[node.all_input_nodes[0].name]
    if name in _SHAPES or name in _MEANS or name in {"pad", "constant_pad_nd"}:
        return _carried(node, values, errors)
    return None


def _weighted(node: fx.Node, values: Mapping[str, Any], errors: Mapping[str, Spread]) -> Spread | None:
    """The layer with absolute weights; where one channel changes, the largest of what single channels do."""
    source = node.args[0]
    args, kwargs = _arguments(node, values)
    if not isinstance(source, fx.Node) or source.name not in errors:
        return None
    if any(isinstance(a, fx.Node) and a.name in errors for a in node.args[1:]):
        return None
    given, weight = errors[source.name], args[1].abs()
    linear = function_name(node) == "linear"
    groups = 1 if linear else int(kwargs.get("groups", args[6] if len(args) > 6 else 1))
    if not given.single_channel or groups != 1 or (linear and given.error.dim() != 2):
        rest = {key: value for key, value in kwargs.items() if key != "bias"}
        return Spread(node.target(given.error, weight, None, *args[3:], **rest))  # type: ignore[operator]
    if linear:
        return Spread((given.error[:, None, :] * weight).amax(2))
    outputs, channels = weight.shape[:2]
    apart = weight.transpose(0, 1).reshape(channels * outputs, 1, *weight.shape[2:])
    found = node.target(given.error, apart, None, *args[3:6], groups=channels)  # type: ignore[operator]
    return Spread(found.unflatten(1, (channels, outputs)).amax(1))


def _added(node: fx.Node, values: Mapping[str, Any], errors: Mapping[str, Spread]) -> Spread:
    args, kwargs = _arguments(node, values)
    factor = abs(float(kwargs.get("alpha", args[2] if len(args) > 2 else 1)))
    parts = [
        (errors[arg.name], size)
        for arg, size in zip(node.args[:2], (1.0, factor), strict=True)
        if isinstance(arg, fx.Node) and arg.name in errors
    ]
    shape = values[node.name].shape
    total = torch.stack([(part.error * size).expand(shape) for part, size in parts]).sum(0)
    return Spread(total, len(parts) == 1 and parts[0][0].single_channel and parts[0][0].error.shape == shape)


def _scaled(node: fx.Node, values: Mapping[str, Any], errors: Mapping[str, Spread]) -> Spread | None:
    first, second = node.args[:2]
    changing = [isinstance(a, fx.Node) and a.name in errors for a in (first, second)]
    if changing.count(True) != 1 or (function_name(node) == "div" and changing[1]):
        return None
    args, _ = _arguments(node, values)
    which = changing.index(True)
    source = (first, second)[which]
    assert isinstance(source, fx.Node)  # it is changing
    given, factor = errors[source.name], torch.as_tensor(args[1 - which]).abs()
    found = given.error * factor if function_name(node) == "mul" else given.error / factor
    return Spread(found, given.single_channel and found.shape == given.error.shape)


def _normalised(node: fx.Node, values: Mapping[str, Any], errors: Mapping[str, Spread]) -> Spread | None:
    """A batch norm in evaluation mode is a factor per channel."""
    args, kwargs = _arguments(node, values)
    source = node.args[0]
    if not isinstance(source, fx.Node) or source.name not in errors:
        return None
    zeros = torch.zeros_like(args[0])
    factor = node.target(zeros + 1, *args[1:], **kwargs)  # type: ignore[operator]
    shift = node.target(zeros, *args[1:], **kwargs)  # type: ignore[operator]
    if not isinstance(factor, Tensor):
        factor, shift = factor[0], shift[0]
    given = errors[source.name]
    return Spread((factor - shift).abs() * given.error, given.single_channel)


def _carried(node: fx.Node, values: Mapping[str, Any], errors: Mapping[str, Spread]) -> Spread:
    """Functions that move values, or add them up with weights that are not negative, do the same with bounds."""

    def bound(source: fx.Node) -> Any:
        value = values[source.name]
        if source.name in errors:
            return errors[source.name].error
        return torch.zeros_like(value) if isinstance(value, Tensor) and value.is_floating_point() else value

    args: Any
    kwargs: Any
    args, kwargs = fx.map_arg((node.args, node.kwargs), bound)
    if function_name(node) in {"pad", "constant_pad_nd"}:
        mode = kwargs.get("mode", args[2] if function_name(node) == "pad" and len(args) > 2 else "constant")
        found = F.pad(args[0], list(args[1]), mode=mode)
    else:
        found = node.target(*args, **kwargs)  # type: ignore[operator]
    given = [errors[n.name] for n in node.all_input_nodes if n.name in errors]
    same = found.dim() > 1 and all(g.error.dim() > 1 and g.error.shape[:2] == found.shape[:2] for g in given)
    moves = {"permute", "transpose", "slice", "select", "expand", "cat", "stack"}
    keeps = same and len(given) == 1 and given[0].single_channel and function_name(node) not in moves
    return Spread(found, keeps and not _mixes_channels(node, given[0].error, found))


def _mixes_channels(node: fx.Node, given: Tensor, found: Tensor) -> bool:
    """Whether a mean runs over the channels."""
    if function_name(node) not in {"mean", "sum"}:
        return False
    dims = node.args[1] if len(node.args) > 1 else None
    if not isinstance(dims, (list, tuple)):
        return True
    return any(int(d) % given.dim() in {0, 1} for d in dims)


def largest_residual(node: fx.Node, values: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
    """Maxima of windows: what they can change beyond the change of their present largest value, and in all.

    Raises:
        TaskError: windows reach beyond the input in a way that is not supported.
    """
    kernel, stride, padding, dilation = _pooling(node, values)
    _, winner = F.max_pool2d(values, kernel, stride, padding, dilation, return_indices=True)
    edge = [padding[1], padding[1], padding[0], padding[0]]
    index = torch.arange(values.shape[2] * values.shape[3]).reshape(1, 1, *values.shape[2:]).to(values.dtype)
    everywhere = F.pad(index, edge, value=-1.0).expand(*values.shape[:2], -1, -1)
    is_winner = unfolded(everywhere, kernel, stride, dilation) == winner[:, :, None, None]
    highest = unfolded(F.pad(values + error, edge, value=-torch.inf), kernel, stride, dilation)
    lowest = unfolded(F.pad(values - error, edge, value=-torch.inf), kernel, stride, dilation)
    rival = highest.masked_fill(is_winner, -torch.inf).amax((2, 3))
    own = lowest.masked_fill(~is_winner, -torch.inf).amax((2, 3))
    total = unfolded(F.pad(error, edge), kernel, stride, dilation).amax((2, 3))
    return (rival - own).clamp(min=0), total


def _pooling(node: fx.Node, values: Tensor) -> tuple[list[int], list[int], list[int], list[int]]:
    args = [*node.args[1:], *[None] * 5]
    kernel = _pair(args[0], [1, 1])
    found = (kernel, _pair(args[1], kernel), _pair(args[2], [0, 0]), _pair(args[3], [1, 1]))
    if args[4] or values.dim() != 4:
        raise TaskError(f"no bound is known for {place(node)}, whose windows reach beyond the input (ceil_mode)")
    return found


def _pair(given: Any, default: list[int]) -> list[int]:
    if given is None or given == []:
        return default
    return [given, given] if isinstance(given, int) else [int(g) for g in (given * 2 if len(given) == 1 else given)]


def _arguments(node: fx.Node, values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: values[n.name])
    return list(args), dict(kwargs)
