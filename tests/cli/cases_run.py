"""Bad target files and damaged run folders."""

from __future__ import annotations

import re
from pathlib import Path

from .place import (
    Case,
    damaged,
    first_choice,
    foreign_folder,
    half,
    in_the_way,
    journal_line,
    mine,
    misspell_site,
    nan_in_run,
    other_plan,
    plain,
)

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
