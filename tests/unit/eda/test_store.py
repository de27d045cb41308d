"""Kept results: whole or absent, never half; and folders that cannot be written."""

import json
import logging

import pytest

from laxity.eda.store import Store, cache_folder, default_store, digest


def test_what_is_written_is_read(tmp_path):
    store = Store(tmp_path / "deep" / "cache")
    assert store.read("kind", "k") is None
    store.write("kind", "k", {"a": [1, 2.5, "x"]})
    assert store.read("kind", "k") == {"a": [1, 2.5, "x"]}
    assert store.read("other", "k") is None
    store.write("kind", "k", 3)
    assert store.read("kind", "k") == 3
    assert [path.name for path in (tmp_path / "deep" / "cache" / "kind").iterdir()] == ["k.json"]


def test_damaged_entries_are_absent(tmp_path):
    store = Store(tmp_path)
    store.write("kind", "k", [1, 2, 3])
    path = tmp_path / "kind" / "k.json"
    good = path.read_bytes()
    entry = json.loads(good)
    changed = json.dumps({**entry, "value": [1, 2, 4]}).encode()
    renamed = json.dumps({**entry, "key": "other"}).encode()
    for content in (b"", good[:-1], good[: len(good) // 2], b"\xff\xfe", b"[1]", b"[" * 100_000, changed, renamed):
        path.write_bytes(content)
        assert store.read("kind", "k") is None
    path.write_bytes(good)
    assert store.read("kind", "k") == [1, 2, 3]


def test_a_folder_that_cannot_be_written_is_told_and_no_error(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file")
    with caplog.at_level(logging.WARNING, "laxity.eda"):
        store.write("kind", "k", 1)
    assert "set LAXITY_CACHE to a writable folder" in caplog.text
    assert store.read("kind", "k") is None


def test_a_value_that_is_no_json_leaves_nothing(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(TypeError):
        store.write("kind", "k", object())
    assert not list(tmp_path.rglob("*.json"))


def test_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("LAXITY_CACHE", "off")
    assert cache_folder() is None
    default_store().write("kind", "k", 1)
    assert default_store().read("kind", "k") is None
    monkeypatch.setenv("LAXITY_CACHE", str(tmp_path / "x"))
    assert cache_folder() == tmp_path / "x"
    monkeypatch.delenv("LAXITY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "y"))
    assert cache_folder() == tmp_path / "y" / "laxity"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "z"))
    assert cache_folder() == tmp_path / "z" / ".cache" / "laxity"


def test_keys_depend_on_every_part():
    assert len({digest(), digest(1), digest("1"), digest(1, 2), digest([1, 2]), digest({"a": 1})}) == 6
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
