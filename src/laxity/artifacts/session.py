"""A run from beginning to end: search, verify on unseen data, look at faults, write everything down."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from laxity.artifacts import details as tables
from laxity.artifacts.config import EFFORTS, RunConfig, merge, resolve
from laxity.artifacts.folder import RunFolder
from laxity.artifacts.hardening.front import FrontHardener
from laxity.artifacts.repairs import repairs
from laxity.artifacts.report import write_report
from laxity.circuits import catalogue, shelf
from laxity.circuits.kept import keep
from laxity.core.demand import EXACT_MULTIPLIER
from laxity.core.errors import ConfigError
from laxity.core.plan import Plan
from laxity.core.records import Evaluation, Reliability
from laxity.core.space import Space
from laxity.emulate.weights import save_state
from laxity.evaluation.cost import demands
from laxity.evaluation.evaluator import Evaluator, Setup, versions
from laxity.evaluation.quality import predict
from laxity.evaluation.reliability import bit_error_sweep
from laxity.rtl.vectors import write_rtl
from laxity.run import Journal, make_executor
from laxity.search.driver import Budget, Outcome, search
from laxity.search.pool import Pool
from laxity.search.sensitivity import priced
from laxity.targets import Breakdown
from laxity.task.task import Task

Progress = Callable[[str, int, int, Evaluation | None], None]


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a run hands back.

    Attributes:
        plan: the selected plan.
        model: the approximated model, retrained where the plan says so.
        metrics: the content of ``best/metrics.json``.
        met: whether the plan keeps the budget on the validation split and on the test split.
        folder: the run folder, or None if nothing was written.
    """

    plan: Plan
    model: nn.Module
    metrics: Mapping[str, Any]
    met: bool
    folder: Path | None = field(default=None)


def optimize(
    task: str | Task = "digits",
    target: str = "mac-array-45nm",
    *,
    max_drop: float = 0.01,
    out: str | Path | None = None,
    effort: str = "normal",
    seed: int = 0,
    device: str = "cpu",
    workers: int = 1,
    config: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Result:
    """Find, repair and verify the cheapest cross-layer approximation of a task within an accuracy budget.

    Args:
        task: a built-in name, a task file, ``module:function``, or a `Task`.
        target: name or path of the hardware target.
        max_drop: accuracy that may be lost, as a fraction.
        out: run folder; a run that was interrupted there is resumed. None writes nothing.
        effort: ``quick|normal|thorough``.
        seed: root seed.
        device: ``cpu`` or ``cuda``.
        workers: processes; more than one needs the script to be guarded by ``if __name__ == "__main__"``.
        config: further options by section, as in config.toml.
        progress: called with (what, done, total, latest evaluation).

    Raises:
        LaxityError: bad input; names the thing, the value and the remedy.
    """
    if effort not in EFFORTS:
        raise ConfigError(f"unknown effort {effort!r}; use one of {', '.join(EFFORTS)}")
    given: dict[str, Any] = {"target": target, "max_drop": max_drop, "seed": seed, "device": device}
    spec = task.name if isinstance(task, Task) else task
    chosen = merge(merge(EFFORTS[effort], {**given, "task": {"spec": spec}}), dict(config or {}))
    resolved = resolve(chosen, "optimize")
    folder = None if out is None else Path(out)
    loaded = task if isinstance(task, Task) else None
    return run(
        resolved, folder, task=loaded, workers=workers, command=_command(resolved, folder, loaded), progress=progress
    )


def _command(config: RunConfig, folder: Path | None, task: Task | None) -> str:
    """What repeats a run that was started from Python."""
    if task is not None:
        return f"laxity.optimize(task, ...)  # in Python, with the Task {task.name!r} and the options of config.toml"
    place = "runs/again" if folder is None else str(folder)
    return shlex.join(["laxity", "optimize", config.task.spec, "--config", f"{place}/config.toml", "--out", place])


def run(
    config: RunConfig,
    out: Path | None,
    *,
    task: Task | None = None,
    workers: int = 1,
    command: str = "laxity.optimize(...)",
    progress: Progress | None = None,
) -> Result:
    """Carry out a resolved configuration; see `optimize`."""
    start = time.perf_counter()
    folder = None if out is None else RunFolder(out)
    setup = Setup(
        task=task if task is not None else config.task.arguments(),
        target=config.target,
        device=config.device,
        seed=config.seed,
        probe_samples=config.search.probe_samples,
        search_samples=config.search.search_samples,
        threads=config.threads,
        folder=None if folder is None else str(folder.checkpoints),
        circuits=config.circuits,
    )
    evaluator = Evaluator(setup)
    with ExitStack() as stack:
        if folder is not None:
            folder.claim(config, evaluator.task.fingerprint)
            stack.enter_context(folder.held())
            folder.created()
            folder.log(f"start: {command}")
        journal = Journal(None if folder is None else folder.journal)
        recorded_s = sum(e.seconds for e in journal) / workers
        sites = evaluator.prepared.sites
        space = priced(Space.of(sites, evaluator.base, config.search.techniques), sites, evaluator.target)
        executor = stack.enter_context(make_executor(workers, Pool.initialise, (setup,)))
        pool, budget = Pool(executor, journal, progress), _budget(config)
        outcome = search(space, pool, budget, seed=config.seed)
        repaired = repairs(outcome, pool, budget)
        hardened = None if config.max_sdc is None else _hardened(config, evaluator, outcome, folder, progress)
        finish = _Finish(config, evaluator, outcome, hardened, progress)
        result = finish.verify()
        result["evaluations"] = sum(1 for e in journal if e.stage not in ("sensitivity", "test"))
        result["seconds"] = recorded_s + time.perf_counter() - start
        if folder is not None:
            folder.write("recovery.json", repaired)
            if hardened is not None:
                folder.write("hardening.json", hardened.document)
            finish.write(folder, result, command)
    return Result(finish.plan, finish.model, result, bool(result["met"]), out)


def _budget(config: RunConfig) -> Budget:
    return Budget(
        max_drop=config.max_drop,
        guard=config.guard,
        candidates=config.search.candidates,
        evaluations=config.search.evaluations,
        population=config.search.population,
        rounds=config.search.rounds,
        quick=config.quick.values()[0],
        recoveries=config.recovery.values(),
        gradients=tuple(config.recovery.gradients),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Hardened:
    """What hardening made of the plans within the budget.

    Attributes:
        document: for ``hardening.json``.
        found: the plan that is cheapest with its protections, its network, and its figures; None if there is none.
    """

    document: Mapping[str, Any]
    found: tuple[Plan, nn.Module, Mapping[str, Any]] | None


def _hardened(
    config: RunConfig, evaluator: Evaluator, outcome: Outcome, folder: RunFolder | None, progress: Progress | None
) -> _Hardened:
    """Protect the plans within the budget, cheapest first."""

    def tell(what: str, done: int, total: int) -> None:
        if progress is not None:
            progress(what, done, total, None)

    hardener = FrontHardener(config, evaluator, None if folder is None else folder.path / "campaigns", tell)
    every = [outcome.base, *(e for found in outcome.tried.values() for e in found), outcome.selected]
    front = hardener.run([e for e in every if e.stage != "sensitivity" and e.within(config.max_drop, config.guard)])
    document, chosen = hardener.document(front), front.chosen
    if chosen is None or chosen.kept is None:
        return _Hardened(document, None)
    plan, exposure = chosen.kept.plan, chosen.kept.exposure
    tell("faults on the test split", 0, 1)
    judged = hardener.judged(plan, exposure)
    tell("faults on the test split", 1, 1)
    figures = {"limit": config.max_sdc, "metric": config.hardening.metric, "confidence": config.hardening.confidence}
    return _Hardened(document | {"test": judged}, (plan, hardener.model(plan), figures | judged))


class _Finish:
    """Verification of the selected plan and the files that follow from it."""

    def __init__(
        self,
        config: RunConfig,
        evaluator: Evaluator,
        outcome: Outcome,
        hardened: _Hardened | None,
        progress: Progress | None,
    ) -> None:
        self.config, self.evaluator, self.outcome, self._progress = config, evaluator, outcome, progress
        self.plan = Plan.from_json(outcome.selected.plan)
        self._hardened = hardened
        if hardened is not None and hardened.found is not None:
            self.plan, self.model, _ = hardened.found
        else:
            self.model = evaluator.model(self.plan)
        self.exact_model = evaluator.model(evaluator.base)
        self.cost = evaluator.cost(self.plan, self.model)
        self.exact_cost = evaluator.cost(evaluator.base, self.exact_model)

    def verify(self) -> dict[str, Any]:
        """Judge the plan on the test split, which nothing has seen so far."""
        self._tell("test split", 0, 1)
        task = self.evaluator.task
        before = predict(self.evaluator.prepared.model, task, "test")
        after = predict(self.model, task, "test")
        target = self.evaluator.target.name
        found = tables.metrics(task.name, target, self.config.seed, before, after, self.exact_cost, self.cost)
        found["max_drop"] = self.config.max_drop
        found["met"] = self.outcome.met and found["drop"] <= self.config.max_drop
        if self._hardened is not None:
            faults = None if self._hardened.found is None else self._hardened.found[2]
            found["hardening"] = faults
            found["met"] = found["met"] and faults is not None and faults["kept"]
        self._tell("test split", 1, 1)
        return found | tables.verdict(self.outcome)

    def faults(self) -> dict[str, list[Reliability]]:
        """Bit flips in stored weights of the original, the exact 8-bit and the approximated network."""
        networks = {
            "original": self.evaluator.prepared.model,
            "int8_exact": self.exact_model,
            "approximated": self.model,
        }
        options = self.config.faults
        found: dict[str, list[Reliability]] = {}
        for number, (label, model) in enumerate(networks.items()):
            self._tell("faults in stored weights", number, len(networks))
            found[label] = bit_error_sweep(
                model,
                self.evaluator.task,
                rates=options.rates,
                trials=options.trials,
                samples=options.samples,
                split="test",
                seed=self.config.seed,
                label=label,
            )
        self._tell("faults in stored weights", len(networks), len(networks))
        return found

    def hardware(self) -> dict[str, Breakdown]:
        """What lies behind the costs of the exact 8-bit network and of the plan."""
        networks = {"int8_exact": (self.exact_model, self.evaluator.base), "approximated": (self.model, self.plan)}
        inputs, seed = self.evaluator.inputs[0], self.config.seed
        return {
            label: self.evaluator.target.breakdown(demands(model, plan, inputs, seed=seed))
            for label, (model, plan) in networks.items()
        }

    def write(self, folder: RunFolder, result: Mapping[str, Any], command: str) -> None:
        """Write plan, weights, figures, circuits and report, then drop what is no longer needed."""
        faults = self.faults()
        folder.write("manifest.json", self._manifest(folder, result, command))
        baseline = self.evaluator.before().quality()
        folder.write("front.json", tables.front_table(self.outcome, baseline, self.config.max_drop))
        folder.write("sensitivity.json", tables.sensitivity_table(self.outcome.probes))
        folder.write("best/plan.json", self.plan.to_json())
        save_state(self.model, folder.best / "model.safetensors")
        folder.write("best/metrics.json", result)
        details = tables.details(
            self.evaluator.prepared, self.plan, self.exact_cost, self.cost, self.hardware(), faults
        )
        folder.write("best/details.json", details)
        for name in tables.circuits_of(self.plan) or [EXACT_MULTIPLIER]:
            multiplier = catalogue.get(name)
            if multiplier.circuit is not None:
                write_rtl(multiplier, folder.best / "rtl")
            if name.startswith(shelf.PREFIX):
                keep(multiplier, folder.best / "circuits")
        write_report(folder.path)
        folder.clean(keep=self.plan.key)
        folder.log(f"done: energy ratio {result['energy_pj']['ratio']:.4f}, drop {result['drop']:.4f}")

    def _manifest(self, folder: RunFolder, result: Mapping[str, Any], command: str) -> dict[str, Any]:
        task, target, used = self.evaluator.task, self.evaluator.target, versions()
        return {
            "laxity": used.pop("laxity"),
            "command": command,
            "created": folder.created(),
            "seed": self.config.seed,
            "versions": used,
            "task": {
                "name": task.name,
                "fingerprint": task.fingerprint,
                "notes": task.notes,
                "samples": {name: len(split) for name, split in task.splits().items()},
            },
            "target": {
                "name": target.name,
                "description": target.description,
                "key": target.key,
                "constants": _flat(target.describe()["constants"]),
            },
            "max_drop": self.config.max_drop,
            "options": {"classes": task.num_classes, "cpu": torch.backends.cpu.get_cpu_capability()},
            "seconds": result["seconds"],
        }

    def _tell(self, what: str, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(what, done, total, None)


def _flat(sections: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Constants of a target as rows."""
    return [
        {"name": f"{section}.{name}", **constant}
        for section, constants in sections.items()
        for name, constant in constants.items()
    ]
