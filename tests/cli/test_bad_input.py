"""Bad input through the command line: exit code, a message that names the thing and the remedy, nothing destroyed."""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from laxity.targets import load_target

from .conftest import CLASSES, FEATURES, Own, call, execute, snapshot

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

WEIGHTS = [
    Case(
        "weights missing",
        lambda p: p.own.words(p.run, weights=p.folder / "no.pt"),
        1,
        ("no weights at", "no.pt", "give"),
    ),
    Case("weights empty", lambda p: torn(p, "e.safetensors", 0), 1, ("e.safetensors", "truncated", "again")),
    Case("weights truncated", lambda p: torn(p, "t.safetensors", 0.7), 1, ("t.safetensors", "truncated", "again")),
    Case(
        "weights of another kind",
        lambda p: p.own.words(p.run, weights=p.write("w.bin", b"1")),
        1,
        (".bin", "accepted are"),
    ),
    Case("weights are text", lambda p: p.own.words(p.run, weights=p.write("w.pt", "text")), 1, ("w.pt", "again")),
    Case("torch file truncated", lambda p: torn(p, "t.pt", 0.6), 1, ("t.pt", "again")),
    Case("code in a torch file", lambda p: pickled(p, "evil.pt", True), 1, ("evil.pt", "would run code", "export")),
    Case(
        "code in an old torch file", lambda p: pickled(p, "evil.th", False), 1, ("evil.th", "would run code", "export")
    ),
    Case(
        "wrong shape",
        lambda p: p.with_weights(lambda s: s.update({"fc3.bias": torch.zeros(7)})),
        1,
        ("fc3.bias", "(7,)", "check"),
    ),
    Case(
        "missing key", lambda p: p.with_weights(lambda s: s.pop("fc2.weight")), 1, ("missing", "fc2.weight", "choose")
    ),
    Case(
        "unexpected key",
        lambda p: p.with_weights(lambda s: s.update(fc9=torch.zeros(1))),
        1,
        ("unexpected", "fc9", "choose"),
    ),
    Case(
        "NaN weights",
        lambda p: p.with_weights(lambda s: poke(s["fc1.weight"], float("nan"))),
        1,
        ("fc1.weight", "NaN", "again"),
    ),
    Case(
        "infinite weights",
        lambda p: p.with_weights(lambda s: poke(s["fc1.bias"], float("inf"))),
        1,
        ("fc1.bias", "infinite", "again"),
    ),
]
DATA = [
    Case("data missing", lambda p: p.own.words(p.run, data=p.folder / "no.npz"), 1, ("no data at", "no.npz", "give")),
    Case("data not an npz", lambda p: p.own.words(p.run, data=p.write("t.npz", "text")), 1, ("t.npz", "np.savez")),
    Case("data truncated", half_zip, 1, ("half.npz", "np.savez")),
    Case("data with broken arrays", fake_member, 1, ("fake.npz", "np.savez")),
    Case("data with objects", objects, 1, ("objects.npz", "np.savez")),
    Case("data unlabelled", lambda p: p.with_data(x=p.arrays()[0]), 1, ("changed.npz", "no labels", "needed")),
    Case(
        "data empty", lambda p: data_with(p, lambda x, y: (x[:0], y[:0])), 1, ("changed.npz", "empty", "at least one")
    ),
    Case("too few samples", lambda p: data_with(p, lambda x, y: (x[:2], y[:2])), 1, ("too few", "give more")),
    Case("NaN in data", lambda p: data_with(p, lambda x, y: (at(x, np.nan), y)), 1, ("NaN", "remove or repair")),
    Case(
        "infinity in data", lambda p: data_with(p, lambda x, y: (at(x, np.inf), y)), 1, ("infinite", "remove or repair")
    ),
    Case("float labels", lambda p: data_with(p, lambda x, y: (x, y + 0.5)), 1, ("labels", "float64", "int64")),
    Case("negative label", lambda p: data_with(p, lambda x, y: (x, at(y, -1))), 1, ("label -1", "from 0")),
    Case(
        "label out of range",
        lambda p: [*data_with(p, lambda x, y: (x, at(y, 9))), "--num-classes", CLASSES],
        1,
        ("labels", "9", "0..2"),
    ),
    Case("lengths differ", lambda p: data_with(p, lambda x, y: (x, y[:-1])), 1, ("400 inputs", "399 labels")),
    Case(
        "inputs of another size", lambda p: data_with(p, lambda x, y: (x[:, :5], y)), 1, (f"(300, {FEATURES})", "check")
    ),
    Case(
        "text as inputs", lambda p: data_with(p, lambda x, y: (x.astype(str), y)), 1, ("inputs", "numbers", "convert")
    ),
]
NAMES = [
    Case("command", plain("optimise"), 2, ("No such command 'optimise'", "optimize")),
    Case("option", digits("--max-dorp", 0.1), 2, ("--max-dorp", "--max-drop")),
    Case("task", plain("optimize", "digts", "--out", RUN), 2, ("unknown task 'digts'", "did you mean 'digits'")),
    Case("network", digits("--model", "digit_cnn"), 2, ("unknown network 'digit_cnn'", "did you mean 'digits_cnn'")),
    Case(
        "target",
        digits("--target", "mac-aray-45nm"),
        2,
        ("unknown target 'mac-aray-45nm'", "did you mean 'mac-array-45nm'"),
    ),
    Case("target file", digits("--target", "no/such.toml"), 1, ("no/such.toml", "check the path")),
    Case("effort", digits("--effort", "quik"), 2, ("--effort", "quick", "normal", "thorough")),
    Case("device", digits("--device", "cdua"), 2, ("unknown device 'cdua'", "cpu or cuda")),
    Case("split", plain("evaluate", RUN, "--split", "tset"), 2, ("unknown split 'tset'", "did you mean 'test'")),
    Case("kind of list", plain("list", "taks"), 2, ("taks", "'tasks'")),
    Case("task to train", plain("train", "minst"), 2, ("unknown task 'minst'", "did you mean 'mnist'")),
    Case(
        "multiplier", plain("circuits", "show", "drm8_4"), 2, ("unknown multiplier 'drm8_4'", "did you mean 'drum8_4'")
    ),
    Case("no multiplier name", plain("circuits", "show", "8bit"), 2, ("'8bit'", "such as 'drum8_4'")),
    Case(
        "fault model",
        plain("faults", RUN, "--fault", "bitflip"),
        2,
        ("unknown fault model 'bitflip'", "did you mean 'bit_flip'"),
    ),
    Case("no task", plain("optimize", "--out", RUN), 2, ("no task", "laxity list tasks")),
    Case("no task file", plain("optimize", "no.toml", "--out", RUN), 2, ("cannot read the task file no.toml",)),
    Case("data of a built-in task", digits("--data", "d.npz"), 2, ("data='d.npz'", "leave it out")),
    Case("parameter of a circuit", plain("circuits", "show", "drum8_44"), 1, ("k=44", "use 3..8")),
    Case("parameters of a circuit", plain("circuits", "show", "bam8_1"), 1, ("bam8", "write bam8_<")),
    Case("circuit too wide", plain("circuits", "show", "dadda16"), 1, ("dadda16", "at most 20 operand bits")),
    Case("width of circuits", plain("circuits", "list", "--width", 99), 2, ("--width", "10")),
]
FUNCTIONS = [
    Case(
        "no module", plain("optimize", "no_such_module:make", "--out", RUN), 1, ("no_such_module", "correct the name")
    ),
    Case("no Python file", plain("optimize", "no.py:make", "--out", RUN), 1, ("no.py", "correct the path")),
    Case(
        "no function", lambda p: p.module(f"def mak():\n    return {OWN_TASK}"), 1, ("no 'make'", "did you mean 'mak'")
    ),
    Case("module fails", lambda p: p.module("1 / 0"), 1, ("mytask.py", "ZeroDivisionError", "run it with python")),
    Case(
        "function fails",
        lambda p: p.module("def make():\n    return {}['x']"),
        1,
        ("make", "KeyError", "run it with python"),
    ),
    Case(
        "function returns a number",
        lambda p: p.module("def make():\n    return 3"),
        1,
        ("returned a int", "return a Task"),
    ),
    Case(
        "function needs arguments",
        lambda p: p.module("def make(path):\n    return 3"),
        1,
        ("path", "give them defaults"),
    ),
    Case(
        "function returns no model",
        lambda p: p.module("def make():\n    return {'train': 1}"),
        1,
        ("no 'model'", "needs a model"),
    ),
    Case("function is a number", lambda p: p.module("make = 3"), 1, ("is a int", "function without arguments")),
    Case(
        "network fails",
        lambda p: p.module(
            "class Net(torch.nn.Module):\n    def forward(self, x):\n        return {}[x]\n\n"
            "def make():\n    return Net(), (torch.randn(60, 4), torch.arange(60) % 2)"
        ),
        1,
        ("the network fails", "make inputs and network fit"),
    ),
]
CONFIG = [
    Case("no configuration", lambda p: mine("--config", p.folder / "no.toml")(p), 2, ("no.toml", "check the path")),
    Case("not TOML", lambda p: p.with_config("max_drop 0.1\n"), 2, ("changed.toml", "line 1", "correct that line")),
    Case("not UTF-8", lambda p: p.with_config("target = 'é'".encode("latin-1")), 2, ("changed.toml", "UTF-8")),
    Case("duplicate key", lambda p: p.with_config("seed = 1\nseed = 2\n"), 2, ("line 2", "occurs twice")),
    Case("duplicate section", lambda p: p.with_config("[task]\n[search]\n[task]\n"), 2, ("changed.toml", "line 3")),
    Case("misspelt key", lambda p: p.with_config("max_dorp = 0.1\n"), 2, ("'max_dorp'", "did you mean 'max_drop'")),
    Case(
        "misspelt nested key",
        lambda p: p.with_config("[search]\nevaluatons = 9\n"),
        2,
        ("'search.evaluatons'", "did you mean 'evaluations'"),
    ),
    Case(
        "misspelt section", lambda p: p.with_config("[serach]\nrounds = 1\n"), 2, ("'serach'", "did you mean 'search'")
    ),
    Case("section as value", lambda p: p.with_config('task = "digits"\n'), 2, ("task is a section", "[task]")),
    Case("text for a number", lambda p: p.with_config('max_drop = "1 %"\n'), 2, ("max_drop", "valid number", "'1 %'")),
    Case(
        "fraction for a count",
        lambda p: p.with_config("[search]\nevaluations = 9.5\n"),
        2,
        ("search.evaluations", "integer", "9.5"),
    ),
    Case("drop of 2 in the file", lambda p: p.with_config("max_drop = 2\n"), 2, ("max_drop", "less than 1", "2")),
    Case("NaN drop", lambda p: p.with_config("max_drop = nan\n"), 2, ("max_drop", "nan")),
    Case(
        "no evaluations in the file",
        lambda p: p.with_config("[search]\nevaluations = 0\n"),
        2,
        ("search.evaluations", "4", "not 0"),
    ),
    Case(
        "impossible rate",
        lambda p: p.with_config("[faults]\nrates = [1e-3, 2.0]\n"),
        2,
        ("faults.rates", "2.0", "0 to 1"),
    ),
    Case("drop of 2", digits("--max-drop", 2), 2, ("--max-drop", "less than")),
    Case("negative drop", digits("--max-drop", -0.1), 2, ("--max-drop", "greater than")),
    Case("no evaluations", digits("--evaluations", 0), 2, ("--evaluations", "4")),
    Case("negative seed", digits("--seed", -1), 2, ("--seed", "0")),
    Case("no workers", digits("--workers", 0), 2, ("--workers", "1")),
    Case("text as workers", digits("--workers", "two"), 2, ("--workers", "valid integer")),
    Case("rates that are words", plain("faults", RUN, "--rates", "low,high"), 2, ("--rates", "low,high", "1e-4")),
    Case("rate above 1", plain("faults", RUN, "--rates", "3"), 2, ("--rates", "3.0", "0 to 1")),
    Case("task options for a run", plain("faults", RUN, "--model", "mlp"), 2, ("--model", "leave it out")),
    Case("weights to write of another kind", plain("train", "digits", "--out", "w.pt"), 2, ("w.pt", ".safetensors")),
]
TARGETS = [
    Case(
        "wrong unit",
        lambda p: p.with_target(lambda t: t.replace('unit = "MHz"', 'unit = "Hz"')),
        1,
        ("[array] clock", "'Hz'", "'MHz'"),
    ),
    Case(
        "negative constant",
        lambda p: p.with_target(lambda t: t.replace("value = 11.5", "value = -11.5")),
        1,
        ("[weight_buffer] read", "-11.5", "greater than 0"),
    ),
    Case(
        "missing constant",
        lambda p: p.with_target(lambda t: re.sub(r"(?m)^clock.*\n", "", t)),
        1,
        ("[array]", "missing clock", "add"),
    ),
    Case(
        "misspelt constant",
        lambda p: p.with_target(lambda t: t.replace("\nclock =", "\nclok =")),
        1,
        ("'clok'", "did you mean 'clock'"),
    ),
    Case(
        "missing section",
        lambda p: p.with_target(lambda t: t.replace("[dram]", "[dramm]")),
        1,
        ("[dramm]", "did you mean 'dram'"),
    ),
    Case(
        "constant without source",
        lambda p: p.with_target(lambda t: t.replace(', source = "port width of the CACTI run" }', " }")),
        1,
        ("source",),
    ),
    Case(
        "unknown cost model",
        lambda p: p.with_target(lambda t: t.replace('"mac-array"', '"mac-aray"')),
        2,
        ("'mac-aray'", "did you mean 'mac-array'"),
    ),
    Case(
        "target that is not TOML",
        lambda p: mine("--target", p.write("machine.toml", "rows: 16"))(p),
        1,
        ("machine.toml", "not valid TOML"),
    ),
]
RUNS = [
    Case("run of another seed", mine("--seed", 9), 1, ("another configuration", "choose another --out")),
    Case("file in the way", in_the_way, 1, ("cannot write run folder", "Not a directory", "choose another --out")),
    Case(
        "folder that cannot be made",
        lambda p: p.own.words(Path("/proc/no/run")),
        1,
        ("cannot write run folder", "choose another --out"),
    ),
    Case("folder of something else", foreign_folder, 1, ("thesis", "report.html", "choose another --out")),
    Case(
        "corrupt journal",
        lambda p: journal_line(p, '{"plan_key": '),
        1,
        ("evaluations.jsonl, line 2", "delete the line"),
    ),
    Case(
        "journal without a field", lambda p: journal_line(p, "{}"), 1, ("evaluations.jsonl, line 2", "delete the line")
    ),
    Case(
        "journal of something else",
        lambda p: journal_line(p, "[1]"),
        1,
        ("evaluations.jsonl, line 2", "delete the line"),
    ),
    Case("no run folder", plain("evaluate", "no/such/run"), 1, ("no/such", "config.toml", "finished run")),
    Case("no run folder for faults", plain("faults", "no/such/run"), 1, ("no/such/run", "finished run")),
    Case(
        "no run folder for the report", plain("report", "no/such/run"), 1, ("no/such/run", "not a run folder", "give")
    ),
    Case("plan is no JSON", damaged("best/plan.json", half, "evaluate"), 1, ("plan.json", "not JSON", "again")),
    Case("plan is a list", damaged("best/plan.json", lambda raw: b"[]", "evaluate"), 1, ("plan", "sites")),
    Case("plan with a misspelt site", other_plan(misspell_site), 1, ("'fc11'", "did you mean 'fc1'")),
    Case(
        "plan with a misspelt technique",
        other_plan(lambda p: first_choice(p).update(kind="intger")),
        2,
        ("'intger'", "did you mean 'integer'"),
    ),
    Case(
        "plan with a misspelt parameter",
        other_plan(lambda p: first_choice(p).update(weight_bit=8)),
        1,
        ("'weight_bit'", "did you mean 'weight_bits'"),
    ),
    Case(
        "plan with text for a number",
        other_plan(lambda p: first_choice(p).update(weight_bits="8")),
        1,
        ("weight_bits", "int", "'8'"),
    ),
    Case(
        "recovery of a wrong type",
        other_plan(lambda p: p.update(recovery={"epochs": "many"})),
        1,
        ("recovery", "'many'"),
    ),
    Case(
        "saved weights truncated",
        damaged("best/model.safetensors", half, "evaluate"),
        1,
        ("model.safetensors", "corrupt", "again"),
    ),
    Case("saved weights NaN", nan_in_run, 1, ("model.safetensors", "NaN", "again")),
    Case("configuration of the run damaged", damaged("config.toml", half, "evaluate"), 2, ("config.toml",)),
    Case(
        "configuration of the run not text",
        damaged("config.toml", lambda raw: b"\xff\xfe" + raw, "evaluate"),
        2,
        ("config.toml", "UTF-8"),
    ),
    Case(
        "fingerprint of other data",
        damaged("config.toml", lambda raw: raw.replace(b"fingerprint ", b"fingerprint 0"), "evaluate"),
        1,
        ("another model or other data", "restore"),
    ),
    Case(
        "metrics truncated",
        damaged("best/metrics.json", half, "report"),
        1,
        ("metrics.json", "not valid JSON", "again"),
    ),
    Case(
        "metrics of a wrong type",
        damaged("best/metrics.json", lambda raw: b"{}", "report"),
        1,
        ("metrics.json", "again"),
    ),
    Case(
        "front missing a field",
        damaged("front.json", lambda raw: b'{"points": []}', "report"),
        1,
        ("front.json", "again"),
    ),
]
CASES = [*WEIGHTS, *DATA, *NAMES, *FUNCTIONS, *CONFIG, *TARGETS, *RUNS]


@pytest.fixture
def place(own: Own, run_copy: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(run_copy.parent)
    return Place(own, run_copy.parent)


def flat(text: str) -> str:
    """The words of a message, without the frames and line breaks that a terminal gets."""
    return re.sub(r"\s+", " ", re.sub(r"[│╭╮╰╯─]", " ", text))


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_bad_input(case: Case, place: Place) -> None:
    words = case.arrange(place)
    before = snapshot(place.folder)
    outcome = call(*words)
    message = flat(outcome.err)
    assert outcome.code == case.code, message
    position = 0
    for fragment in case.says:
        assert fragment in message[position:], f"{fragment!r} is missing in: {message}"
        position = message.index(fragment, position)
    assert "Traceback" not in outcome.err
    assert "please report" not in message
    assert outcome.out == ""
    assert snapshot(place.folder) == before
    assert not (place.folder / MARKER).exists()


def test_the_payload_would_have_worked(tmp_path: Path) -> None:
    payload = Payload(tmp_path / MARKER)
    function, arguments = payload.__reduce__()
    assert function(*arguments) == 0
    assert payload.marker.exists()


def test_names_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 45


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("mnist", "ossci-datasets.s3.amazonaws.com/mnist/"),
        ("fashion_mnist", "fashion-mnist.s3-website.eu-central-1.amazonaws.com/"),
    ],
)
def test_absent_data_sets_name_their_address(tmp_path: Path, name: str, url: str) -> None:
    outcome = call("optimize", name, "--data-dir", tmp_path, "--out", tmp_path / "run")
    assert outcome.code == 1
    for part in (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ):
        assert re.search(rf"https?://\S*{re.escape(url)}{part}\.gz", outcome.err)
    assert "--download" in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_absent_cifar10_names_checkpoint_and_archive(tmp_path: Path, data_dir: Path) -> None:
    outcome = call("optimize", "cifar10", "--data-dir", tmp_path, "--out", tmp_path / "run")
    assert outcome.code == 1
    assert re.search(r"https://\S+/resnet20-12fca82f\.th", outcome.err)
    checkpoint = data_dir / "resnet_cifar10" / "resnet20_cifar10.pt"
    if not checkpoint.is_file():
        pytest.skip("no checkpoint of resnet20 in the data folder")
    shutil.copy(checkpoint, tmp_path)
    outcome = call("optimize", "cifar10", "--data-dir", tmp_path, "--out", tmp_path / "run")
    assert outcome.code == 1
    assert "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz" in outcome.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
@pytest.mark.parametrize("command", ["optimize", "evaluate", "faults"])
def test_cuda_where_there_is_none(command: str, finished: Path, tmp_path: Path) -> None:
    words = ["digits", "--out", tmp_path / "run"] if command == "optimize" else [finished]
    outcome = call(command, *words, "--device", "cuda")
    assert outcome.code == 2
    assert "torch sees no CUDA device; use --device cpu" in outcome.err


def test_a_technique_that_does_not_exist_can_be_corrected(own: Own, tmp_path: Path) -> None:
    words, out = own.words(tmp_path / "run"), tmp_path / "run"
    outcome = call(*words, "--technique", "intger")
    assert outcome.code == 2
    assert "unknown technique 'intger'; did you mean 'integer'?" in outcome.err
    assert call(*words, "--technique", "integer").code == 0
    assert json.loads((out / "best" / "metrics.json").read_text())["task"] == "mine"


def test_a_budget_that_nobody_can_meet(hopeless: Own, tmp_path: Path) -> None:
    outcome = call(*hopeless.words(tmp_path / "run"), "--json", "--max-drop", 0)
    assert outcome.code == 3
    assert "no plan keeps the drop within 0 points" in outcome.err
    assert "--max-drop" in outcome.err
    metrics = json.loads(outcome.out)
    assert metrics["met"] is False
    assert metrics["single_level"] == {"data": None, "software": None, "hardware": None}
    assert metrics["cross_level"] is None
    assert metrics["drop"] > 0.1
    for name in ("best/plan.json", "best/model.safetensors", "best/metrics.json", "report.html"):
        assert (tmp_path / "run" / name).stat().st_size > 0
    again = call("evaluate", tmp_path / "run", "--json")
    assert again.code == 0
    assert json.loads(again.out)["drop"] == metrics["drop"]


class FullDisk:
    """Lets a number of files reach the disk, then says that it is full."""

    def __init__(self, room: int) -> None:
        self.room, self.asked, self._real = room, 0, os.fsync

    def __call__(self, handle: int) -> None:
        self.asked += 1
        if self.asked > self.room:
            raise OSError(28, "No space left on device")
        self._real(handle)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_a_full_disk_loses_nothing(
    own: Own, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    disk = FullDisk(10**6)
    monkeypatch.setattr(os, "fsync", disk)
    assert call(*own.words(tmp_path / "whole")).code == 0
    full = FullDisk(int(disk.asked * share))
    monkeypatch.setattr(os, "fsync", full)
    outcome = call(*own.words(tmp_path / "run"))
    assert outcome.code == 1
    assert "No space left on device" in outcome.err
    assert "free space" in outcome.err
    assert "Traceback" not in outcome.err
    monkeypatch.undo()
    journal = tmp_path / "run" / "evaluations.jsonl"
    kept = journal.read_bytes() if journal.exists() else b""
    assert kept.count(b"\n") >= (full.room - 3 if share < 0.5 else 1)  # what was computed is there
    assert call(*own.words(tmp_path / "run")).code == 0
    assert journal.read_bytes().startswith(kept)
    results = [json.loads((r / "best" / "metrics.json").read_text()) for r in (tmp_path / "run", finished)]
    for result in results:
        del result["seconds"]
    assert results[0] == results[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["optimize", "digts"], 2, "did you mean 'digits'"),
        (["optimize", "digits", "--seed", "x"], 2, "--seed"),
        (["evaluate", "nowhere"], 1, "nowhere"),
        (["circuits", "show", "drum8_44"], 1, "use 3..8"),
        (["optimise"], 2, "optimize"),
        (["optimize", "digits", "--out", "/dev/null/run"], 1, "choose another --out"),
    ],
)
def test_bad_input_in_a_process_of_its_own(words: list[str], code: int, says: str, tmp_path: Path) -> None:
    outcome = execute(*words, cwd=tmp_path)
    assert outcome.code == code
    assert says in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    assert list(tmp_path.iterdir()) == []


def test_an_unexpected_error_is_told_as_such(monkeypatch: pytest.MonkeyPatch, finished: Path) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("inner")

    monkeypatch.setattr("laxity.artifacts.verify.evaluate_saved", broken)
    outcome = call("evaluate", finished)
    assert outcome.code == 1
    assert "unexpected KeyError: 'inner'" in outcome.err
    assert "please report" in outcome.err
    assert "Traceback" not in outcome.err
    monkeypatch.setenv("LAXITY_DEBUG", "1")
    assert "Traceback" in call("evaluate", finished).err


def test_a_missing_tool_has_its_own_code(tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (data_dir / "cifar10" / "test_batch.webp").is_file():
        pytest.skip("no WebP sheets of CIFAR-10 in the data folder")
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    outcome = call("sites", "cifar10", "--data-dir", data_dir)
    assert outcome.code == 4
    assert "pip install" in outcome.err


def test_targets_of_these_tests_are_like_the_built_in_one() -> None:
    assert load_target("mac-array-45nm").constants.constant("weight_buffer.read").value == 11.5
