"""The documentation against the code: names, commands, options, keys, links, and examples that run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

import laxity as lx
from laxity.artifacts.config import RunConfig, resolve

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, str]]:
    """Every laxity command that a page shows."""
    lines = [(page.name, line) for page in PAGES for block in blocks(page, "sh") for line in block.splitlines()]
    return [(name, line) for name, line in lines if line.startswith("laxity ")]


@pytest.fixture(scope="module")
def program() -> Any:
    from laxity.cli.app import app

    return typer.main.get_command(app)


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http:", "https:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), target


@pytest.mark.parametrize(("page", "line"), commands())
def test_commands_exist(program: Any, page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command = program
    while hasattr(command, "commands"):
        assert words[0] in command.commands, f"{page}: {line}"
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts}
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in known, f"{page}: {line}"
    command.make_parser(command.context_class(command)).parse_args(words)


def test_reference_has_every_public_name_and_no_other() -> None:
    section = REFERENCE.split("## Python")[1].split("\n## ")[0]
    named = re.findall(r"^\| `(\w+)", section, re.MULTILINE)
    assert sorted(named) == sorted(lx.__all__)


def test_reference_has_every_command_and_no_other(program: Any) -> None:
    section = REFERENCE.split("## Commands")[1].split("| exit code")[0]
    rows = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([a-z]+)", row)}
    assert named == set(program.commands)


def test_reference_has_every_key_with_its_default() -> None:
    section = REFERENCE.split("## Configuration")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.*?) \| ", section, re.MULTILINE))
    defaults: dict[str, Any] = {}
    for key, value in RunConfig().model_dump().items():
        inner = {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value}
        defaults |= {} if key == "quick" else inner
    assert rows.keys() == defaults.keys()
    for key, text in rows.items():
        stated = None if text == "none" else tomllib.loads(f"value = {text.strip('`')}")["value"]
        assert stated == defaults[key], key


def test_configurations_in_the_pages_are_accepted() -> None:
    found = [tomllib.loads(block) for block in blocks(ROOT / "docs" / "use.md", "toml")]
    runs = [data for data in found if "search" in data]
    assert len(runs) == 1
    assert resolve(runs[0], "use.md").max_drop == 0.02


def test_metrics_of_the_reference_are_those_of_a_run() -> None:
    from laxity.artifacts import details, session

    sources = Path(details.__file__).read_text(encoding="utf-8") + Path(session.__file__).read_text(encoding="utf-8")
    table = REFERENCE.split("`best/metrics.json`:")[1].split("`laxity evaluate --json`")[0]
    for row in re.findall(r"^\| (`.*?) \| ", table, re.MULTILINE):
        for key in re.findall(r"`(\w+)`", row):
            assert f'"{key}"' in sources, key


@pytest.mark.slow
def test_the_readme_example(tmp_path: Path) -> None:
    (example,) = blocks(ROOT / "README.md", "python")
    assert len(example.strip().splitlines()) <= 6
    (tmp_path / "example.py").write_text(example, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "example.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"accuracy lost: -?\d\.\d{3}, energy left: 0\.\d\d\n", done.stdout)
    for name in ("report.html", "best/plan.json", "best/model.safetensors", "best/metrics.json"):
        assert (tmp_path / "runs" / "digits" / name).stat().st_size > 0


@pytest.mark.slow
def test_the_examples_of_the_how_to(tmp_path: Path) -> None:
    task, own, *rest = blocks(ROOT / "docs" / "use.md", "python")
    (tmp_path / "mytask.py").write_text(task, encoding="utf-8")
    for name, code in (("own.py", own), ("by_hand.py", "\n".join(rest))):
        (tmp_path / name).write_text(code, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-W", "error", name], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        if name == "own.py":
            met, ratio = done.stdout.split()
            assert met == "True"
            assert 0 < float(ratio) < 1
    program = Path(sys.executable).with_name("laxity")
    listed = subprocess.run(
        [str(program), "sites", "mytask.py:clouds"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert listed.returncode == 0, listed.stderr
    assert "linear" in listed.stdout
