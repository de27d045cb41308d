"""Save and restore the state of an approximated model: weights, codes, masks and corrections."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor, nn

from laxity.core.errors import RunError
from laxity.core.plan import Plan
from laxity.core.serial import write_atomic
from laxity.emulate.build import build
from laxity.emulate.layer import EmulatedLayer
from laxity.sites.prepare import Prepared

_NOTES = "laxity"


def save_state(model: nn.Module, path: Path, notes: Any = None) -> None:
    """Write all parameters and buffers as safetensors, atomically.

    Args:
        model: whose state it is.
        path: of the file.
        notes: JSON value for the header of the file, or None.

    Raises:
        RunError: the file cannot be written.
    """
    state = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    write_atomic(path, save(state, None if notes is None else {_NOTES: json.dumps(notes)}))


def read_notes(path: Path) -> Any:
    """The notes of a file that `save_state` wrote, or None.

    Raises:
        RunError: missing, unreadable or corrupt.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            return json.loads((file.metadata() or {}).get(_NOTES, "null"))
    except (OSError, SafetensorError, ValueError) as error:
        raise RunError(f"weights {path} are corrupt: {error}; run the optimisation again") from error


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        RunError: missing, unreadable or corrupt.
    """
    try:
        return load(path.read_bytes())
    except OSError as error:
        raise RunError(f"cannot read weights {path}: {error.strerror}; give the folder of a finished run") from error
    except SafetensorError as error:
        raise RunError(f"weights {path} are corrupt: {error}; run the optimisation again") from error


def restore(prepared: Prepared, plan: Plan, state: dict[str, Tensor]) -> nn.Module:
    """Rebuild an approximated model from its plan and saved state.

    Raises:
        RunError: the state does not belong to this plan and model; names the first tensor that does not fit.
    """
    model = build(prepared, plan)
    device = prepared.example_input.device
    for name, module in model.named_modules():
        bias = state.get(f"{name}.bias")
        if bias is not None and isinstance(module, EmulatedLayer) and getattr(module, "bias", None) is None:
            module.bias = nn.Parameter(torch.zeros_like(bias, device=device), requires_grad=False)
    own = model.state_dict()
    for name in sorted(own.keys() ^ state.keys()):
        raise RunError(f"the saved weights do not belong to this plan: tensor {name!r} is on one side only")
    for name, value in own.items():
        if value.shape != state[name].shape:
            shapes = f"{tuple(state[name].shape)} and {tuple(value.shape)}"
            raise RunError(f"the saved weights do not belong to this plan: {name!r} has shapes {shapes}")
    model.load_state_dict(state)
    return model.eval()
