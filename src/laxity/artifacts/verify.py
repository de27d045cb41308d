"""Judge a plan, or a saved one, again: quality on a split and cost on a target."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from laxity.artifacts import details as tables
from laxity.artifacts.config import RunConfig, read_config, resolve
from laxity.circuits import use_folder
from laxity.core.errors import ConfigError, RunError
from laxity.core.plan import Plan
from laxity.core.registry import did_you_mean
from laxity.emulate.weights import read_state, restore
from laxity.evaluation.evaluator import Evaluator, Setup
from laxity.evaluation.quality import predict
from laxity.task.task import SPLIT_NAMES, Task


def evaluate(
    task: str | Task,
    plan: Plan | None = None,
    *,
    target: str = "mac-array-45nm",
    split: str = "test",
    seed: int = 0,
    device: str = "cpu",
) -> dict[str, Any]:
    """Quality and energy of a plan, beside those of the original and of the exact 8-bit network.

    Args:
        task: a task, or what `load_task` accepts.
        plan: what to evaluate, retrained where it says so; the exact 8-bit network if None.
        target: name or path of the hardware target.
        split: ``train|calibration|validation|test``.
        seed: root seed.
        device: ``cpu`` or ``cuda``.

    Raises:
        LaxityError: bad input; names the thing, the value and the remedy.
    """
    _check_split(split)
    source: Task | Mapping[str, Any] = task if isinstance(task, Task) else {"spec": task}
    evaluator = Evaluator(Setup(source, target, device, seed))
    chosen = evaluator.base if plan is None else plan
    return _judge(evaluator, chosen, evaluator.model(chosen), split, seed)


@dataclass(frozen=True, slots=True, eq=False)
class Saved:
    """A finished run, rebuilt from its folder.

    Attributes:
        config: what was run.
        evaluator: the run's task and target, loaded again.
        plan: the plan of the folder.
        model: the approximated model with the saved weights.
    """

    config: RunConfig
    evaluator: Evaluator
    plan: Plan
    model: nn.Module


def load_saved(best: Path, *, device: str | None = None, task: Task | None = None) -> Saved:
    """Rebuild the approximated model of a finished run from its saved plan and weights.

    Args:
        best: the folder ``best`` of a run, or the run folder itself.
        device: where to compute; as in the run if None.
        task: needed only where the run was given a `Task` object instead of a name.

    Raises:
        RunError: the folder is not that of a finished run, one of its files is damaged, or it belongs to another model
            or data.
    """
    folder = best if (best / "plan.json").exists() else best / "best"
    config, fingerprint = _configuration(folder.parent / "config.toml")
    if (folder / "circuits").is_dir():
        use_folder(folder / "circuits")
    plan = Plan.from_json(_read_json(folder / "plan.json"))
    state = _finite(read_state(folder / "model.safetensors"), folder / "model.safetensors")
    source: Task | Mapping[str, Any] = task if task is not None else config.task.arguments()
    evaluator = Evaluator(Setup(source, config.target, device or config.device, config.seed, threads=config.threads))
    if evaluator.task.fingerprint != fingerprint:
        raise RunError(
            f"the run in {folder.parent} was made with another model or other data than {evaluator.task.name!r} is "
            "now; restore them, or run the optimisation again"
        )
    plan.check(evaluator.prepared.sites)
    return Saved(config, evaluator, plan, restore(evaluator.prepared, plan, state))


def evaluate_saved(
    best: Path, *, split: str = "test", device: str | None = None, task: Task | None = None
) -> dict[str, Any]:
    """Recompute quality and cost of a finished run from its saved plan and weights.

    Args:
        best: the folder ``best`` of a run, or the run folder itself.
        split: which split to judge on.
        device: where to compute; as in the run if None.
        task: needed only where the run was given a `Task` object instead of a name.

    Raises:
        ConfigError: unknown split.
        RunError: as `load_saved`.
    """
    _check_split(split)
    saved = load_saved(best, device=device, task=task)
    return _judge(saved.evaluator, saved.plan, saved.model, split, saved.config.seed)


def _check_split(split: str) -> None:
    if split not in SPLIT_NAMES:
        raise ConfigError(f"unknown split {split!r}{did_you_mean(split, SPLIT_NAMES)}")


def _judge(evaluator: Evaluator, plan: Plan, model: nn.Module, split: str, seed: int) -> dict[str, Any]:
    before = predict(evaluator.prepared.model, evaluator.task, split)
    after = predict(model, evaluator.task, split)
    exact = evaluator.cost(evaluator.base, evaluator.model(evaluator.base))
    names = evaluator.task.name, evaluator.target.name
    return tables.metrics(*names, seed, before, after, exact, evaluator.cost(plan, model))


def _configuration(path: Path) -> tuple[RunConfig, str]:
    if not path.exists():
        raise RunError(f"{path.parent} is no run folder: it has no config.toml; give the folder of a finished run")
    config = resolve(read_config(path), str(path))
    head = path.read_text(encoding="utf-8").partition("\n")[0]
    return config, head.rpartition(" ")[2]


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}; give the folder of a finished run") from error
    except ValueError as error:
        raise RunError(f"{path} is not JSON: {error}; run the optimisation again") from error


def _finite(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    for name, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise RunError(f"weights {path}: tensor {name!r} holds NaN or infinite values; run the optimisation again")
    return state
