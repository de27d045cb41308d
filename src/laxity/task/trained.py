"""The trained network of a built-in task: which file of weights is taken, and what to do when there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from torch import nn

from laxity.core.errors import TaskError
from laxity.models import build_for, initialised
from laxity.task.base import TaskRequest, trained_path
from laxity.task.weights import load_weights, read_state


def trained_network(
    request: TaskRequest,
    task: str,
    network: str,
    shape: Sequence[int],
    published: Sequence[Path] = (),
    fetch: Callable[[], Path] | None = None,
    origin: str = "",
) -> tuple[nn.Module, str]:
    """Build a network of ten classes and load its weights.

    Taken is the file that the request names, else the first that exists of `published` and of what training writes,
    else what `fetch` gives if the request allows downloads.

    Args:
        request: what the user asked for; with a `fresh_seed` no weights are loaded.
        task: name of the task.
        network: name of the network.
        shape: shape of one input.
        published: files of published weights, by preference.
        fetch: downloads published weights and returns the file.
        origin: address of the published weights, for the message.

    Returns:
        The network, and where its weights are from.

    Raises:
        RegistryError: the network is unknown.
        TaskError: there are no weights (names where to get them), or they do not fit.
        DataError: the download failed.
    """
    model = initialised(lambda: build_for(network, shape, 10), request.fresh_seed or 0)
    if request.fresh_seed is not None:
        return model, f"none, initialised from seed {request.fresh_seed}"
    places = [*published, trained_path(request.data_dir, task, network)]
    path = request.weights or next((place for place in places if place.is_file()), None)
    if path is None and request.download and fetch is not None:
        path = fetch()
    if path is None:
        raise TaskError(
            f"no weights for network {network!r} on task {task!r} (looked for {', '.join(map(str, places))}); "
            f"{f'get {origin}, or ' if origin else ''}train them with: laxity train {task} --model {network} "
            f"--data-dir {request.data_dir} --seed 0, or name a file with --weights"
        )
    load_weights(model, read_state(path), str(path))
    return model, path.name
