"""The section on treatments: its example runs after that of error models, on the network that it builds."""

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "recovery.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_example_runs(capsys):
    section = PAGE.split("\n## Treatments\n")[1]
    before, (block, *_) = PAGE.split("\n## Treatments\n")[0], re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    first = re.findall(r"```python\n(.*?)```", before, re.DOTALL)[0].split("for row in")[0]
    exec(compile(first + block, "recovery.md", "exec"), {"__name__": "page"})
    none, statistics, everything, chosen = capsys.readouterr().out.splitlines()
    accuracies = [float(line.rpartition(" ")[0].split()[-2]) for line in (none, statistics, everything)]
    assert accuracies[0] < 0.6 < accuracies[1] <= accuracies[2] + 0.01
    assert re.fullmatch(r"coltrunc8_8 0\.\d\d", chosen)


def test_every_treatment_is_in_the_table():
    from laxity.core.plan import Recovery

    table = PAGE.split("\n## Treatments\n")[1].split("Compensation and")[0]
    usual = {"learning_rate", "batch_size", "samples"}
    assert {name for name in Recovery.__slots__ if not re.search(rf"\b{name}\b", table)} == usual
