"""One hash that says whether two tasks are the same: name, network, weights, splits and sampled data."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor, nn

from laxity.task.splits import DatasetSplit, Split, TensorSplit

_SAMPLES = 16


def fingerprint(name: str, model: nn.Module, splits: dict[str, Split]) -> str:
    """Return the SHA-256, in hexadecimal, of what a task is made of.

    Hashed are the name, the class of every module, every tensor of the state dict, and per split its length, its
    indices, its labels where they can be had without loading inputs, and up to 16 evenly spaced samples. The value
    does not depend on the process, the number of threads or the location of the files.
    """
    digest = hashlib.sha256()
    _add(digest, "task", name)
    for path, module in model.named_modules():
        _add(digest, path, type(module).__qualname__)
    for key, value in sorted(model.state_dict().items()):
        _add_tensor(digest, key, value)
    for key, split in sorted(splits.items()):
        _add_split(digest, key, split)
    return digest.hexdigest()


def _add(digest: Any, *parts: object) -> None:
    digest.update("\x1f".join(str(p) for p in parts).encode() + b"\x1e")


def _add_tensor(digest: Any, name: str, value: Tensor) -> None:
    flat = value.detach().cpu().contiguous()
    _add(digest, name, flat.dtype, tuple(flat.shape))
    digest.update(flat.reshape(-1).view(torch.uint8).numpy().tobytes())


def _add_split(digest: Any, name: str, split: Split) -> None:
    _add(digest, "split", name, len(split))
    if isinstance(split, (TensorSplit, DatasetSplit)):
        _add_tensor(digest, "indices", split.indices)
    if isinstance(split, TensorSplit):
        _add_tensor(digest, "labels", split.labels())
    if len(split):
        chosen = torch.linspace(0, len(split) - 1, min(_SAMPLES, len(split))).round().long()
        inputs, targets = split.fetch(chosen)
        _add_tensor(digest, "inputs", inputs)
        _add_tensor(digest, "targets", targets)
