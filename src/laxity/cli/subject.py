"""What commands on a task or a finished run are about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laxity.cli.optimize import default_folder
from laxity.core.errors import ConfigError, RunError

if TYPE_CHECKING:
    from torch import nn

    from laxity.artifacts.hardening import Network
    from laxity.evaluation.evaluator import Evaluator
    from laxity.task import Task

_NOT_RUN = re.compile(r"[^:]*/[^:]*")


def load_subject(subject: str, options: dict[str, Any], device: str | None) -> tuple[Evaluator, nn.Module | None]:
    """The evaluator of a task, or of a run together with its approximated model.

    Args:
        subject: name or description of a task, or the folder of a finished run.
        options: arguments of the task; a run has its own.
        device: where to compute; as in the run, or the CPU, if None.

    Raises:
        ConfigError: options for a run.
        RunError: there is no such folder, or as `load_saved`.
        LaxityError: the task cannot be had.
    """
    from laxity.artifacts.verify import load_saved
    from laxity.evaluation.evaluator import Evaluator, Setup

    if Path(subject).is_dir():
        if options:
            given = ", ".join("--" + key.replace("_", "-") for key in options)
            raise ConfigError(f"{given} cannot be used with the run {subject}, which names its own task; leave it out")
        saved = load_saved(Path(subject), device=device)
        return saved.evaluator, saved.model
    if _NOT_RUN.fullmatch(subject) and not subject.endswith(".toml"):
        raise RunError(f"there is no run folder {subject}; give the folder of a finished run, or a task")
    return Evaluator(Setup({"spec": subject, **options}, "mac-array-45nm", device or "cpu")), None


def beside(subject: str, suffix: str) -> Path:
    """The folder of results about a run, beside the run, or about a task, among the runs."""
    folder = Path(subject) if Path(subject).is_dir() else default_folder(subject)
    run = folder.resolve().parent if folder.name == "best" else folder
    return run.with_name(f"{run.name}-{suffix}")


def load_networks(subject: str, options: dict[str, Any], device: str | None) -> tuple[Task, dict[str, nn.Module]]:
    """The task, and the networks of `network_names` by name; as `load_subject`."""
    evaluator, model = load_subject(subject, options, device)
    approximated = {} if model is None else {"approximated": model}
    exact = evaluator.model(evaluator.base)
    return evaluator.task, {"original": evaluator.prepared.model, "int8_exact": exact, **approximated}


def network_names(subject: str) -> tuple[str, ...]:
    """Names of the networks of a run, or of a task: before approximation, with exact 8-bit operators, and after."""
    return ("original", "int8_exact", *(("approximated",) if Path(subject).is_dir() else ()))


def load_network(subject: str, options: dict[str, Any], name: str) -> tuple[nn.Module, Task]:
    """One of the networks, on the CPU, and the task; as `load_networks`."""
    task, networks = load_networks(subject, options, "cpu")
    return networks[name], task


@dataclass(frozen=True, slots=True)
class SavedNetwork:
    """Opens the approximated network of a run, or the exact 8-bit network of a task, on the CPU.

    Attributes:
        subject: name or description of a task, or the folder of a finished run.
        options: arguments of the task, by name.
    """

    subject: str
    options: tuple[tuple[str, Any], ...]

    def __call__(self) -> Network:
        """As `load_subject`."""
        from laxity.artifacts.hardening import Network
        from laxity.artifacts.verify import load_saved

        if Path(self.subject).is_dir() and not self.options:
            saved = load_saved(Path(self.subject), device="cpu")
            return Network(saved.evaluator, saved.plan, saved.model)
        evaluator, _ = load_subject(self.subject, dict(self.options), "cpu")
        return Network(evaluator, evaluator.base, evaluator.model(evaluator.base))
