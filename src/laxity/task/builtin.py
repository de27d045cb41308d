"""The built-in tasks ``mnist``, ``fashion_mnist`` and ``cifar10``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from laxity.task.augment import Shift
from laxity.task.base import DEFAULT_NETWORKS, TaskRequest, tasks
from laxity.task.cifar import read_cifar10
from laxity.task.download import check_digest, download
from laxity.task.idx import FASHION_MNIST, MNIST, IdxSet, ImageData, read_idx_set
from laxity.task.splits import Normalise, stratified, tensor_split
from laxity.task.task import Augment, Task
from laxity.task.trained import trained_network

SPLIT_SEED = 2009
"""Root of the fixed splits of training sets; not the seed of a run."""

CALIBRATION, VALIDATION = 1000, 5000
"""Samples taken from the official training sets."""

_RESNET_URL = (
    "https://raw.githubusercontent.com/akamaster/pytorch_resnet_cifar10/"
    "d5489e8995e81e91ce6b1d69dcc98ad579b0b153/pretrained_models/"
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A published checkpoint: the file it is stored in, and where and as what the original can be had.

    Attributes:
        file: name of a state dict under the data folder.
        original: name of the original file, empty where its format is not a state dict of torch.
        sha256: checksum of the original file.
    """

    file: str
    original: str = ""
    sha256: str = ""


CHECKPOINTS = {
    "resnet20": Checkpoint(
        "resnet20_cifar10.pt",
        "resnet20-12fca82f.th",
        "12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8",
    ),
    "resnet32": Checkpoint(
        "resnet32_cifar10.pt",
        "resnet32-d509ac18.th",
        "d509ac1820d7f25398913559d7e81a13229b1e7adc5648e3bfa5e22dc137f850",
    ),
    "resnet44": Checkpoint(
        "resnet44_cifar10.pt",
        "resnet44-014dd654.th",
        "014dd6541728a1c700b1642ab640e211dc6eb8ed507d70697458dc8f8a0ae2e4",
    ),
    "resnet56": Checkpoint(
        "resnet56_cifar10.pt",
        "resnet56-4bfd9763.th",
        "4bfd97631478d6b638d2764fd2baff3edb1d7d82252d54439343b6596b9b5367",
    ),
    "resnet8": Checkpoint("resnet8_mlperftiny_cifar10.pt"),
}
"""Checkpoints for CIFAR-10. Source: akamaster/pytorch_resnet_cifar10 (BSD-2-Clause, (c) 2018 Yerlan Idelbayev), and
mlcommons/tiny (Apache-2.0) for ResNet-8, whose original is a Keras file. They were trained on the whole official
training set, so that their accuracy on the calibration and validation splits here is optimistic; the test split is not
affected."""

IMAGENET_STATISTICS = Normalise(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Scaling that the published CIFAR-10 checkpoints were trained with."""


@tasks.register("mnist")
def mnist(request: TaskRequest) -> Task:
    """Build the MNIST task; the network defaults to ``lenet5``.

    Raises:
        DataError: the data is missing or damaged.
        TaskError: there are no weights yet (names the command that trains them), or they do not fit.
    """
    return _idx_task(request, MNIST, Normalise(1 / 255, (0.1307,), (0.3081,)), pixels=2)


@tasks.register("fashion_mnist")
def fashion_mnist(request: TaskRequest) -> Task:
    """Build the Fashion-MNIST task; the network defaults to ``lenet5``.

    Raises:
        DataError: the data is missing or damaged.
        TaskError: there are no weights yet (names the command that trains them), or they do not fit.
    """
    return _idx_task(request, FASHION_MNIST, Normalise(1 / 255, (0.2860,), (0.3530,)), pixels=1)


def _idx_task(request: TaskRequest, which: IdxSet, normalise: Normalise, pixels: int) -> Task:
    network = request.network or DEFAULT_NETWORKS[which.name]
    data = read_idx_set(which, request.data_dir, fetch=request.download, progress=request.progress)
    model, weights = trained_network(request, which.name, network, (1, 28, 28))
    augment = Shift(pixels, fill=-normalise.mean[0] / normalise.std[0])
    return _image_task(which.name, data, model, normalise, augment, weights)


@tasks.register("cifar10")
def cifar10(request: TaskRequest) -> Task:
    """Build the CIFAR-10 task; the network defaults to ``resnet20`` with its published checkpoint.

    ``resnet8`` gets raw pixel values 0..255, every other network the scaling of the published checkpoints.

    Raises:
        DataError: the data is missing or damaged.
        TaskError: there are no weights (names where to get them), or they do not fit.
    """
    network = request.network or DEFAULT_NETWORKS["cifar10"]
    model, weights = _cifar_network(request, network)
    data = read_cifar10(request.data_dir, fetch=request.download, progress=request.progress)
    normalise = Normalise() if network == "resnet8" else IMAGENET_STATISTICS
    if weights in {name for c in CHECKPOINTS.values() for name in (c.file, c.original)}:
        weights += " (trained on the calibration and validation images too: accuracy there is optimistic)"
    return _image_task("cifar10", data, model, normalise, Shift(4, mirror=True), weights)


def _cifar_network(request: TaskRequest, network: str) -> tuple[nn.Module, str]:
    known = CHECKPOINTS.get(network, Checkpoint(""))
    folders = (request.data_dir / "resnet_cifar10", request.data_dir)
    published = [folder / name for folder in folders for name in (known.file, known.original) if name]
    if not known.original:
        return trained_network(request, "cifar10", network, (3, 32, 32), published)
    url, path = _RESNET_URL + known.original, folders[0] / known.original

    def fetch() -> Path:
        download(url, path, partial(_verify_sha256, sha256=known.sha256), request.progress)
        return path

    return trained_network(request, "cifar10", network, (3, 32, 32), published, fetch, url)


def _verify_sha256(path: Path, sha256: str) -> None:
    check_digest(path.read_bytes(), "sha256", sha256, f"the download {path.name}")


def _image_task(
    name: str, data: ImageData, model: nn.Module, normalise: Normalise, augment: Augment, weights: str
) -> Task:
    sizes = [VALIDATION, CALIBRATION, len(data.train_labels) - VALIDATION - CALIBRATION]
    images, labels = torch.from_numpy(data.train_images), torch.from_numpy(data.train_labels)
    validation, calibration, train = (
        tensor_split(images, labels, torch.from_numpy(part), normalise)
        for part in stratified(data.train_labels, sizes, SPLIT_SEED)
    )
    test = tensor_split(torch.from_numpy(data.test_images), torch.from_numpy(data.test_labels), None, normalise)
    return Task(
        name=name,
        model=model,
        example_input=calibration.fetch([0])[0],
        train=train,
        calibration=calibration,
        validation=validation,
        test=test,
        num_classes=10,
        augment=augment,
        notes=f"{data.notes}; weights: {weights}",
    )
