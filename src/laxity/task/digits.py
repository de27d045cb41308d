"""The built-in task ``digits``: 8x8 handwritten digits and a small trained network, both inside the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import torch

from laxity.task.augment import Shift
from laxity.task.base import DEFAULT_NETWORKS, TaskRequest, tasks
from laxity.task.splits import Normalise, stratified, tensor_split
from laxity.task.task import Task
from laxity.task.trained import trained_network

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

    These weights are what ``laxity train digits --seed 0`` makes.

    Raises:
        RegistryError: the network is unknown.
        TaskError: there are no weights for another network yet, or they cannot be read, or do not fit.
    """
    images, labels = digit_images()
    network = request.network or DEFAULT_NETWORKS["digits"]
    shipped = Path(str(files("laxity.models"))) / "weights" / "digits_cnn.safetensors"
    published = [shipped] if network == "digits_cnn" else []
    model, weights = trained_network(request, "digits", network, images.shape[1:], published)
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
        notes=f"{_NOTES}; weights: {weights}",
    )
