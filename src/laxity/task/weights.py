"""Trained weights: read from safetensors or restricted torch files, and loaded with every mismatch named."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as dump_safetensors
from torch import Tensor, nn

from laxity.core.errors import TaskError
from laxity.core.serial import write_atomic

_SHOWN = 4
_CODE_SIGNS = ("GLOBAL", "Can only build", "reduce for unrecognized function")
"""What the messages of torch's restricted unpickler hold when a file asks for a function or class."""


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict from ``.safetensors``, or from a torch file (``.pt``, ``.pth``, ``.th``) of plain tensors.

    A torch file may hold the state dict itself or a mapping with the key ``state_dict``. Nothing in it is executed.

    Raises:
        TaskError: the file is missing, truncated, of another kind, or needs code to be read.
    """
    if not path.is_file():
        raise TaskError(f"no weights at {path}; give an existing .safetensors or .pt file")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in {".pt", ".pth", ".th"}:
        return _read_torch(path)
    raise TaskError(
        f"weights {path} end in {path.suffix!r}; accepted are .safetensors and torch files (.pt, .pth, .th)"
    )


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_safetensors(path.read_bytes())
    except (SafetensorError, OSError, ValueError) as error:
        remedy = "the file is truncated or of another format, copy or export it again"
        raise TaskError(f"cannot read {path} as safetensors ({error}); {remedy}") from error


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols: what cannot be read is refused below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not any(sign in str(error) for sign in _CODE_SIGNS):
            raise TaskError(_unreadable(path, error)) from error
        raise TaskError(
            f"{path} is not a plain file of tensors: reading it would run code stored inside, so it was not read; "
            "export the weights with safetensors.torch.save_file(model.state_dict(), 'w.safetensors')"
        ) from error
    except Exception as error:  # a damaged file can make the restricted unpickler fail in any way
        raise TaskError(_unreadable(path, error)) from error
    state = content.get("state_dict", content) if isinstance(content, Mapping) else content
    if not isinstance(state, Mapping) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        kind = type(content).__name__
        raise TaskError(f"{path} holds a {kind}, not a state dict of tensors; save model.state_dict() instead")
    return {str(name): value for name, value in state.items()}


def _unreadable(path: Path, error: Exception) -> str:
    text = str(error)
    reason = (text.partition("WeightsUnpickler error:")[2] or text).strip().partition("\n")[0][:200]
    return f"cannot read {path} as a torch file ({type(error).__name__}: {reason}); copy or export it again"


def load_weights(model: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Copy `state` into `model`; every tensor must be there, and fit, except BatchNorm's counters of batches.

    The prefix ``module.``, which DataParallel puts before every name, is removed.

    Args:
        model: the network, changed in place.
        state: tensors by name; floating tensors are converted to float32.
        source: where the state came from, for messages.

    Raises:
        TaskError: names are missing or unexpected, shapes differ, or a value is NaN or infinite.
    """
    own = model.state_dict()
    if all(n.startswith("module.") for n in state) and not any(n.startswith("module.") for n in own):
        state = {n.removeprefix("module."): value for n, value in state.items()}
    counters = {name for name in own if name.endswith("num_batches_tracked")}
    missing = [n for n in own if n not in state and n not in counters]
    unexpected = [n for n in state if n not in own and not n.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise TaskError(_names_differ(model, own, state, missing, unexpected, source))
    wrong = [n for n in own if n in state and n not in counters and state[n].shape != own[n].shape]
    if wrong:
        shown = "; ".join(
            f"{n}: {tuple(state[n].shape)} in the file, {tuple(own[n].shape)} wanted" for n in wrong[:_SHOWN]
        )
        raise TaskError(
            f"weights of {source} do not fit {type(model).__name__}, {len(wrong)} shapes differ ({shown}); "
            "check the network's name, num_classes and input channels"
        )
    for name, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise TaskError(
                f"weights of {source}: tensor {name!r} holds NaN or infinite values; train or export it again"
            )
    usable = {n: v.to(own[n].dtype) for n, v in state.items() if n in own}
    model.load_state_dict({**{n: own[n] for n in counters}, **usable}, strict=True)


def _names_differ(
    model: nn.Module,
    own: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    missing: list[str],
    unexpected: list[str],
    source: str,
) -> str:
    parts = []
    for label, names, tensors in (("missing", missing, own), ("unexpected", unexpected, state)):
        if names:
            shown = ", ".join(f"{n} {tuple(tensors[n].shape)}" for n in names[:_SHOWN])
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            parts.append(f"{len(names)} {label} ({shown}{more})")
    remedy = "choose the network that these weights belong to, or rename the tensors"
    return f"weights of {source} do not fit {type(model).__name__}: {'; '.join(parts)}; {remedy}"


def write_state(path: Path, model: nn.Module) -> int:
    """Write the state dict of `model` as safetensors, atomically; equal weights give equal bytes.

    Returns:
        Size of the file in bytes.

    Raises:
        RunError: the file cannot be written.
    """
    raw: Any = dump_safetensors({name: value.detach().contiguous() for name, value in model.state_dict().items()})
    write_atomic(path, raw)
    return len(raw)
