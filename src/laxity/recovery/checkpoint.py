"""States of an unfinished training, one file per training, so that a killed one goes on as if nothing had happened."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from laxity.core.errors import RunError
from laxity.core.serial import write_atomic

_HEADER = "laxity"
_MODEL, _OPTIMISER = "model", "optimiser"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where the state after each epoch is kept, and which training it belongs to.

    One safetensors file: weights, buffers and the moments of the optimiser as tensors, and in its header, as JSON, the
    epochs so far and the state of the schedule. Random streams are derived from the seed, the label and the number of
    the epoch, which is therefore all the random state there is.

    Attributes:
        path: of the file, replaced atomically.
        training: content key of all that the training depends on.
    """

    path: Path
    training: str

    def save(
        self,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        curve: Sequence[Mapping[str, float]],
    ) -> None:
        """Write the state after the last epoch of `curve`.

        Raises:
            RunError: the file cannot be written.
        """
        tensors = {f"{_MODEL}.{name}": value for name, value in model.state_dict().items()}
        for number, moments in optimiser.state_dict()["state"].items():
            tensors |= {f"{_OPTIMISER}.{number}.{name}": value for name, value in moments.items()}
        rates = [group["lr"] for group in optimiser.param_groups]
        header = {"training": self.training, "curve": list(curve), "rates": rates, "schedule": schedule.state_dict()}
        own = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
        write_atomic(self.path, save(own, {_HEADER: json.dumps(header)}))

    def load(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler
    ) -> list[dict[str, float]]:
        """Bring everything into the stored state.

        Returns:
            The epochs that are done; none where there is no file.

        Raises:
            RunError: the file is damaged, or is of another training; names it.
        """
        if not self.path.exists():
            return []
        header, tensors = self._read()
        if header.get("training") != self.training:
            raise RunError(f"checkpoint {self.path} belongs to another training; delete it, or name another file")
        parts: dict[str, dict[str, Tensor]] = {_MODEL: {}, _OPTIMISER: {}}
        for name, value in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = value
        model.load_state_dict(parts[_MODEL])
        state = optimiser.state_dict()
        for name, value in parts[_OPTIMISER].items():
            number, _, moment = name.partition(".")
            state["state"].setdefault(int(number), {})[moment] = value
        optimiser.load_state_dict(state)
        schedule.load_state_dict(header["schedule"])
        for group, rate in zip(optimiser.param_groups, header["rates"], strict=True):
            group["lr"] = rate
        return list(header["curve"])

    def _read(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        try:
            with safe_open(str(self.path), framework="pt") as file:
                header = json.loads((file.metadata() or {}).get(_HEADER, "{}"))
                return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        except (OSError, SafetensorError, ValueError) as error:
            raise RunError(f"checkpoint {self.path} is damaged: {error}; delete it to train from the start") from error

    def remove(self) -> None:
        """Delete the file of a training that is done."""
        self.path.unlink(missing_ok=True)
