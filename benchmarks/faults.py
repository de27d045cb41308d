"""Fault campaigns on ResNet-20: trials per second, agreement, coverage, and the published campaign fault by fault.

- Speed: single-bit weight faults and neuron faults, one random image each out of a pool whose pass without faults is
  timed apart; beside native inference in batches of 128 by torch, in the same run, one thread, CPU time.
- Agreement: every fault again by writing the word and running the whole network.
- The published campaign (dnn-benchmarks, 16 627 faults x 10 000 images): own campaign against its mean, bit by bit,
  and a sample of its very faults on random images.
- Coverage: of the intervals that campaigns use, as in ``benchmarks/coverage.py``.

Usage: ``python benchmarks/faults.py [--json] [--data-dir DIR] [--trials 10000] [--replicates 10000] [--pool 512]``
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import math
import sys
import time
from ast import literal_eval
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coverage as intervals
import numpy as np
import torch
from scipy.stats import binom
from torch import Tensor, nn

import laxity as lx
from laxity.campaign import Aim, Bench, Faults, Part, Subject, WeightEngine, run_campaign
from laxity.campaign.outcomes import draw
from laxity.campaign.populations import Neurons, Weights
from laxity.campaign.reinference import Reinference
from laxity.campaign.weights import WeightTrials
from laxity.core.plan import Plan
from laxity.evaluation.memory import weight_memories
from laxity.statistics import clopper_pearson
from laxity.techniques import CircuitMultiplier, Integer

SEED, BATCH, FLIP = 1, 128, {"kind": "bit_flip", "rate_per_bit": 0.0}
GUARANTEED = ("mixture, any stop", "mixture, half-width", "betting, any stop", "fisher, planned looks")
"""Beginnings of the names of the methods that campaigns report."""

SAMPLED, IMAGES = 400, 64
"""Published faults that are tried again, and images each."""


def main() -> None:
    """Measure and print."""
    options = _options()
    torch.set_num_threads(1)
    task = lx.load_task("cifar10", data_dir=options.data_dir)
    rows = {name: speed(name, task, options) for name in ("fp32", "int8", "mitchell8", "neurons")}
    found = {
        "speed": rows,
        "published": published(task, Path(options.data_dir) / "dnn_benchmarks"),
        "coverage": covered(Path(options.data_dir) / "dnn_benchmarks", options.replicates),
    }
    weights = [rows[name] for name in ("fp32", "int8", "mitchell8")]
    found["summary"] = {
        "trials_per_s_int8": rows["int8"]["trials_per_s"],
        "trials_per_s_fp32": rows["fp32"]["trials_per_s"],
        "agreement": min(row["agreement"] for row in weights),
        "min_coverage": found["coverage"]["least"],
        "faults_needed": found["published"]["campaign"]["faults"],
    }
    print(json.dumps(found) if options.json else _text(found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--data-dir", default="data")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--replicates", type=int, default=10_000)
    parser.add_argument("--pool", type=int, default=512, help="images")
    return parser.parse_args()


def note(text: str) -> None:
    """What is going on."""
    print(text, file=sys.stderr, flush=True)


def network(name: str, task: lx.Task) -> nn.Module:
    """The network as it is, or approximated."""
    if name in ("fp32", "neurons"):
        return task.model.eval()
    sites = lx.find_sites(task.model, task.example_input)
    choices = [Integer(8, 8)] + ([CircuitMultiplier("mitchell8")] if name == "mitchell8" else [])
    return lx.approximate(task, Plan.assign(sites, choices))


def speed(name: str, task: lx.Task, options: argparse.Namespace) -> dict[str, Any]:
    """Trials per second, against native inference and the plain way."""
    note(f"{name} ...")
    kind = Neurons.kind if name == "neurons" else Weights.kind
    model = network(name, task)
    bench = Bench(lambda: (model, task), Subject(FLIP, kind, images=options.pool, seed=SEED))
    inputs, _ = task.splits()["test"].fetch(range(options.pool))
    golden_s, golden = _timed(lambda: bench.population.golden(inputs))
    drawn = draw(bench.population, _everything(bench), options.pool, SEED, 0, options.trials)
    faults = Faults(drawn.cell, drawn.site, drawn.random, drawn.image)
    first = Faults(drawn.cell[:256], drawn.site[:256], drawn.random[:256], drawn.image[:256])
    bench.population.logits(first, golden)
    seconds, logits = _timed(lambda: bench.population.logits(faults, golden))
    native_s, _ = _timed(lambda: [task.model(x) for x in inputs.split(BATCH)])
    per_trial, per_image = seconds / options.trials, native_s / len(inputs)
    row = {
        "trials": options.trials,
        "trials_per_s": 1 / per_trial,
        "golden_ms_per_image": 1e3 * golden_s / len(inputs),
        "native_ms_per_image": 1e3 * per_image,
        "ratio_to_native": per_trial / per_image,
    }
    if kind == Weights.kind:
        row |= _agreement(model, task, bench, faults, golden, logits)
    return row


def _everything(bench: Bench) -> Part:
    """All bits alike, as the speed of a campaign without strata."""
    return Part("everything", tuple(range(len(bench.population.cells.sites))))


@torch.no_grad()
def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def _agreement(
    model: nn.Module, task: lx.Task, bench: Bench, faults: Faults, golden: Any, logits: Tensor
) -> dict[str, Any]:
    """The same faults in the plain way."""
    memories = weight_memories(model, task.example_input)
    by_name = {m.name: k for k, m in enumerate(memories)}
    cells = bench.population.cells
    number = np.array([by_name[name] for name in cells.places])[cells.place[faults.cell]]
    words = np.zeros(len(faults), np.uint64)
    for k, memory in enumerate(memories):
        some = number == k
        one = np.uint64(1) << cells.bit[faults.cell[some]].astype(np.uint64)
        words[some] = memory.words[faults.site[some]].astype(np.uint64) ^ one
    inputs, _ = task.splits()["test"].fetch(range(len(golden.logits)))
    plain = Reinference(model, memories)
    trials = WeightTrials(number, faults.site, words, faults.image)
    seconds, naive = _timed(lambda: plain.run(trials, plain.golden(inputs)))
    finite = torch.isfinite(logits).all(1)
    alike = (finite == torch.isfinite(naive).all(1)) & (~finite | (logits.argmax(1) == naive.argmax(1)))
    return {
        "agreement": float(alike.float().mean()),
        "equal_logits": float((logits == naive).all(1).float().mean()),
        "plain_trials_per_s": len(faults) / seconds,
    }


def published(task: lx.Task, folder: Path) -> dict[str, Any]:
    """An own campaign, and published faults again."""
    note("published campaign ...")
    rows = _read(folder / "ResNet20_FL.csv.gz")
    share = np.array([r["critical"] / r["images"] for r in rows])
    bits = np.array([r["bit"] for r in rows])
    campaign = run_campaign(lambda: (task.model, task), Subject(FLIP, seed=SEED), Aim(0.99, 0.002))
    ours = campaign.interval()
    width = 2.5758293 * float(share.std(ddof=1)) / math.sqrt(len(share))
    joint = math.hypot(width, ours.half_width)
    return {
        "campaign": {
            "faults": sum(len(o) for o in campaign.outcomes),
            "critical": ours.estimate,
            "low": ours.low,
            "high": ours.high,
            "published": float(share.mean()),
            "published_half_width": width,
            "inside_joint_interval": abs(ours.estimate - float(share.mean())) <= joint,
        },
        "bits": _by_bit(task, bits, share),
        "faults": _again(task, rows),
    }


def _read(file: Path) -> list[dict[str, Any]]:
    with gzip.open(file, "rt", newline="") as text:
        return [
            {
                "layer": r["Layer"],
                "index": literal_eval(r["TensorIndex"]),
                "bit": int(r["Bit"]),
                "images": int(r["n_injections"]),
                "critical": int(r["critical"]),
            }
            for r in csv.DictReader(text)
        ]


def _by_bit(task: lx.Task, bits: np.ndarray, share: np.ndarray) -> list[dict[str, Any]]:
    """Shares of critical faults of 2000 own faults per bit, and the published mean."""
    bench = Bench(lambda: (task.model, task), Subject(FLIP, seed=SEED))
    found = []
    for bit in (23, 24, 25, 26, 27, 28, 29, 30, 31):
        cells = tuple(np.flatnonzero(bench.population.cells.bit == bit).tolist())
        drawn = draw(bench.population, Part(f"bit {bit}", cells), bench.images, SEED, 0, 2000)
        interval = clopper_pearson(int(bench.outcomes(drawn).critical.sum()), 2000, 0.99)
        mean = float(share[bits == bit].mean())
        found.append(
            {"bit": bit, "published": mean, "ours": interval.estimate, "low": interval.low, "high": interval.high}
        )
    return found


def _again(task: lx.Task, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Published faults that did harm, and as many of those that did not, each on the same random images."""
    random = np.random.default_rng(SEED)
    harmful = [r for r in rows if r["critical"] > 0.01 * r["images"]]
    harmless = [r for r in rows if r["critical"] == 0]
    chosen = [r for group in (harmful, harmless) for r in (group[i] for i in random.permutation(len(group))[:SAMPLED])]
    memories = weight_memories(task.model, task.example_input)
    number = {m.name: k for k, m in enumerate(memories)}
    shapes = {name: tuple(module.weight.shape) for name, module in task.model.named_modules() if name in number}
    inputs, _ = task.splits()["test"].fetch(random.permutation(10_000)[:IMAGES].tolist())
    engine = WeightEngine(task.model, memories, inputs[:3])
    golden = engine.golden(inputs)
    wrong = []
    for r in chosen:
        layer = number[r["layer"]]
        word = int(np.ravel_multi_index(r["index"], shapes[r["layer"]]))
        value = np.uint64(int(memories[layer].words[word]) ^ (1 << r["bit"]))
        images = np.arange(IMAGES)
        full = np.full(IMAGES, 1)
        trials = WeightTrials(full * layer, full * word, np.full(IMAGES, value), images)
        logits = engine.run(trials, golden)
        # As the published campaign counts: where all logits are NaN, the first class is the largest.
        wrong.append(int((logits.argmax(1) != golden.logits.argmax(1)).sum()))
    shares = np.array([r["critical"] / r["images"] for r in chosen])
    seen = np.array(wrong)
    tails = np.minimum(binom.cdf(seen, IMAGES, shares), binom.sf(seen - 1, IMAGES, shares))
    return {
        "faults": len(chosen),
        "images": IMAGES,
        "correlation": float(np.corrcoef(shares, seen / IMAGES)[0, 1]),
        "mean_published": float(shares.mean()),
        "mean_ours": float(seen.mean() / IMAGES),
        "beyond_99.9_percent": int((tails < 0.0005).sum()),
    }


def covered(folder: Path, replicates: int) -> dict[str, Any]:
    """The least coverage of the methods that campaigns report, on all populations."""
    note("coverage ...")
    tables = {name: intervals.published(folder, name) for name in intervals.NETWORKS}
    rows = intervals.coverage(tables, replicates)
    bits, sdc = tables["ResNet20"]
    rows += intervals.looks(intervals.Stratified("ResNet20", bits, sdc), replicates, intervals.ROUGH)[:1]
    used = [r for r in rows if r.method.startswith(GUARANTEED)]
    wald = [r for r in rows if r.method.startswith("wald_iterative")]
    least = min(used, key=lambda r: r.coverage)
    return {
        "least": least.coverage,
        "where": f"{least.method}, {least.population}",
        "replicates": replicates,
        "iterative_wald": min(r.coverage for r in wald),
    }


def _text(found: dict[str, Any]) -> str:
    lines = ["network     trials/s   of native   golden ms   agreement   equal logits   plain trials/s"]
    for name, r in found["speed"].items():
        lines.append(
            f"{name:10} {r['trials_per_s']:9.0f} {r['ratio_to_native']:11.3f} {r['golden_ms_per_image']:11.2f} "
            f"{r.get('agreement', math.nan):11.4f} {r.get('equal_logits', math.nan):14.4f} "
            f"{r.get('plain_trials_per_s', math.nan):16.0f}"
        )
    own = found["published"]["campaign"]
    lines.append(
        f"critical {100 * own['critical']:.3f} % ({100 * own['low']:.3f} .. {100 * own['high']:.3f}) with "
        f"{own['faults']} faults; published {100 * own['published']:.3f} +- {100 * own['published_half_width']:.3f} %; "
        f"inside the joint interval: {own['inside_joint_interval']}"
    )
    for r in found["published"]["bits"]:
        ends = f"({100 * r['low']:.3f} .. {100 * r['high']:.3f})"
        lines.append(f"bit {r['bit']}: published {100 * r['published']:.3f} %, ours {100 * r['ours']:.3f} % {ends}")
    lines += [json.dumps(found["published"]["faults"]), json.dumps(found["coverage"]), json.dumps(found["summary"])]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
