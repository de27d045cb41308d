"""``laxity sites``: where a network can be approximated."""

from __future__ import annotations

from laxity.cli import arguments as shared
from laxity.cli.output import emit_json, emit_table


def sites(
    task: shared.TaskName,
    data_dir: shared.DataDir = None,
    model: shared.Model = None,
    weights: shared.Weights = None,
    data: shared.Data = None,
    num_classes: shared.NumClasses = None,
    download: shared.Download = False,
    json: shared.Json = False,
) -> None:
    """Print the sites of a task's network: layers and functional calls, in order of execution."""
    from laxity.sites.prepare import prepare
    from laxity.task import load_task

    options = shared.given(
        data_dir=data_dir, model=model, weights=weights, data=data, num_classes=num_classes, download=download
    )
    loaded = load_task(task, **options)
    found = [
        {
            "name": site.name,
            "kind": site.op.kind,
            "macs": site.op.macs,
            "weights": site.op.weight_elements,
            "input_shape": site.op.input_shape,
            "output_shape": site.op.output_shape,
            "slots": [slot.value for slot in site.slots],
            "group": site.group,
            "removable": site.removable,
        }
        for site in prepare(loaded.model, loaded.example_input, exact=loaded.exact).sites
    ]
    if json:
        emit_json(found)
        return
    columns = ("name", "kind", "MACs", "weights", "input", "output", "slots", "group")
    emit_table(columns, [_row(site) for site in found])


def _row(site: dict[str, object]) -> tuple[object, ...]:
    """One line of the table."""
    slots, shapes = site["slots"], (site["input_shape"], site["output_shape"])
    texts = ["x".join(map(str, shape)) for shape in shapes if isinstance(shape, tuple)]
    words = ", ".join(slots) if isinstance(slots, list) else ""
    return (site["name"], site["kind"], site["macs"], site["weights"], *texts, words, site["group"])
