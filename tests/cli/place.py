"""How bad input is arranged: a place to damage, and small ways of damaging."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from .conftest import Own

Words = list[Any]


@dataclass(frozen=True)
class Place:
    """Where a case is arranged: the user's task, an empty folder, and a finished run in ``folder/run``."""

    own: Own
    folder: Path

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def with_weights(self, change: Callable[[dict[str, torch.Tensor]], Any]) -> Words:
        """The command that finished the run, with changed weights."""
        state = load_file(self.own.weights)
        change(state)
        path = self.folder / "changed.safetensors"
        save_file(state, path)
        return self.own.words(self.run, weights=path)

    def with_data(self, **arrays: Any) -> Words:
        """The command that finished the run, with other data."""
        path = self.folder / "changed.npz"
        np.savez(path, **arrays)
        return self.own.words(self.run, data=path)

    def with_config(self, text: str | bytes) -> Words:
        """The command that finished the run, with another configuration file."""
        path = self.write("changed.toml", text)
        return [path if w == self.own.config else w for w in self.own.words(self.run)]

    def with_target(self, change: Callable[[str], str]) -> Words:
        """The command that finished the run, with a changed copy of the built-in target."""
        import laxity.targets

        text = (Path(laxity.targets.__file__).parent / "mac-array-45nm.toml").read_text()
        changed = change(text)
        assert changed != text
        return [*self.own.words(self.run), "--target", self.write("machine.toml", changed)]

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        with np.load(self.own.data) as archive:
            return archive["x"], archive["y"]

    def module(self, body: str) -> Words:
        """Optimise the function ``make`` of a Python file."""
        path = self.write("mytask.py", f"import torch\n\n{body}\n")
        return ["optimize", f"{path}:make", "--out", self.run, "--quiet"]


@dataclass(frozen=True)
class Case:
    """A bad input: how to arrange it, the exit code, and what the message must hold, in order."""

    name: str
    arrange: Callable[[Place], Words]
    code: int
    says: tuple[str, ...]


class Payload:
    """Unpickled, it would create a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.marker}",))


MARKER = "payload-was-executed"


def pickled(place: Place, name: str, zipped: bool) -> Words:
    path = place.folder / name
    torch.save({"w": Payload(place.folder / MARKER)}, path, _use_new_zipfile_serialization=zipped)
    return place.own.words(place.run, weights=path)


def torn(place: Place, name: str, share: float) -> Words:
    """Weights of which only a part is there."""
    whole = place.own.weights
    if not name.endswith(".safetensors"):
        whole = place.folder / "whole.pt"
        torch.save(load_file(place.own.weights), whole)
    raw = whole.read_bytes()
    return place.own.words(place.run, weights=place.write(name, raw[: int(len(raw) * share)]))


def poke(tensor: torch.Tensor, value: float) -> None:
    tensor.view(-1)[0] = value


def data_with(place: Place, change: Callable[[np.ndarray, np.ndarray], tuple[Any, Any]]) -> Words:
    x, y = change(*place.arrays())
    return place.with_data(x=x, y=y)


def at(array: np.ndarray, value: Any) -> np.ndarray:
    changed = array.copy()
    changed.reshape(-1)[3] = value
    return changed


def objects(place: Place) -> Words:
    boxed = np.empty(2, dtype=object)
    boxed[:] = [Payload(place.folder / MARKER), "x"]
    path = place.folder / "objects.npz"
    np.savez(path, x=boxed, y=np.arange(2), allow_pickle=True)
    return place.own.words(place.run, data=path)


def half_zip(place: Place) -> Words:
    raw = place.own.data.read_bytes()
    return place.own.words(place.run, data=place.write("half.npz", raw[: len(raw) // 2]))


def fake_member(place: Place) -> Words:
    path = place.folder / "fake.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"no array")
        archive.writestr("y.npy", b"no array")
    return place.own.words(place.run, data=path)


def damaged(name: str, change: Callable[[bytes], bytes], *words: Any) -> Callable[[Place], Words]:
    """Damage a file of the finished run, then look at the run."""

    def arrange(place: Place) -> Words:
        path = place.run / name
        path.write_bytes(change(path.read_bytes()))
        return [*words, place.run]

    return arrange


def journal_line(place: Place, line: str) -> Words:
    journal = place.run / "evaluations.jsonl"
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([lines[0], line, *lines[2:]]) + "\n")
    return place.own.words(place.run)


def in_the_way(place: Place) -> Words:
    return place.own.words(place.write("file", "precious") / "run")


def foreign_folder(place: Place) -> Words:
    folder = place.folder / "thesis"
    folder.mkdir()
    (folder / "report.html").write_text("precious")
    return place.own.words(folder)


def changed_weights(path: Path) -> None:
    state = load_file(path)
    name = next(n for n, v in state.items() if v.is_floating_point())
    poke(state[name], float("nan"))
    save_file(state, path)


def nan_in_run(place: Place) -> Words:
    changed_weights(place.run / "best" / "model.safetensors")
    return ["evaluate", place.run]


def other_plan(change: Callable[[dict[str, Any]], Any]) -> Callable[[Place], Words]:
    def arrange(place: Place) -> Words:
        path = place.run / "best" / "plan.json"
        plan = json.loads(path.read_text())
        change(plan)
        path.write_text(json.dumps(plan))
        return ["evaluate", place.run]

    return arrange


def misspell_site(plan: dict[str, Any]) -> None:
    plan["sites"]["fc11"] = plan["sites"].pop("fc1")


def first_choice(plan: dict[str, Any]) -> dict[str, Any]:
    choice: dict[str, Any] = plan["sites"]["fc1"]["operand"]
    return choice


def half(raw: bytes) -> bytes:
    return raw[: len(raw) // 2]


def digits(*words: Any) -> Callable[[Place], Words]:
    return lambda place: ["optimize", "digits", *words, "--out", place.run, "--quiet"]


def mine(*words: Any) -> Callable[[Place], Words]:
    return lambda place: [*place.own.words(place.run), *words]


def plain(*words: Any) -> Callable[[Place], Words]:
    return lambda place: [place.run if w is RUN else w for w in words]


RUN = object()
OWN_TASK = "(torch.nn.Linear(4, 2), (torch.randn(60, 4), torch.arange(60) % 2))"
