"""``laxity evaluate``: judge a saved plan again."""

from __future__ import annotations

from laxity.cli import arguments as shared
from laxity.cli.output import emit_json
from laxity.cli.result import print_result


def evaluate(
    run: shared.RunPath, split: shared.Split = "test", device: shared.Device = None, json: shared.Json = False
) -> None:
    """Recompute quality and cost of a finished run from its saved plan and weights."""
    from laxity.artifacts.verify import evaluate_saved

    found = evaluate_saved(run, split=split, device=device)
    if json:
        emit_json(found)
    else:
        print_result(found)
