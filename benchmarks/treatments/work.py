"""One cell: build the network, treat it, judge it on the test split."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn
from treatments.cells import EVOAPPROX, EXACT, NONE, VARIATE, Cell

import laxity as lx
from laxity.circuits import shelf
from laxity.circuits.importers import load
from laxity.core.approximation import Approximation
from laxity.core.plan import Plan, Recovery
from laxity.emulate.apply import calibration_inputs
from laxity.emulate.weights import read_state, restore, save_state
from laxity.evaluation.evaluator import Evaluator, Setup
from laxity.evaluation.quality import predict
from laxity.recovery.recipe import Options, quantised_plan, repair
from laxity.sites.prepare import prepare
from laxity.techniques import CircuitMultiplier, Integer
from laxity.techniques.hardware.control_variate import with_control_variates

TARGET = "mac-array-45nm"


@dataclass(frozen=True, slots=True)
class Subject:
    """What all cells have in common.

    Attributes:
        task: name.
        data_dir: where its data and the tables of EvoApproxLib are, or None.
        samples: of the test split; 0 for all.
        folder: of the table.
    """

    task: str
    data_dir: str | None
    samples: int
    folder: str


@dataclass
class Worker:
    """Loads task and network once, then works cells off.

    Attributes:
        subject: of all cells.
    """

    subject: Subject
    _names: dict[str, str] = field(default_factory=dict)

    @cached_property
    def task(self) -> lx.Task:
        """With data."""
        return lx.load_task(self.subject.task, data_dir=self.subject.data_dir)

    @cached_property
    def prepared(self) -> Any:
        """The original network, batch norms folded."""
        return prepare(self.task.model, self.task.example_input, "cpu", self.task.exact)

    @cached_property
    def inputs(self) -> list[torch.Tensor]:
        """Calibration inputs."""
        return calibration_inputs(self.task, "cpu")

    def circuit(self, name: str) -> str:
        """The name by which plans call a multiplier; tables of EvoApproxLib are imported."""
        if not name.startswith(EVOAPPROX):
            return name
        if name not in self._names:
            if self.subject.data_dir is None:
                raise SystemExit(f"{name} is a table of EvoApproxLib; give the folder that holds it by --data-dir")
            path = Path(self.subject.data_dir) / "evoapproxlib" / "lut_mul8u_v1.npz"
            self._names[name] = shelf.put(load(path, key=name, name=name).multiplier)
        return self._names[name]

    def plan(self, cell: Cell) -> Plan:
        """The cell's choices, without recovery."""
        choices: list[Approximation] = [Integer(weight_bits=cell.weight_bits)]
        if cell.multiplier != EXACT:
            choices.append(CircuitMultiplier(self.circuit(cell.multiplier)))
        plan = Plan.assign(self.prepared.sites, choices)
        return with_control_variates(plan, self.prepared.sites) if cell.treatment == VARIATE else plan

    def run(self, cell: Cell, recovery: Recovery | None) -> dict[str, Any]:
        """Accuracy on the test split, curve and time."""
        torch.set_num_threads(1)
        start = time.process_time()
        plan = self.plan(cell).with_recovery(recovery)
        file = Path(self.subject.folder) / f"{cell.key}.safetensors"
        options = Options(cell.seed, checkpoint=file)
        first = self._first(plan, cell.seed)
        found = repair(self.prepared, plan, self.task, self.inputs, options, quantised=first)
        trained_s = time.process_time() - start
        predictions = predict(found.model, self.task, "test", limit=self.subject.samples or None)
        file.unlink(missing_ok=True)
        quality = predictions.quality()
        return {
            "accuracy": quality.value,
            "low": quality.low,
            "high": quality.high,
            "loss": quality.loss,
            "samples": quality.samples,
            "curve": found.curve,
            "cpu_s": trained_s,
            "plan": plan.key,
        }

    def _first(self, plan: Plan, seed: int) -> nn.Module | None:
        """The network of the first stage, trained once for all multipliers."""
        first = quantised_plan(plan)
        if first is None:
            return None
        kept = Path(self.subject.folder) / f"first_{first.key}_{seed}.safetensors"
        if kept.exists():
            return restore(self.prepared, replace(first, recovery=None), read_state(kept))
        state = kept.with_suffix(".unfinished")
        model = repair(self.prepared, first, self.task, self.inputs, Options(seed, checkpoint=state)).model
        save_state(model, kept)
        state.unlink(missing_ok=True)
        return model

    def energies(self, bits: Sequence[int], multipliers: Sequence[str]) -> dict[str, dict[str, float | None]]:
        """Energy on the target over that of the network with exact circuits and the same bits, untreated.

        Returns:
            Per ``"name bits"``: ``multiplier``, of the multipliers alone, ``element``, of multipliers, adders and
            registers, and ``total``, of the accelerator and its memories; None where a circuit has no gates.
        """
        evaluator = Evaluator(Setup(self.task, TARGET))
        found: dict[str, dict[str, float | None]] = {}
        for weight_bits in bits:
            exact = self._parts(evaluator, Cell(0, weight_bits, NONE, EXACT))
            for name in multipliers:
                priced = (
                    None if name.startswith(EVOAPPROX) else self._parts(evaluator, Cell(0, weight_bits, NONE, name))
                )
                found[f"{name} {weight_bits}"] = {k: None if priced is None else priced[k] / exact[k] for k in exact}
        return found

    def _parts(self, evaluator: Evaluator, cell: Cell) -> dict[str, float]:
        plan = self.plan(cell)
        cost = evaluator.cost(plan, evaluator.model(plan))
        parts = {name: e.value for name, e in cost.by_component().items()}
        element = sum(parts[name] for name in ("multiplier", "accumulator", "registers"))
        return {"multiplier": parts["multiplier"], "element": element, "total": cost.energy_pj.value}
