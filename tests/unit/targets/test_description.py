import math
import re

import pytest

from laxity.core.errors import TargetError
from laxity.core.estimate import Basis
from laxity.targets.description import ConstantSpec, merge_documents, read_document, resolve

SCHEMA = {"array": {"rows": ConstantSpec("PE", integer=True), "idle": ConstantSpec("pJ", zero=True)}}
ROWS = {"value": 4, "unit": "PE", "basis": "modelled", "source": "a test"}
IDLE = {"value": 0, "unit": "pJ", "basis": "published", "source": "a paper"}


def document(**changes):
    base = {"name": "toy", "description": "A toy.", "model": "m", "baseline_multiplier": "dadda8"}
    return base | {"array": {"rows": ROWS, "idle": IDLE}} | changes


def refused(doc, *fragments):
    with pytest.raises(TargetError) as caught:
        resolve(doc, SCHEMA, "toy.toml")
    for fragment in ("toy.toml", *fragments):
        assert fragment in str(caught.value)


def test_a_complete_document_resolves():
    description = resolve(document(), SCHEMA, "toy.toml")
    assert description.count("array.rows") == 4
    assert description.value("array.idle") == 0.0
    assert description.constant("array.idle").basis is Basis.PUBLISHED
    assert description.to_json()["constants"]["array"]["rows"]["source"] == "a test"


def test_unknown_path_names_the_nearest_constant():
    description = resolve(document(), SCHEMA, "toy.toml")
    with pytest.raises(TargetError, match=re.escape("'array.row'") + ".*array.rows"):
        description.value("array.row")


def test_key_depends_on_values_and_sources_only():
    key = resolve(document(), SCHEMA, "toy.toml").key
    assert resolve(document(), SCHEMA, "elsewhere.toml").key == key
    for changed in (ROWS | {"value": 5}, ROWS | {"source": "b"}, ROWS | {"basis": "measured"}):
        assert resolve(document(array={"rows": changed, "idle": IDLE}), SCHEMA, "toy.toml").key != key


@pytest.mark.parametrize(
    ("rows", "fragments"),
    [
        (4, ("[array] rows", "must be a table", 'unit = "PE"')),
        (ROWS | {"value": 0}, ("greater than 0",)),
        (ROWS | {"value": -1}, ("greater than 0",)),
        (ROWS | {"value": math.nan}, ("finite",)),
        (ROWS | {"value": math.inf}, ("finite",)),
        (ROWS | {"value": 2.5}, ("whole number",)),
        (ROWS | {"value": True}, ("not a number",)),
        (ROWS | {"value": "4"}, ("not a number",)),
        (ROWS | {"unit": "pJ"}, ("'pJ'", "'PE'")),
        (ROWS | {"basis": "publshed"}, ("'publshed'", "did you mean 'published'")),
        (ROWS | {"source": "  "}, ("source must be a text",)),
        (ROWS | {"sources": "x"}, ("'sources'", "did you mean 'source'")),
        ({k: v for k, v in ROWS.items() if k != "source"}, ("missing 'source'",)),
    ],
)
def test_wrong_constants_are_refused(rows, fragments):
    refused(document(array={"rows": rows, "idle": IDLE}), *fragments)


def test_zero_is_allowed_only_where_declared_and_negative_never():
    refused(document(array={"rows": ROWS, "idle": IDLE | {"value": -0.5}}), "not negative")


def test_unknown_and_missing_entries_are_named():
    refused(document(aray={}), "[aray]", "did you mean 'array'")
    refused(document(array={"rows": ROWS, "idle": IDLE, "rowz": ROWS}), "'rowz'", "did you mean 'rows'")
    refused(document(array={"rows": ROWS}), "missing idle", 'unit = "pJ"')
    refused({k: v for k, v in document().items() if k != "array"}, "[array] is missing", "rows, idle")
    refused({k: v for k, v in document().items() if k != "name"}, "'name'")
    refused(document(descripton="x"), "'descripton'", "did you mean 'description'")
    refused(document(model=7), "model must be a non-empty text")


def test_merge_replaces_whole_constants():
    other = ROWS | {"value": 9}
    merged = merge_documents(document(), {"description": "B", "array": {"rows": other}})
    assert merged["description"] == "B"
    assert merged["array"] == {"rows": other, "idle": IDLE}


def test_duplicate_keys_name_file_and_line(tmp_path):
    path = tmp_path / "twice.toml"
    path.write_text('model = "a"\nname = "x"\nmodel = "b"\n')
    with pytest.raises(TargetError, match=r"twice\.toml.*line 3"):
        read_document(path)


def test_unreadable_files_are_explained(tmp_path):
    with pytest.raises(TargetError, match=r"nowhere\.toml.*No such file"):
        read_document(tmp_path / "nowhere.toml")
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'name = "\xe9"\n')
    with pytest.raises(TargetError, match="not UTF-8"):
        read_document(latin)
