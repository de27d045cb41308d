"""What modes of single filters save at equal accuracy, against modes of layers and one mode for all; and whose order.

Three parts: ``modes`` (filter by filter with every order of filters, layer by layer, one mode everywhere, all with the
same operands and modes; nothing is trained, but with ``--reestimate`` output channels regain their mean and spread),
``axnn`` (half of all neurons with weights of few bits, chosen by AxNN's ranking, at random, and by the inverse ranking,
before and after retraining) and ``approxann`` (computation and memory of the least critical neurons, against
computation alone).

Searches look at the validation split; every figure of accuracy that is printed is of the test split. The published
checkpoint of CIFAR-10 was trained on what is the validation split here, so that there the first half of the test split
is searched on, and the second half judges.

Energies are fractions of those of the exact 8-bit network on the same target: of its multipliers, of its
multiply-accumulate circuits (multipliers and accumulators), and of everything.

Usage: ``python benchmarks/kernelwise.py --out DIR [--json] [--task digits] [--weights FILE] [--data-dir DIR]
[--parts modes axnn approxann] [--circuits ...] [--weight-bits ...] [--max-drop 0.01] [--search-samples 2000]``.
Finished searches and evaluations are kept in the folder: the same command again goes on where it was ended.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import laxity as lx
from laxity.core.plan import Plan, Recovery
from laxity.core.records import Evaluation
from laxity.core.serial import write_json
from laxity.evaluation.evaluator import Evaluator, Setup
from laxity.relevance import relevances
from laxity.search.filters import (
    Filterwise,
    Modes,
    Subject,
    approxann,
    filterwise,
    layerwise,
    networkwise,
    resilient,
)
from laxity.search.journaled import journaled
from laxity.task.splits import subset
from laxity.task.task import Task

CRITERIA = ("lrp_zplus", "lrp_epsilon", "taylor", "gradient", "sensitivity", "magnitude")
GATED = (*(f"gated8_{k}_{k}" for k in range(5)), "gated8_4_4", "gated8_4_4")
GATED_BITS = (8, 7, 6, 5, 4, 3, 2)
HALVES = ("gated8_0_0", "gated8_0_4")
PARTS = ("modes", "axnn", "approxann")
PUBLISHED_ON_TRAINING = ("cifar10",)
"""Tasks whose published weights were trained on the validation split."""

SETTINGS = ("reestimate", "circuits", "weight_bits", "max_drop", "probe_samples", "search_samples", "epochs", "samples")
"""Options that what is kept depends on."""

RATIOS = ("energy_ratio", "mac_ratio", "multiplier_ratio")
MAC = ("multiplier", "accumulator")
TARGET = "mac-array-45nm"

Row = dict[str, Any]


class Bench:
    """One task on one target, with everything kept in a folder.

    Args:
        options: of the command line.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.folder = options, Path(options.out)
        self.task = _task(options)
        self.setup = Setup(
            self.task, TARGET, probe_samples=options.probe_samples, search_samples=options.search_samples
        )
        self.evaluator = Evaluator(replace(self.setup, folder=str(self.journal / "seed-0" / "checkpoints")))
        self._exact: dict[str, float] | None = None
        self._settle()

    def _settle(self) -> None:
        """Write what all that is kept depends on, or refuse a folder of other settings."""
        path, own = self.folder / "settings.json", {name: getattr(self.options, name) for name in SETTINGS}
        own["fingerprint"] = self.task.fingerprint
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, own)
        kept = json.loads(path.read_text(encoding="utf-8"))
        other = [
            f"{name} is {kept.get(name)!r} there, not {own[name]!r}" for name in own if kept.get(name) != own[name]
        ]
        if other:
            sys.exit(f"{self.folder} holds results of other settings ({'; '.join(other)}); name another folder")

    @property
    def journal(self) -> Path:
        """Folder of the journal and of trained weights."""
        return self.folder / "journal"

    def row(self, part: str, name: str, find: Callable[[], Row]) -> Row:
        """What is kept under a name, found if it is not there yet."""
        path = self.folder / part / f"{name}.json"
        if not path.exists():
            note(f"{self.task.name}, {part}: {name} ...")
            start = time.perf_counter()
            found = find()
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, {**found, "wall_s": time.perf_counter() - start, "command": sys.argv})
        row: Row = json.loads(path.read_text(encoding="utf-8"))
        return row

    def tested(self, plan: Plan) -> Evaluation:
        """A plan on the whole test split."""
        with journaled(self.setup, self.setup.seed, self.journal) as pool:
            return pool.run([plan], "test", "test split")[0]

    def judged(self, plan: Plan) -> Row:
        """Accuracy on the test split and the parts of the energy."""
        found = self.tested(plan)
        if self._exact is None:
            self._exact = self._parts(self.evaluator.base)
        parts = self._parts(plan)
        return {
            "accuracy": found.quality.value,
            "drop": found.drop,
            "drop_error": found.drop_error,
            "energy_ratio": found.energy_ratio,
            "mac_ratio": sum(parts[p] for p in MAC) / sum(self._exact[p] for p in MAC),
            "multiplier_ratio": parts["multiplier"] / self._exact["multiplier"],
            "memory_bits": found.memory_bits,
        }

    def _parts(self, plan: Plan) -> dict[str, float]:
        cost = self.evaluator.cost(plan, self.evaluator.model(plan))
        return {name: e.value for name, e in cost.by_component().items()}

    def search(self, find: Callable[..., Filterwise], **own: Any) -> Row:
        """A search with the modes of the command line, and what the test split says of its choice."""
        options = self.options
        common: dict[str, Any] = {"weight_bits": options.weight_bits, "max_drop": options.max_drop}
        if options.reestimate and find is not approxann:
            common["recipe"] = Recovery()
        found = find(self.setup, options.circuits, **{**common, **own}, folder=self.journal, progress=tell)
        base = Plan.from_json(found.base.plan)
        plan = base if found.chosen is None else Plan.from_json(found.chosen.plan)
        steps = [[s.energy_ratio, s.drop, s.accepted] for s in found.steps]
        return {
            "met": found.chosen is not None,
            "base": self.judged(base),
            "chosen": self.judged(plan),
            "validation_drop": found.base.drop if found.chosen is None else found.chosen.drop,
            "filters_by_mode": dict(sorted(_modes(plan).items())),
            "judged": len(steps),
            "steps": steps,
        }


def main() -> None:
    """Measure what is missing and print everything."""
    options = _options()
    bench = Bench(options)
    found: Row = {"task": bench.task.name, "target": TARGET, "circuits": options.circuits}
    found |= {"weight_bits": options.weight_bits, "max_drop": options.max_drop, "neuron_bits": options.neuron_bits}
    for part in options.parts:
        found[part] = MEASURES[part](bench)
    print(json.dumps(found) if options.json else "\n".join(_text(found)))


def modes(bench: Bench) -> dict[str, Row]:
    """All orders of filters, layers, and the whole network."""
    rows = {
        "one mode": bench.row("modes", "network", lambda: bench.search(networkwise)),
        "layer by layer": bench.row("modes", "layers", lambda: bench.search(layerwise)),
    }
    for name in bench.options.criteria:
        rows[name] = bench.row("modes", name, lambda n=name: bench.search(filterwise, relevance=n))  # type: ignore[misc]
    for name in bench.options.blocks:
        rows[f"{name}, blocks"] = bench.row(
            "modes",
            f"{name}_blocks",
            lambda n=name: bench.search(filterwise, relevance=n, lock="block"),  # type: ignore[misc]
        )
    for seed in range(bench.options.seeds):
        rows[f"random {seed}"] = bench.row("modes", f"random_{seed}", lambda s=seed: bench.search(  # type: ignore[misc]
            filterwise, relevance=relevances(bench.task, "random", seed=s, prepared=bench.evaluator.prepared)
        ))  # fmt: skip
    return rows


def axnn(bench: Bench) -> dict[str, Row]:
    """Half of the neurons, by three rankings."""
    subject = Subject.of(bench.evaluator.prepared.sites, Modes(HALVES, (8, bench.options.neuron_bits)))
    options = bench.options
    recipe = Recovery(epochs=options.epochs, samples=options.samples, reestimate=False)

    def judge(scores: dict[str, Any]) -> Row:
        plan = subject.plan(resilient({s: scores[s] for s in subject.filters}, 0.5))
        return {"before": bench.judged(plan), "after": bench.judged(plan.with_recovery(recipe))}

    def scores(criterion: str, seed: int = 0) -> dict[str, Any]:
        return relevances(bench.task, criterion, seed=seed, prepared=bench.evaluator.prepared)

    part = f"axnn_{options.neuron_bits}"
    rows = {
        "AxNN": bench.row(part, "gradient", lambda: judge(scores("gradient"))),
        "inverse": bench.row(part, "inverse", lambda: judge({s: -v for s, v in scores("gradient").items()})),
    }
    for seed in range(options.seeds):
        rows[f"random {seed}"] = bench.row(part, f"random_{seed}", lambda s=seed: judge(scores("random", s)))  # type: ignore[misc]
    exact = subject.everywhere(0)
    rows["exact"] = bench.row(part, "exact", lambda: {"before": bench.judged(exact), "after": bench.judged(exact)})
    return rows


def both(bench: Bench) -> dict[str, Row]:
    """ApproxANN with and without memory, at the bound of its paper and at the one of the command line."""
    rows = {}
    for bound in sorted({bench.options.max_drop, 0.05}):
        for name, bits in (("compute and memory", bench.options.weight_bits), ("compute only", None)):
            rows[f"{name}, {100 * bound:g} points"] = bench.row(
                "approxann",
                f"{name.replace(' ', '_')}_{bound}",
                lambda b=bits, m=bound: bench.search(approxann, weight_bits=b, max_drop=m),  # type: ignore[misc]
            )
    return rows


MEASURES: dict[str, Callable[[Bench], dict[str, Row]]] = {"modes": modes, "axnn": axnn, "approxann": both}


def note(line: str) -> None:
    """What is going on."""
    print(line, file=sys.stderr, flush=True)


def tell(what: str, done: int, total: int, latest: Evaluation | None) -> None:
    """Progress of a search, one line per judged plan."""
    if latest is not None:
        note(f"  {what} {done}/{total}: energy {latest.energy_ratio:.4f}, drop {100 * latest.drop:.2f} points")


def _modes(plan: Plan) -> Counter[str]:
    """How many filters are in each mode."""
    return Counter(mode for _, _, choice in plan for mode in getattr(choice, "modes", ""))


def _task(options: argparse.Namespace) -> Task:
    task = lx.load_task(options.task, data_dir=options.data_dir, weights=options.weights)
    if options.task not in PUBLISHED_ON_TRAINING:
        return task
    half = len(task.test) // 2
    first, second = subset(task.test, list(range(half))), subset(task.test, list(range(half, len(task.test))))
    return replace(task, validation=first, test=second, fingerprint="")


def _text(found: Row) -> Iterator[str]:
    """Tables for people."""
    points = f"{100 * found['max_drop']:g} points"
    yield f"{found['task']}, modes {' '.join(found['circuits'])}, budget {points} on the searched samples; test split:"
    for part in ("modes", "approxann"):
        if part in found:
            yield "" if part == "modes" else "ApproxANN"
            yield from _searches(found[part])
    if "axnn" in found:
        yield f"half of all neurons with {found['neuron_bits']}-bit weights: accuracy lost on the test split, in points"
        for name, row in found["axnn"].items():
            yield f"  {name:12} {100 * row['before']['drop']:7.2f} retrained {100 * row['after']['drop']:7.2f}"


def _searches(rows: dict[str, Row]) -> Iterator[str]:
    head = " ".join(f"{name:>6}" for name in ("total", "MAC", "mult.", "drop"))
    yield f"  {'':30} {head}   plans judged, filters by mode"
    first = next(iter(rows.values()))
    exact = {**first, "chosen": first["base"], "judged": 1, "filters_by_mode": ""}
    random = [row for name, row in rows.items() if name.startswith("random")]
    mean = {"random, mean": _mean(random)} if random else {}
    for name, row in {"most exact mode": exact, **rows, **mean}.items():
        chosen = " ".join(f"{row['chosen'][key]:6.3f}" for key in RATIOS)
        rest = f"{row['judged']:5} {row['filters_by_mode']}{'' if row['met'] else ' NOT MET'}"
        yield f"  {name:30} {chosen} {100 * row['chosen']['drop']:6.2f}   {rest}"


def _mean(rows: Sequence[Row]) -> Row:
    """Means over searches."""
    return {
        "chosen": {key: statistics.fmean(r["chosen"][key] for r in rows) for key in (*RATIOS, "drop")},
        "judged": round(statistics.fmean(r["judged"] for r in rows)),
        "filters_by_mode": "",
        "met": all(r["met"] for r in rows),
    }


def _options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="folder for everything that is found")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--task", default="digits")
    parser.add_argument("--weights", help="trained weights of the task's network")
    parser.add_argument("--data-dir", default="data")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--circuits", nargs="+", default=list(GATED), help="modes, the most exact one first")
    parser.add_argument("--weight-bits", nargs="*", type=int, default=list(GATED_BITS), help="of the modes; none: 8")
    parser.add_argument("--criteria", nargs="+", default=list(CRITERIA))
    parser.add_argument("--blocks", nargs="*", default=["lrp_zplus"], help="criteria with locks of blocks, not layers")
    parser.add_argument("--seeds", type=int, default=3, help="of random orders")
    parser.add_argument(
        "--reestimate", action="store_true", help="statistics of outputs, in every plan of the searches"
    )
    parser.add_argument("--max-drop", type=float, default=0.01)
    parser.add_argument("--probe-samples", type=int, default=256)
    parser.add_argument("--search-samples", type=int, default=2000)
    parser.add_argument("--neuron-bits", type=int, default=3, help="of the weights of AxNN's resilient neurons")
    parser.add_argument("--epochs", type=int, default=3, help="of AxNN's retraining")
    parser.add_argument("--samples", type=int, default=4096, help="per epoch of AxNN's retraining")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
