"""Bad weights, bad data, bad functions of a user."""

from __future__ import annotations

import numpy as np
import torch

from .conftest import CLASSES, FEATURES
from .place import (
    OWN_TASK,
    RUN,
    Case,
    at,
    data_with,
    fake_member,
    half_zip,
    objects,
    pickled,
    plain,
    poke,
    torn,
)

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
