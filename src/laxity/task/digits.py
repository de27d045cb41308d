"""The built-in task ``digits``: 8x8 handwritten digits and a small trained network, both inside the package."""

from __future__ import annotations

from importlib.resources import as_file, files

import numpy as np
import torch

from laxity.models import build_for, initialised
from laxity.task.augment import Shift
from laxity.task.base import DEFAULT_NETWORKS, TaskRequest, tasks
from laxity.task.splits import Normalise, stratified, tensor_split
from laxity.task.task import Task
from laxity.task.weights import load_weights, read_state

SPLIT_SEED = 1998
"""Root of the fixed split; not the seed of a run. The year of the data set."""

SIZES = {"test": 500, "validation": 400, "calibration": 100, "train": 797}
"""Samples per split."""

_NOTES = (
    "data: Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, "
    "doi 10.24432/C50P49, CC BY 4.0 (its test part, 1797 images)"
)


def digit_images() -> tuple[np.ndarray, np.ndarray]:
    """Return the embedded images, uint8 (1797, 1, 8, 8) with values 0..16, and labels, uint8 (1797,)."""
    with (files("laxity.task") / "data" / "digits.npz").open("rb") as handle:
        archive = np.load(handle, allow_pickle=False)
        return archive["images"][:, None], archive["labels"]


@tasks.register("digits")
def digits(request: TaskRequest) -> Task:
    """Build the task; the network defaults to ``digits_cnn`` with the weights of the package.

    Raises:
        RegistryError: the network is unknown.
        TaskError: the weights cannot be read or do not fit.
    """
    images, labels = digit_images()
    network = request.network or DEFAULT_NETWORKS["digits"]
    model = initialised(lambda: build_for(network, images.shape[1:], 10), request.fresh_seed or 0)
    notes = _NOTES
    if request.fresh_seed is None:
        notes += "; weights: " + _load(model, request, network)
    parts = stratified(labels, list(SIZES.values()), SPLIT_SEED)
    inputs, targets = torch.from_numpy(images), torch.from_numpy(labels)
    normalise = Normalise(scale=1 / 16)
    splits = {
        name: tensor_split(inputs, targets, torch.from_numpy(part), normalise)
        for name, part in zip(SIZES, parts, strict=True)
    }
    return Task(
        name="digits",
        model=model,
        example_input=splits["calibration"].fetch([0])[0],
        train=splits["train"],
        calibration=splits["calibration"],
        validation=splits["validation"],
        test=splits["test"],
        num_classes=10,
        augment=Shift(1),
        notes=notes,
    )


def _load(model: torch.nn.Module, request: TaskRequest, network: str) -> str:
    if request.weights is not None:
        load_weights(model, read_state(request.weights), str(request.weights))
        return request.weights.name
    name = f"{network}.safetensors"
    with as_file(files("laxity.models") / "weights" / name) as path:
        load_weights(model, read_state(path), f"the package ({name})")
    return "in the package, made by `laxity train digits --seed 0`"
