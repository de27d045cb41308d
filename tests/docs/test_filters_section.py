"""The section on filters: its example runs, and it names what there is."""

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "recovery.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_example_runs(capsys):
    section = PAGE.split("\n## Filter by filter\n")[1].split("\n## ")[0]
    (block,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    exec(compile(block, "recovery.md", "exec"), {"__name__": "page"})
    *steps, chosen, others = capsys.readouterr().out.splitlines()
    kept = [float(line.split()[0]) for line in steps if line.endswith("kept")]
    assert any(line.endswith("refused") for line in steps)
    assert min(kept) < 0.75 < max(kept)
    energy, saved = map(float, re.fullmatch(r"(0\.\d\d), (0\.\d\d) saved", chosen).groups())
    assert saved > 0.2
    layers, network = map(float, others.split(", "))
    assert energy <= layers < network
