"""The one thing that workers do: build a plan, repair it, measure its quality and cost."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import laxity.techniques as _techniques
from laxity.circuits import use_folder
from laxity.core.errors import ConfigError
from laxity.core.plan import Plan
from laxity.core.records import Cost, Evaluation
from laxity.core.slots import Level
from laxity.emulate.apply import calibration_inputs, predictions
from laxity.emulate.weights import read_notes, read_state, restore, save_state
from laxity.evaluation.cost import Observed, cost_of, observe
from laxity.evaluation.quality import Predictions, compare, predict
from laxity.recovery.recipe import Options, Recovered, quantised_plan, repair
from laxity.recovery.train import Curve, Progress
from laxity.sites.prepare import Prepared, prepare
from laxity.targets import Target, load_target
from laxity.task.load import load_task
from laxity.task.task import Task

STAGES = ("baseline", "sensitivity", "search", "recovery", "test")
_WATCHED = 128
"""Validation samples on which accuracy is followed while plans are repaired."""

_VERSIONED = ("torch", "numpy", "scipy", "optuna", "safetensors")


@dataclass(frozen=True, slots=True)
class Setup:
    """All that a worker needs to evaluate plans; picklable where the task is given by its arguments.

    Attributes:
        task: a task, or the arguments of `load_task`.
        target: name or path of the target.
        device: ``cpu`` or ``cuda``.
        seed: root seed.
        probe_samples: validation samples of sensitivity probes; 0 for all.
        search_samples: validation samples of the search; 0 for all. Repaired plans are judged on all.
        threads: torch threads per worker; fixed, so that results do not depend on the number of workers.
        folder: where the weights of retrained plans are kept, with their curves, and the states of unfinished
            trainings, which go on from there; None keeps weights in memory.
        circuits: folder of imported circuits that plans may name, or None.
    """

    task: Task | Mapping[str, Any]
    target: str
    device: str = "cpu"
    seed: int = 0
    probe_samples: int = 256
    search_samples: int = 0
    threads: int = 1
    folder: str | None = None
    circuits: str | None = None


class Evaluator:
    """Evaluates plans of one task on one target.

    Args:
        setup: what is evaluated, and how.
        progress: called with (step, steps, loss) while plans are trained.

    Attributes:
        task, prepared, target: loaded once.
        base: the exact 8-bit network, to which energies are compared.

    Raises:
        LaxityError: task, target or device cannot be had.
    """

    def __init__(self, setup: Setup, progress: Progress | None = None) -> None:
        self.setup, self._progress = setup, progress
        torch.set_num_threads(setup.threads)
        check_device(setup.device)
        if setup.circuits is not None:
            use_folder(setup.circuits)
        self.task = setup.task if isinstance(setup.task, Task) else load_task(**setup.task)
        self.target: Target = load_target(setup.target)
        self.prepared: Prepared = prepare(self.task.model, self.task.example_input, setup.device, self.task.exact)
        self.inputs: list[Tensor] = calibration_inputs(self.task, setup.device)
        self.base = base_plan(self.prepared)
        self._states: dict[str, tuple[dict[str, Tensor], Curve]] = {}
        self._base_energy: float | None = None
        self._before: dict[str, Predictions] = {}
        self._wanted: Tensor | None = None
        self._observed: Observed | None = None

    @property
    def base_energy_pj(self) -> float:
        """Energy of the exact 8-bit network, in pJ."""
        if self._base_energy is None:
            self._base_energy = self.cost(self.base, self.model(self.base)).energy_pj.value
        return self._base_energy

    def before(self, split: str = "validation") -> Predictions:
        """Predictions of the user's network on a split."""
        if split not in self._before:
            self._before[split] = predict(self.prepared.model, self.task, split)
        return self._before[split]

    def model(self, plan: Plan) -> nn.Module:
        """The approximated model of a plan, repaired as the plan says.

        Trained weights are stored under the plan's key and read back when they exist, those of first stages too.
        """
        return self._recovered(plan).model

    def _recovered(self, plan: Plan) -> Recovered:
        trained = plan.recovery is not None and plan.recovery.epochs > 0
        stored = self._stored(plan) if trained else None
        if stored is not None:
            return Recovered(restore(self.prepared, plan, stored[0]), stored[1])
        if self._wanted is None:
            self._wanted = predictions(self.prepared.model, self.inputs)
        first, path = quantised_plan(plan), self._path(plan)
        checkpoint = None if path is None else path.with_suffix(".training.safetensors")
        found = repair(
            self.prepared,
            plan,
            self.task,
            self.inputs,
            Options(self.setup.seed, self._progress, checkpoint, _WATCHED),
            quantised=None if first is None else self.model(first),
            wanted=self._wanted,
        )
        if trained:
            self._store(plan, found)
        return found

    def _path(self, plan: Plan) -> Path | None:
        return None if self.setup.folder is None else Path(self.setup.folder) / f"{plan.key}.safetensors"

    def _store(self, plan: Plan, found: Recovered) -> None:
        path = self._path(plan)
        if path is None:
            self._states[plan.key] = {k: v.clone() for k, v in found.model.state_dict().items()}, found.curve
            return
        save_state(found.model, path, found.curve)
        path.with_suffix(".training.safetensors").unlink(missing_ok=True)

    def _stored(self, plan: Plan) -> tuple[dict[str, Tensor], Curve] | None:
        path = self._path(plan)
        if path is None:
            return self._states.get(plan.key)
        return (read_state(path), list(read_notes(path) or ())) if path.exists() else None

    def cost(self, plan: Plan, model: nn.Module) -> Cost:
        """Cost of a built plan on the target."""
        return cost_of(model, plan, self.target, self.inputs[0], seed=self.setup.seed)

    def price(self, plan: Plan) -> float:
        """Energy of a plan that differs from the exact 8-bit network in circuits only, as a ratio to that network's.

        The plan is not built: its circuits meet operands and sums of the exact network.

        Raises:
            PlanError, TargetError: the plan does not fit the target.
        """
        if self._observed is None:
            self._observed = observe(self.model(self.base), self.inputs[0], seed=self.setup.seed)
        found = self._observed.demands(plan)
        self.target.check_arithmetic(found)
        return self.target.cost(found).energy_pj.value / self.base_energy_pj

    def evaluate(self, plan: Plan, stage: str) -> Evaluation:
        """Build, measure and record a plan.

        Args:
            plan: what to evaluate.
            stage: ``baseline|sensitivity|search|recovery|test``; decides how many validation samples are used, and the
                last one that the plan is judged on the whole test split, after everything is decided.

        Raises:
            LaxityError: the plan does not fit model or target.
        """
        start = time.perf_counter()
        samples = {"sensitivity": self.setup.probe_samples, "search": self.setup.search_samples}.get(stage, 0)
        limit = samples or None
        recovered = self._recovered(plan)
        model = recovered.model
        split = "test" if stage == "test" else "validation"
        after = predict(model, self.task, split, limit=limit)
        comparison = compare(self.before(split).first(len(after.targets), self.task.loss), after)
        cost = self.cost(plan, model)
        energy_pj = cost.energy_pj.value
        return Evaluation(
            plan_key=plan.key,
            plan=plan.to_json(),
            task=self.task.name,
            fingerprint=self.task.fingerprint,
            target=self.target.name,
            seed=self.setup.seed,
            stage=stage,
            level=plan_level(plan, self.base),
            quality=after.quality(),
            drop=comparison.drop,
            drop_error=comparison.error,
            disagreement=comparison.disagreement,
            divergence=comparison.divergence,
            energy_pj=energy_pj,
            energy_ratio=energy_pj / self.base_energy_pj,
            area_um2=cost.area_um2.value,
            latency_cycles=cost.latency_cycles.value,
            memory_bits=cost.memory_bits.value,
            seconds=time.perf_counter() - start,
            versions=versions(),
            curve=tuple(recovered.curve),
        )


def base_plan(prepared: Prepared) -> Plan:
    """The exact network in 8-bit integers: what an accelerator without approximation runs."""
    return Plan.assign([s for s in prepared.sites if s.slots], [_techniques.Integer()])


def plan_level(plan: Plan, base: Plan) -> str:
    """``data``, ``software`` or ``hardware`` if the plan departs from the base there only, ``cross`` if at several.

    The base itself has the empty level.
    """
    levels: set[Level] = {slot.level for _, slot, _, _ in plan.diff(base)}
    return "" if not levels else next(iter(levels)).value if len(levels) == 1 else "cross"


def check_device(device: str) -> None:
    """Check that torch can use a device.

    Raises:
        ConfigError: unknown device, or CUDA asked for where torch sees none.
    """
    if device not in {"cpu", "cuda"} and not device.startswith("cuda:"):
        raise ConfigError(f"unknown device {device!r}; use cpu or cuda")
    if device != "cpu" and not torch.cuda.is_available():
        raise ConfigError(f"device {device!r} was asked for, but torch sees no CUDA device; use --device cpu")


def versions() -> dict[str, str]:
    """Versions of Python, laxity and the packages that decide results."""
    found = {name: version(name) for name in _VERSIONED}
    return {"python": platform.python_version(), "laxity": version("laxity"), **found}
