"""einsum and its relatives of two operands as one batched matrix product."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Multiply = Callable[[Tensor, Tensor], Tensor]
Label = str | tuple[str, int]


class NotLowered(ValueError):  # noqa: N818 (the reason why a call cannot be expressed by products)
    """A call that cannot be expressed by matrix products; the message says why."""


def contract(
    multiply: Multiply,
    left: Tensor,
    right: Tensor,
    left_labels: Sequence[Label],
    right_labels: Sequence[Label],
    output: Sequence[Label],
) -> Tensor:
    """Sum over the labels that are in both operands but not in the output, by one batched matrix product.

    Args:
        multiply: multiplies (..., M, K) by (..., K, N).
        left: one dimension per label.
        right: one dimension per label.
        left_labels: each at most once, as in `right_labels` and `output`.
        right_labels: see `left_labels`.
        output: labels of the result, in its order.
    """
    left, left_labels = _sum_alone(left, left_labels, {*right_labels, *output})
    right, right_labels = _sum_alone(right, right_labels, {*left_labels, *output})
    left, right = _same_sizes(left, right, left_labels, right_labels)
    both = [i for i in left_labels if i in right_labels]
    batch, summed = [i for i in both if i in output], [i for i in both if i not in output]
    rows = [i for i in left_labels if i not in both]
    columns = [i for i in right_labels if i not in both]
    sizes = dict(zip(left_labels, left.shape, strict=True)) | dict(zip(right_labels, right.shape, strict=True))

    def arrange(x: Tensor, labels: Sequence[Label], *parts: list[Label]) -> Tensor:
        order = [labels.index(i) for part in parts for i in part]
        shape = [math.prod(sizes[i] for i in part) for part in parts]
        return x.permute(order).reshape(shape if batch else shape[1:])

    product = multiply(
        arrange(left, list(left_labels), batch, rows, summed),
        arrange(right, list(right_labels), batch, summed, columns),
    )
    labels = [*batch, *rows, *columns]
    return product.reshape([sizes[i] for i in labels]).permute([labels.index(i) for i in output])


def einsum(multiply: Multiply, *arguments: Any) -> Tensor:
    """`torch.einsum` in every notation, with at most two operands.

    Calls that accumulate nothing, or have one operand only, multiply nothing by `multiply`.

    Raises:
        NotLowered: more than two operands, or an index repeated within an operand that multiplies another.
    """
    equation, operands = _equation(arguments)
    if len(operands) == 1:
        return torch.einsum(equation, *operands)
    if len(operands) > 2:
        raise NotLowered("einsum of more than two operands; write it as einsums of two operands each")
    inputs, output = _labels(equation, operands)
    if any(n > 1 for labels in inputs for n in Counter(labels).values()):
        raise NotLowered("einsum with an index repeated within an operand; take torch.diagonal of it first")
    if not {*inputs[0]} & {*inputs[1]} - {*output}:
        return torch.einsum(equation, *operands)
    left, right = operands
    return contract(multiply, left, right, inputs[0], inputs[1], output)


def tensordot(multiply: Multiply, a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """`torch.tensordot`."""
    dims = dims.tolist() if isinstance(dims, Tensor) else dims
    if isinstance(dims, int):
        pairs = list(zip(range(a.dim() - dims, a.dim()), range(dims), strict=True))
    else:
        pairs = [(i % a.dim(), j % b.dim()) for i, j in zip(*(_listed(d) for d in dims), strict=True)]
    if not pairs:
        return torch.tensordot(a, b, 0)
    left: list[Label] = [("a", i) for i in range(a.dim())]
    right: list[Label] = [("b", j) for j in range(b.dim())]
    for i, j in pairs:
        right[j] = left[i]
    summed = {left[i] for i, _ in pairs}
    return contract(multiply, a, b, left, right, [i for i in (*left, *right) if i not in summed])


def _listed(dims: Any) -> Sequence[int]:
    return [dims] if isinstance(dims, int) else dims


def _sum_alone(x: Tensor, labels: Sequence[Label], used: set[Label]) -> tuple[Tensor, list[Label]]:
    """Sum over the labels that nothing else uses."""
    alone = [d for d, label in enumerate(labels) if label not in used]
    return (x.sum(alone) if alone else x), [label for label in labels if label in used]


def _same_sizes(
    left: Tensor, right: Tensor, left_labels: Sequence[Label], right_labels: Sequence[Label]
) -> tuple[Tensor, Tensor]:
    """Stretch dimensions of size 1 to those of the other operand."""
    largest: dict[Label, int] = {}
    for x, labels in ((left, left_labels), (right, right_labels)):
        for label, size in zip(labels, x.shape, strict=True):
            largest[label] = max(size, largest.get(label, size)) if size != 1 else largest.get(label, 1)
    return left.expand([largest[i] for i in left_labels]), right.expand([largest[i] for i in right_labels])


def _equation(arguments: tuple[Any, ...]) -> tuple[str, list[Tensor]]:
    """Equation and operands, from either notation: a string first, or operands alternating with index lists."""
    first = arguments[0]
    if isinstance(first, str):
        rest = arguments[1:]
        return first.replace(" ", ""), list(rest[0] if len(rest) == 1 and isinstance(rest[0], (list, tuple)) else rest)
    pairs = list(zip(arguments[::2], arguments[1::2], strict=False))
    equation = ",".join(_letters(labels) for _, labels in pairs)
    if len(arguments) % 2:
        equation += "->" + _letters(arguments[-1])
    return equation, [operand for operand, _ in pairs]


def _letters(indices: Sequence[Any]) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    return "".join("..." if i is Ellipsis else alphabet[int(i)] for i in indices)


def _labels(equation: str, operands: Sequence[Tensor]) -> tuple[list[list[Label]], list[Label]]:
    """Labels of every operand and of the output, with dimensions behind an ellipsis counted from the right."""
    terms, arrow, result = equation.partition("->")
    inputs: list[list[Label]] = []
    hidden = 0
    for term, operand in zip(terms.split(","), operands, strict=True):
        extra = operand.dim() - len(term.replace("...", ""))
        hidden = max(hidden, extra)
        inputs.append(_spell(term, extra))
    if arrow:
        return inputs, _spell(result, hidden)
    counts = Counter(c for term in terms.split(",") for c in term.replace("...", ""))
    return inputs, _spell("..." if "..." in terms else "", hidden) + sorted(c for c, n in counts.items() if n == 1)


def _spell(term: str, hidden: int) -> list[Label]:
    before, dots, after = term.partition("...")
    middle: list[Label] = [("...", i) for i in reversed(range(hidden))] if dots else []
    return [*before, *middle, *after]
