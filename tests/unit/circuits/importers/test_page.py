"""The examples of the page about importing."""

import re
import tomllib
from pathlib import Path

from laxity.circuits import catalogue
from laxity.circuits.importers import IMPORTERS, load

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "import-circuit.md").read_text(encoding="utf-8")


def test_every_format_is_listed_with_its_suffixes():
    rows = dict(re.findall(r"^\| `(\w+)` \| (`\..*?) \|", PAGE, re.MULTILINE))
    assert {name: tuple(re.findall(r"`(\.\w+)`", text)) for name, text in rows.items()} == {
        name: IMPORTERS[name].suffixes for name in IMPORTERS.names()
    }


def test_a_function_and_a_format_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setattr(IMPORTERS, "_entries", dict(IMPORTERS._entries))
    function, _, own_format = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(function, "import-circuit.md", "exec"), names)
    assert names["multiplier"].metrics().wce == 384
    exec(compile(own_format, "import-circuit.md", "exec"), names)
    table = catalogue.get("dadda4").table
    (tmp_path / "t.hex").write_text("\n".join(f"{value:x}" for value in table.ravel()))
    assert load(tmp_path / "t.hex", compare=False).multiplier == catalogue.get("dadda4")
    (point,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert list(tomllib.loads(point)["project"]["entry-points"]) == [IMPORTERS.group]
