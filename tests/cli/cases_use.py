"""Wrong names and wrong configurations."""

from __future__ import annotations

from .place import (
    RUN,
    Case,
    digits,
    mine,
    plain,
)

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
    Case("circuit too wide", plain("circuits", "show", "dadda17"), 1, ("dadda", "2..16", "17")),
    Case("width of circuits", plain("circuits", "list", "--width", 99), 2, ("--width", "16")),
    Case("width of adders", plain("circuits", "list", "--kind", "adder", "--width", 49), 2, ("--width", "48")),
    Case("signed adders", plain("circuits", "list", "--kind", "adder", "--signed"), 2, ("--signed", "alike")),
    Case("parameter of an adder", plain("circuits", "show", "loa16_16"), 1, ("l=16", "use 0..15")),
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
    Case("rates that are words", plain("sweep", RUN, "--rates", "low,high"), 2, ("--rates", "low,high", "1e-4")),
    Case("rate above 1", plain("sweep", RUN, "--rates", "3"), 2, ("--rates", "3.0", "0 to 1")),
    Case("task options for a run", plain("faults", RUN, "--model", "mlp"), 2, ("--model", "leave it out")),
    Case("weights to write of another kind", plain("train", "digits", "--out", "w.pt"), 2, ("w.pt", ".safetensors")),
]
