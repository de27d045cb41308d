"""Published weight-fault campaigns as populations to sample from."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

NETWORKS = ("ResNet20", "ResNet32", "Vgg13_bn", "ResNet18_CIFAR100")


@dataclass(frozen=True)
class Campaign:
    name: str
    identities: list[tuple[str, str, int]]
    bits: np.ndarray
    changed: np.ndarray
    images: np.ndarray
    counted: np.ndarray

    @property
    def sdc(self) -> np.ndarray:
        return self.changed / self.images


def read(folder: Path, name: str) -> Campaign:
    file = folder / "dnn_benchmarks" / f"{name}_FL.csv.gz"
    if not file.is_file():
        pytest.skip(f"no {file.name} in the data folder")
    with gzip.open(file, "rt", newline="") as stream:
        rows = list(csv.DictReader(stream))
    columns = {k: np.array([int(r[k]) for r in rows]) for k in ("Bit", "critical", "n_injections")}
    counted = np.array([sum(int(r[k]) for k in ("masked", "non_critical", "critical")) for r in rows])
    identities = [(r["Layer"], r["TensorIndex"], int(r["Bit"])) for r in rows]
    return Campaign(name, identities, columns["Bit"], columns["critical"], columns["n_injections"], counted)


@pytest.fixture(scope="session")
def campaigns(data_dir: Path) -> dict[str, Campaign]:
    return {name: read(data_dir, name) for name in NETWORKS}
