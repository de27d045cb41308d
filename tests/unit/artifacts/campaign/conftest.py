"""Folders of small fault campaigns, really run."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch

from laxity.artifacts.campaign import carry_out
from laxity.campaign import Aim, Source, Subject
from laxity.cli.subject import load_network

Edit = Callable[[Path, Callable[[Any], Any]], None]


@cache
def loaded(name: str) -> Any:
    """A network of the task; "coarse" is the original with weights rounded to multiples of 1/64."""
    if name != "coarse":
        return load_network("digits", {}, name)
    model, task = loaded("original")
    model = copy.deepcopy(model)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_((weight * 64).round() / 64)
    return model, task


def struck(folder: Path, other: str, fault: dict[str, Any], faults: int) -> Path:
    networks: dict[str, Source] = {name: partial(loaded, name) for name in ("original", other)}
    subject = Subject(fault={"rate_per_bit": 0.0, **fault}, images=60, seed=5)
    carry_out(networks, subject, Aim(faults=faults), folder=folder, command="laxity faults digits --faults few")
    return folder


@pytest.fixture(scope="session")
def flipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bits of the weights of two networks, which have no faults in common; not to be changed."""
    return struck(tmp_path_factory.mktemp("flipped") / "campaign", "int8_exact", {"kind": "bit_flip"}, 600)


@pytest.fixture(scope="session")
def replaced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights as a whole, which have no bits; both networks meet the same faults; not to be changed."""
    return struck(tmp_path_factory.mktemp("replaced") / "campaign", "coarse", {"kind": "random_value"}, 300)


@pytest.fixture
def bits(flipped: Path, tmp_path: Path) -> Path:
    """A copy of `flipped`."""
    return Path(shutil.copytree(flipped, tmp_path / "bits"))


@pytest.fixture
def words(replaced: Path, tmp_path: Path) -> Path:
    """A copy of `replaced`."""
    return Path(shutil.copytree(replaced, tmp_path / "words"))


@pytest.fixture
def edit() -> Edit:
    """``edit(folder, change)`` changes its ``campaign.json``."""

    def change_file(folder: Path, change: Callable[[Any], Any]) -> None:
        path = folder / "campaign.json"
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return change_file


def rename(document: Any, old: str, new: str) -> None:
    """Give a network another name."""
    document["networks"] = {new if k == old else k: v for k, v in document["networks"].items()}
    for pair in document["differences"]:
        pair.update({side: new for side in ("first", "second") if pair[side] == old})


@pytest.fixture
def hostile() -> Callable[[Any, str], None]:
    """``hostile(document, text)`` puts a text wherever a document has one that the page shows."""

    def change(document: Any, text: str) -> None:
        rename(document, "original", text)
        document["command"] = text
        for network in document["networks"].values():
            network["statement"] = text
            network["identity"].update(task=text, data=text, weights=text)
            network["identity"]["subject"].update(population=text, options={text: text}, split=text)
            network["identity"]["subject"]["fault"] = {"kind": text, "rate_per_bit": 0.0, text: text}
            place = network["places"][0]["name"]
            network["places"][0]["name"] = text
            for cell in network["cells"]:
                cell["place"] = text if cell["place"] == place else cell["place"]
            network["parts"][0]["name"] = network["classes"][0]["name"] = text
            network["metrics"]["critical"]["method"] = text

    return change
