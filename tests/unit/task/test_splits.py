"""Splits: fetch, order, stratified drawing, and their refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import Dataset

from laxity.core.errors import DataError
from laxity.task.augment import Shift
from laxity.task.splits import (
    DatasetSplit,
    Normalise,
    Split,
    batches,
    labels_of,
    stratified,
    subset,
    tensor_split,
)


class Squares(Dataset):
    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.full((2, 3), float(index)), index * index


class Foreign:
    """A split of a kind that the package does not know."""

    def __len__(self) -> int:
        return 6

    def fetch(self, indices: object) -> tuple[Tensor, Tensor]:
        rows = torch.as_tensor(indices)
        return rows[:, None].float(), rows * 2


def images() -> tuple[Tensor, Tensor]:
    stored = torch.arange(5 * 3 * 2 * 2, dtype=torch.uint8).reshape(5, 3, 2, 2)
    return stored, torch.tensor([4, 3, 2, 1, 0])


def test_fetch_normalises_channel_by_channel() -> None:
    stored, targets = images()
    scaling = Normalise(1 / 255, (0.1, 0.2, 0.3), (0.5, 0.25, 2.0))
    inputs, labels = tensor_split(stored, targets, [3, 1], scaling).fetch([1, 0])
    wanted = stored[[1, 3]].numpy() / 255
    wanted = (wanted - np.array([0.1, 0.2, 0.3])[:, None, None]) / np.array([0.5, 0.25, 2.0])[:, None, None]
    assert inputs.dtype == torch.float32
    assert labels.dtype == torch.int64
    np.testing.assert_allclose(inputs.numpy(), wanted, rtol=1e-5, atol=1e-6)
    assert labels.tolist() == [3, 1]


def test_normalise_refuses_wrong_numbers_of_channels_and_zero_std() -> None:
    with pytest.raises(DataError, match="mean has 2 values"):
        Normalise(1.0, (0.1, 0.2))(torch.zeros(1, 3, 2, 2))
    with pytest.raises(DataError, match="no std of zero"):
        Normalise(1.0, (0.0,), (1.0, 0.0))


@pytest.mark.parametrize("bad", [[5], [-1], torch.tensor([0, 9])])
def test_indices_outside_are_refused(bad: object) -> None:
    stored, targets = images()
    with pytest.raises(DataError, match="outside a split of 5"):
        tensor_split(stored, targets).fetch(bad)
    with pytest.raises(DataError, match="outside a split of 5"):
        subset(tensor_split(stored, targets), bad)


def test_targets_must_be_class_numbers_one_per_sample() -> None:
    stored, targets = images()
    for bad in (targets.float(), targets.bool(), targets[:, None]):
        with pytest.raises(DataError, match="class numbers"):
            tensor_split(stored, bad)
    with pytest.raises(DataError, match="5 inputs but 3 targets"):
        tensor_split(stored, targets[:3])


def test_dataset_split_fetches_by_index() -> None:
    split = DatasetSplit(Squares(), torch.tensor([2, 5, 9]), Normalise(0.5))
    inputs, targets = split.fetch([2, 0])
    assert inputs[:, 0, 0].tolist() == [4.5, 1.0]
    assert targets.tolist() == [81, 4]
    assert split.labels().tolist() == [4, 25, 81]
    assert isinstance(split, Split)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (torch.zeros(2), "not a pair"),
        ((torch.zeros(2), 0.5), "not a class number"),
        ((torch.zeros(2), None), "not a class number"),
        ((torch.zeros(2), torch.tensor([1, 2])), "not a class number"),
        ((torch.zeros(2), True), "not a class number"),
    ],
)
def test_dataset_items_without_a_label_are_refused(item: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        DatasetSplit([item], torch.tensor([0])).fetch([0])


def test_dataset_labels_may_be_numpy_or_tensor_integers() -> None:
    items = [(np.zeros(2), np.int64(3)), (np.zeros(2), torch.tensor(4)), (np.zeros(2), np.array([5]))]
    assert labels_of(DatasetSplit(items, torch.arange(3))).tolist() == [3, 4, 5]


def test_dataset_items_of_different_shape_are_refused() -> None:
    items = [(torch.zeros(2), 0), (torch.zeros(3), 0)]
    with pytest.raises(DataError, match="differ in shape"):
        DatasetSplit(items, torch.arange(2)).fetch([0, 1])


def test_subsets_of_every_kind_nest() -> None:
    stored, targets = images()
    for split in (tensor_split(stored, targets), DatasetSplit(Squares(), torch.arange(10)), Foreign()):
        part = subset(subset(split, [4, 3, 1]), [2, 0])
        wanted = split.fetch([1, 4])
        got = part.fetch([0, 1])
        assert len(part) == 2
        assert torch.equal(got[0], wanted[0])
        assert torch.equal(got[1], wanted[1])
        assert torch.equal(labels_of(part), wanted[1])


def test_batches_keep_the_order_or_permute_it_reproducibly() -> None:
    split = DatasetSplit(Squares(), torch.arange(10))
    assert [len(t) for _, t in batches(split, 4)] == [4, 4, 2]
    assert torch.cat([t for _, t in batches(split, 4)]).tolist() == [i * i for i in range(10)]
    assert torch.cat([t for _, t in batches(split, 4, limit=5)]).tolist() == [0, 1, 4, 9, 16]

    def shuffled(size: int) -> list[int]:
        generator = torch.Generator().manual_seed(3)
        return torch.cat([t for _, t in batches(split, size, generator=generator)]).tolist()

    assert shuffled(3) == shuffled(7)
    assert sorted(shuffled(3)) == [i * i for i in range(10)]
    assert shuffled(3) != sorted(shuffled(3))
    with pytest.raises(DataError, match="at least 1"):
        next(batches(split, 0))
    with pytest.raises(DataError, match="at least 1"):
        next(batches(split, 1, limit=0))


@settings(max_examples=40, deadline=None)
@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=200),
    shares=st.lists(st.floats(0.0, 0.3), min_size=1, max_size=3),
    seed=st.integers(0, 5),
)
def test_stratified_sets_are_disjoint_exact_and_proportional(labels: list[int], shares: list[float], seed: int) -> None:
    array = np.array(labels)
    sizes = [int(s * len(array)) for s in shares]
    parts = stratified(array, sizes, seed)
    joined = np.concatenate(parts)
    assert [len(p) for p in parts] == sizes
    assert len(np.unique(joined)) == len(joined)
    assert all(np.array_equal(a, b) for a, b in zip(parts, stratified(array, sizes, seed), strict=True))
    for part in parts:
        for prefix in (part[: len(part) // 2], part):
            for label in np.unique(array):
                share = np.mean(array == label) * len(prefix)
                assert abs(np.sum(array[prefix] == label) - share) < 3


def test_stratified_sets_differ_with_the_seed_and_cannot_exceed_the_data() -> None:
    labels = np.arange(100) % 10
    assert not np.array_equal(stratified(labels, [50], 0)[0], stratified(labels, [50], 1)[0])
    with pytest.raises(DataError, match="need 101, but there are only 100"):
        stratified(labels, [100, 1], 0)


@pytest.mark.parametrize("mirror", [False, True])
def test_shift_gives_every_allowed_position_and_nothing_else(mirror: bool) -> None:
    image = torch.arange(1.0, 1 + 2 * 4 * 3).reshape(2, 4, 3)
    padded = torch.full((2, 6, 5), -7.0)
    padded[:, 1:5, 1:4] = image
    allowed = [padded[:, r : r + 4, c : c + 3] for r in range(3) for c in range(3)]
    if mirror:
        allowed += [a.flip(2) for a in allowed]
    changed = Shift(1, fill=-7.0, mirror=mirror)(image.expand(400, 2, 4, 3), torch.Generator().manual_seed(0))
    seen = {next(i for i, a in enumerate(allowed) if torch.equal(a, out)) for out in changed}
    assert seen == set(range(len(allowed)))
