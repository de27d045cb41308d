"""Parts of a data set: fetched by index, so that every order and every batch is reproducible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from laxity.core.errors import DataError
from laxity.core.seeds import stream

Indices = Sequence[int] | Tensor


@runtime_checkable
class Split(Protocol):
    """A numbered collection of labelled samples."""

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def fetch(self, indices: Indices) -> tuple[Tensor, Tensor]:
        """Return inputs float32 (n, ...) and targets int64 (n,) of the samples at `indices` (each in 0..len-1)."""
        ...


@dataclass(frozen=True, slots=True)
class Normalise:
    """The map from stored values to network inputs: ``(x * scale - mean) / std``, channel by channel.

    Attributes:
        scale: factor applied first, for example 1/255 for 8-bit images.
        mean: one value, or one per channel (dimension 1 of the batch).
        std: one value, or one per channel; not zero.
    """

    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if not self.mean or not self.std or 0.0 in self.std:
            raise DataError(f"mean {self.mean} and std {self.std} need at least one value each, and no std of zero")

    def __call__(self, stored: Tensor) -> Tensor:
        """Return the float32 inputs of a stored batch (n, channels, ...).

        Raises:
            DataError: mean or std has a number of values that is neither 1 nor the number of channels.
        """
        x = stored.to(torch.float32)
        if self.scale != 1.0:
            x = x * self.scale
        if any(m != 0.0 for m in self.mean):
            x = x - self._per_channel(self.mean, "mean", x)
        if any(s != 1.0 for s in self.std):
            x = x / self._per_channel(self.std, "std", x)
        return x

    @staticmethod
    def _per_channel(values: tuple[float, ...], what: str, x: Tensor) -> Tensor:
        if len(values) == 1:
            return torch.tensor(values[0], dtype=torch.float32)
        if x.dim() < 2 or x.shape[1] != len(values):
            raise DataError(
                f"{what} has {len(values)} values, but inputs have shape {tuple(x.shape)}; give one per channel"
            )
        return torch.tensor(values, dtype=torch.float32).reshape(-1, *[1] * (x.dim() - 2))


@dataclass(frozen=True, slots=True, eq=False)
class TensorSplit:
    """Samples held in memory; several splits share one storage and differ in `indices`.

    Attributes:
        inputs: storage (N, ...), uint8 or float.
        targets: storage (N,), int64 class numbers.
        indices: int64 (n,), the rows of the storage that belong to this split, in order.
        normalise: applied at fetch.
    """

    inputs: Tensor
    targets: Tensor
    indices: Tensor
    normalise: Normalise = Normalise()

    def __len__(self) -> int:
        return int(self.indices.numel())

    def fetch(self, indices: Indices) -> tuple[Tensor, Tensor]:
        """Return normalised inputs float32 (n, ...) and targets int64 (n,)."""
        rows = self.indices[as_index(indices, len(self))]
        return self.normalise(self.inputs[rows]), self.targets[rows]

    def labels(self) -> Tensor:
        """Return all targets, int64 (len,), without touching the inputs."""
        return self.targets[self.indices]


def tensor_split(
    inputs: Tensor, targets: Tensor, indices: Indices | None = None, normalise: Normalise | None = None
) -> TensorSplit:
    """Make a `TensorSplit` from inputs (N, ...) and class numbers (N,); all rows unless `indices` names some.

    Raises:
        DataError: inputs and targets differ in length, or targets are not integers of one dimension.
    """
    if targets.dim() != 1 or targets.is_floating_point() or targets.dtype == torch.bool or targets.is_complex():
        shape = tuple(targets.shape)
        raise DataError(f"targets must be class numbers of shape (N,), not {targets.dtype} of shape {shape}; use int64")
    if len(inputs) != len(targets):
        raise DataError(f"{len(inputs)} inputs but {len(targets)} targets; every sample needs one label")
    rows = torch.arange(len(targets)) if indices is None else as_index(indices, len(targets))
    return TensorSplit(inputs, targets.to(torch.int64), rows, normalise or Normalise())


@dataclass(frozen=True, slots=True, eq=False)
class DatasetSplit:
    """Samples of a map-style torch ``Dataset`` whose items are pairs (input, class number).

    Attributes:
        dataset: anything with ``__getitem__``.
        indices: int64 (n,), the items that belong to this split, in order.
        normalise: applied to the stacked inputs.
    """

    dataset: Any
    indices: Tensor
    normalise: Normalise = Normalise()

    def __len__(self) -> int:
        return int(self.indices.numel())

    def fetch(self, indices: Indices) -> tuple[Tensor, Tensor]:
        """Return inputs float32 (n, ...) and targets int64 (n,).

        Raises:
            DataError: an item is no pair, is not labelled with an integer, or differs in shape from the others.
        """
        rows = self.indices[as_index(indices, len(self))].tolist()
        pairs = [self._item(row) for row in rows]
        shapes = {tuple(x.shape) for x, _ in pairs}
        if len(shapes) > 1:
            raise DataError(f"items of the dataset differ in shape: {sorted(shapes)}; crop or resize them to one shape")
        if not pairs:
            raise DataError("no sample was asked for; give at least one index")
        return self.normalise(torch.stack([x for x, _ in pairs])), torch.tensor([y for _, y in pairs])

    def _item(self, row: int) -> tuple[Tensor, int]:
        item = self.dataset[row]
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            kind = type(item).__name__
            raise DataError(f"item {row} of the dataset is a {kind}, not a pair (input, label); labels are required")
        return torch.as_tensor(item[0]), _class_number(item[1], row)

    def labels(self) -> Tensor:
        """Return all targets, int64 (len,); reads every item once."""
        return torch.tensor([self._item(row)[1] for row in self.indices.tolist()], dtype=torch.int64)


def _class_number(value: Any, row: int) -> int:
    array = value.numpy() if isinstance(value, Tensor) else value
    plain = array.item() if isinstance(array, (np.generic, np.ndarray)) and array.size == 1 else value
    if isinstance(plain, bool) or not isinstance(plain, int):
        raise DataError(f"label of item {row} is {value!r}, not a class number; map the labels to integers from 0")
    return plain


def as_index(indices: Indices, length: int) -> Tensor:
    """Return `indices` as an int64 tensor (n,), all of them in 0..length-1.

    Raises:
        DataError: an index is outside the split.
    """
    rows = torch.as_tensor(indices, dtype=torch.int64).reshape(-1)
    if rows.numel() and (int(rows.min()) < 0 or int(rows.max()) >= length):
        raise DataError(f"indices {int(rows.min())}..{int(rows.max())} reach outside a split of {length} samples")
    return rows


def subset(split: Split, indices: Indices) -> Split:
    """Return the samples of `split` at `indices`, in that order, as a split of their own.

    Raises:
        DataError: an index is outside the split.
    """
    rows = as_index(indices, len(split))
    if isinstance(split, TensorSplit):
        return TensorSplit(split.inputs, split.targets, split.indices[rows], split.normalise)
    if isinstance(split, DatasetSplit):
        return DatasetSplit(split.dataset, split.indices[rows], split.normalise)
    return _View(split, rows)


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """A subset of a split of unknown kind."""

    parent: Split
    indices: Tensor

    def __len__(self) -> int:
        return int(self.indices.numel())

    def fetch(self, indices: Indices) -> tuple[Tensor, Tensor]:
        """Return what the parent returns for the chosen samples."""
        return self.parent.fetch(self.indices[as_index(indices, len(self))])


def labels_of(split: Split) -> Tensor:
    """Return all targets of a split, int64 (len,); loads inputs only where the split cannot give labels alone."""
    if isinstance(split, (TensorSplit, DatasetSplit)):
        return split.labels()
    return torch.cat([targets for _, targets in batches(split, 256)])


def batches(
    split: Split, batch_size: int, *, generator: torch.Generator | None = None, limit: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Iterate over a split in batches; the last one may be smaller.

    Args:
        split: the samples.
        batch_size: samples per batch, at least 1.
        generator: if given, the order is a permutation drawn from it, else the order of the split.
        limit: use the first `limit` samples of that order only.

    Raises:
        DataError: `batch_size` or `limit` is smaller than 1.
    """
    if batch_size < 1 or (limit is not None and limit < 1):
        raise DataError(f"batch size {batch_size} and limit {limit} must be at least 1")
    order = torch.arange(len(split)) if generator is None else torch.randperm(len(split), generator=generator)
    for part in order[:limit].split(batch_size):
        if part.numel():
            yield split.fetch(part)


def stratified(labels: np.ndarray, sizes: Sequence[int], seed: int) -> list[np.ndarray]:
    """Draw disjoint index sets of the given sizes, each (and each prefix of each) with the class shares of the whole.

    The members of a class are shuffled and spread evenly over the unit interval; the sets are consecutive stretches of
    the merged order. The number of samples of a class in a set differs from proportionality by less than two.

    Args:
        labels: int (N,).
        sizes: number of samples per set; at most N together.
        seed: root of the streams that are drawn from.

    Returns:
        One int64 array of indices per size.

    Raises:
        DataError: the sets need more samples than there are.
    """
    if sum(sizes) > len(labels):
        raise DataError(f"splits of {list(sizes)} samples need {sum(sizes)}, but there are only {len(labels)}")
    position = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        shuffled = stream(seed, "split", int(label)).permutation(members)
        position[shuffled] = (np.arange(len(members)) + 0.5) / len(members)
    tie = stream(seed, "split", "ties").permutation(len(labels))
    order = np.lexsort((tie, position)).astype(np.int64)
    ends = np.cumsum(sizes)
    return [order[end - size : end] for end, size in zip(ends, sizes, strict=True)]
