"""Which multipliers are left before any network is run: by errors of the circuits, or by predicted divergence.

Every multiplier is priced in the network. Of those that save energy, these are left that no other beats in price and
the error figures of the circuit, in price and predicted divergence, or in all of them; it is counted how many there
are, and which of the truly best ones, by the divergence of the emulated network, they miss. Times are CPU seconds.

Usage: ``python benchmarks/prefilter.py [--json] [--task digits] [--data-dir DIR]``
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from laxity.core.plan import Plan
from laxity.evaluation.evaluator import Evaluator, Setup
from laxity.recovery import approximate_names, rank_multipliers
from laxity.search.pareto import front
from laxity.techniques import CircuitMultiplier, Integer


def study(evaluator: Evaluator) -> dict[str, Any]:
    """Count what is left by each way of choosing."""
    sites = [s for s in evaluator.prepared.sites if s.slots]
    circuits = {name: CircuitMultiplier(name) for name in approximate_names()}
    plans = {name: Plan.assign(sites, [Integer(), circuit]) for name, circuit in circuits.items()}
    start = time.process_time()
    prices = {name: evaluator.price(plan) for name, plan in plans.items()}
    priced = time.process_time()
    saving = [name for name, price in prices.items() if price < 1]
    rank_multipliers(evaluator.task, evaluator.base, saving)
    ranking = time.process_time()
    predicted = {r.name: r.harm.divergence for r in rank_multipliers(evaluator.task, evaluator.base, saving)}
    ranked = time.process_time()
    true = {name: evaluator.evaluate(plans[name], "sensitivity").divergence for name in saving}
    judged = time.process_time()
    best = front(saving, lambda name: (prices[name], true[name]))
    errors = {name: circuits[name].errors() or () for name in saving}
    ways = {
        "errors of the circuit": front(saving, lambda name: (prices[name], *errors[name])),
        "predicted divergence": front(saving, lambda name: (prices[name], predicted[name])),
        "both": front(saving, lambda name: (prices[name], predicted[name], *errors[name])),
    }
    return {
        "multipliers": len(plans),
        "saving": len(saving),
        "best": best,
        "pricing_s": priced - start,
        "predicting_first_s": ranking - priced,
        "predicting_s": ranked - ranking,
        "evaluation_s": (judged - ranked) / len(saving),
        "left": {way: {"count": len(kept), "missed": sorted(set(best) - set(kept))} for way, kept in ways.items()},
    }


def main() -> None:
    """Print what was counted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--task", default="digits")
    parser.add_argument("--data-dir")
    given = parser.parse_args()
    task = {"spec": given.task, **({"data_dir": given.data_dir} if given.data_dir else {})}
    found = study(Evaluator(Setup(task, "mac-array-45nm")))
    if given.json:
        print(json.dumps(found, indent=1))
        return
    print(f"{found['saving']} of {found['multipliers']} multipliers save energy, {len(found['best'])} are best")
    print(
        f"pricing {found['pricing_s']:.1f} s, predicting {found['predicting_first_s']:.1f} s and again "
        f"{found['predicting_s']:.1f} s, one evaluation {found['evaluation_s']:.2f} s"
    )
    for way, left in found["left"].items():
        print(f"{way}: {left['count']} left, of the best missed: {', '.join(left['missed']) or 'none'}")


if __name__ == "__main__":
    main()
