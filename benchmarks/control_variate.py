"""What a control variate gives back of the accuracy that a circuit costs, without labels and without training.

Every site gets the circuit, once by itself (``multiplier``) and once with the control variate (``control_variate``),
with signed weights (sign and magnitude) and with unsigned ones (affine, zero-points), which have greater means.
``error`` is the mean over sites and outputs of |mean error of the sums| on calibration images, relative to their
deviation; accuracy is that of the test split. Sites that have no control variate keep the circuit by itself.

Usage: ``python benchmarks/control_variate.py [--json] [--task digits] [--data-dir DIR] [--multipliers optrunc8_3
perf8_0_3=8] [--fraction-bits -1] [--activations calibrated] [--images 0]``; ``=bits`` after a name sets the low bits
that are summed.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import torch
from torch import Tensor, nn

import laxity as lx
from laxity.core.errors import LaxityError
from laxity.emulate.apply import BATCH_SIZE, calibration_inputs, realise
from laxity.emulate.build import emulated
from laxity.emulate.layer import EmulatedLayer
from laxity.evaluation.quality import predict
from laxity.sites.prepare import Prepared, prepare
from laxity.techniques import CircuitMultiplier, ControlVariate, Integer
from laxity.techniques.hardware.control_variate import suggested_bits, with_control_variates

MULTIPLIERS = (
    "gated8_4_0", "optrunc8_3", "optrunc8_4", "optrunc8_5", "perf8_0_3", "perf8_2_3", "coltrunc8_8", "coltrunc8_9",
    "coltrunc8_10", "drum8_3", "mitchell8",
)  # fmt: skip
SCHEMES = ("symmetric", "affine")


def main() -> None:
    """Measure and print."""
    given = _options()
    torch.set_num_threads(1)
    try:
        task = lx.load_task(given.task, data_dir=given.data_dir)
        found = measure(task, given)
    except LaxityError as error:
        sys.exit(str(error))
    sys.stdout.write((json.dumps(found, indent=2) if given.json else _text(found)) + "\n")


def measure(task: Any, given: argparse.Namespace) -> dict[str, Any]:
    """Accuracy and errors with and without the correction, by circuit and scheme of the weights."""
    prepared = prepare(task.model, task.example_input, exact=task.exact)
    inputs = calibration_inputs(task, "cpu")
    rows = []
    for scheme in SCHEMES:
        base = lx.Plan.assign(prepared.sites, [Integer(8, 8, scheme)])
        exact = realise(prepared, base, inputs)
        reference = predict(exact, task, "test", limit=given.images or None).quality()
        for spec in given.multipliers:
            name, _, bits = spec.partition("=")
            own = int(bits) if bits else suggested_bits(name)
            row = {"multiplier": name, "bits": own, "weights": scheme, "exact": reference.value}
            plain = base
            for site in prepared.sites:
                plain = plain.with_(site.name, CircuitMultiplier(name))
            corrected = _with(with_control_variates(plain, prepared.sites, own), given)
            for key, plan in (("multiplier", plain), ("control_variate", corrected)):
                model = realise(prepared, plan, inputs)
                accuracy = predict(model, task, "test", limit=given.images or None).quality().value
                row |= {f"{key}_accuracy": accuracy, f"{key}_error": _error(prepared, base, plan, inputs)}
            rows.append(row)
    return {"task": task.name, "images": reference.samples, "rows": rows}


def _with(plan: Any, given: argparse.Namespace) -> Any:
    """The plan with these options of every control variate."""
    for site, _, choice in plan:
        if isinstance(choice, ControlVariate):
            plan = plan.with_(site, ControlVariate(choice.name, choice.bits, given.fraction_bits, given.activations))
    return plan


@torch.no_grad()
def _error(prepared: Prepared, base: Any, plan: Any, inputs: list[Tensor]) -> float:
    """Mean over outputs of |mean error| by deviation of the exact sums, each layer on the exact network's inputs."""
    exact, rough = realise(prepared, base, inputs), realise(prepared, plan, inputs)
    found: list[Tensor] = []
    twins = {layer.site.name: layer for layer in emulated(rough)}

    def compare(layer: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        assert isinstance(layer, EmulatedLayer)  # only these are watched
        error = (twins[layer.site.name](*args) - output).double()
        axis = -1 if layer.form.linear else 1
        rows, values = (v.movedim(axis, 0).flatten(1) for v in (error, output.double()))
        found.append(rows.mean(1).abs() / values.std(1).clamp_min(1e-9))

    handles = [m.register_forward_hook(compare) for m in emulated(exact) if isinstance(m, EmulatedLayer)]
    exact(torch.cat(inputs)[: 2 * BATCH_SIZE])
    for handle in handles:
        handle.remove()
    return float(torch.stack([part.mean() for part in found]).mean())


def _text(found: dict[str, Any]) -> str:
    lines = [f"{found['task']}, {found['images']} test images"]
    title = ("multiplier", "bits", "weights", "exact", "circuit alone", "corrected", "error alone", "corrected")
    lines.append("  ".join(f"{word:>13}" for word in title))
    for row in found["rows"]:
        cells = [row["multiplier"], str(row["bits"]), row["weights"], f"{row['exact']:.2%}"]
        cells += [f"{row[f'{key}_accuracy']:.2%}" for key in ("multiplier", "control_variate")]
        cells += [f"{row[f'{key}_error']:.4f}" for key in ("multiplier", "control_variate")]
        lines.append("  ".join(f"{cell:>13}" for cell in cells))
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--task", default="digits")
    parser.add_argument("--data-dir")
    parser.add_argument("--multipliers", nargs="+", default=MULTIPLIERS)
    parser.add_argument("--fraction-bits", type=int, default=-1)
    parser.add_argument("--activations", default="calibrated")
    parser.add_argument("--images", type=int, default=0, help="0 for all")
    return parser.parse_args()


if __name__ == "__main__":
    main()
