"""Programs: checked when made, the same after a file, and nothing else out of a damaged one."""

import dataclasses
import hashlib
import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laxity.core.errors import PlanError, RunError
from laxity.core.program import (
    STEPS,
    Add,
    Addition,
    Code,
    Concatenate,
    MultiplierUse,
    Pad,
    Pool,
    Product,
    Program,
    Register,
    Requantiser,
    Rescale,
    Reshape,
    Slice,
    Window,
)
from laxity.core.program_file import (
    load_program,
    program_bytes,
    program_from_bytes,
    program_key,
    save_program,
    to_json,
)

TABLE = np.multiply.outer(np.arange(16), np.arange(16))
USE = MultiplierUse("exact4", 4, 4, False, False, hashlib.sha256(TABLE.astype("<i8").tobytes()).hexdigest())
CODE, WIDE = Code(0.5, 0, 0, 15), Code(0.25, 0, -(2**31), 2**31 - 1)
NONE = Window((), (), (), (), ())


def vector(*values):
    return np.array(values, np.int32)


def product(name, source, shape, weight, window=NONE, **changes):
    outputs = len(weight)
    values = {
        "operation": "linear" if window is NONE else f"conv{len(window.kernel)}d", "site": name, "window": window,
        "groups": 1, "weight": np.array(weight, np.int32), "weight_low": -7, "weight_high": 7,
        "weight_zero": np.zeros(outputs, np.int32), "bias": np.arange(outputs, dtype=np.int32), "multiplier": "exact4",
        "shifts": (0, 0), "product_shift": 0, "register": None, "code": CODE,
        "requantiser": Requantiser.from_scale([0.125] * outputs, 0, 0, 15),
        "least_sums": np.full(outputs, -5000, np.int32), "greatest_sums": np.full(outputs, 5000, np.int32), **changes,
    }  # fmt: skip
    return Product(name=name, inputs=(source,), shape=shape, **values)


def every_step():
    """One step of every kind."""
    two = Window((2,), (2,), (1,), (0,), (0,))
    steps = (
        product("conv", "input", (2, 4), [[[1, 2]], [[3, -4]]], Window((2,), (1,), (1,), (1,), (0,)),
                register=Register(14, "loa14_2", "abc", False, "saturate", 3)),
        Rescale("rescale", ("conv",), (2, 4), CODE, Requantiser.from_scale(0.7, 0, 0, 15)),
        Add("add", ("conv", "rescale"), (2, 4), CODE, Addition.from_scales((0.5, 0.5), (0, 0), 0, 0, 15)),
        Concatenate("join", ("add", "conv"), (4, 4), CODE, 0),
        Pad("pad", ("join",), (4, 6), CODE, (0, 1), (0, 1)),
        Slice("slice", ("pad",), (2, 4), CODE, (1, 1), (2, 1)),
        Pool("max", ("slice",), (2, 2), CODE, "max", two, None),
        Pool("average", ("slice",), (2, 2), CODE, "average", two, Requantiser.from_scale(0.5, 0, 0, 15)),
        Add("both", ("max", "average"), (2, 2), CODE, Addition.from_scales((0.5, 0.5), (0, 0), 0, 0, 15)),
        Reshape("flat", ("both",), (4,), CODE),
        product("linear", "flat", (3,), np.ones((3, 4)), code=WIDE,
                requantiser=Requantiser.from_scale([1.0, 0.9, 0.0], 0, -(2**31), 2**31 - 1)),
    )  # fmt: skip
    return Program((1, 4), CODE, steps, (USE,))


@pytest.fixture(scope="module")
def program():
    return every_step()


def same(left, right):
    """Equality of programs, value by value, arrays included."""
    if isinstance(left, np.ndarray):
        return isinstance(right, np.ndarray) and left.dtype == right.dtype and np.array_equal(left, right)
    if isinstance(left, tuple):
        return isinstance(right, tuple) and len(left) == len(right) and all(map(same, left, right))
    if dataclasses.is_dataclass(left):
        fields = dataclasses.fields(left)
        return type(left) is type(right) and all(same(getattr(left, f.name), getattr(right, f.name)) for f in fields)
    return type(left) is type(right) and left == right


def test_the_example_has_every_kind_of_step(program):
    assert {step.kind for step in program.steps} == set(STEPS)


def test_files_bring_back_every_value(program, tmp_path):
    path = tmp_path / "net.npz"
    save_program(program, path)
    assert same(load_program(path), program)
    assert path.read_bytes() == program_bytes(program)
    with np.load(path, allow_pickle=False) as archive:
        assert "program.json" in archive.files
    assert program_key(load_program(path)) == program_key(program)
    changed = dataclasses.replace(program, input_code=Code(0.25, 0, 0, 15))
    assert program_key(changed) != program_key(program)


def test_json_is_plain(program):
    text = json.dumps(to_json(program), allow_nan=False)
    first = json.loads(text)["steps"][0]
    assert first["kind"] == "product"
    assert first["weight"] == [[[1, 2]], [[3, -4]]]
    assert first["requantiser"]["multipliers"] == [32768, 32768]


def test_facts(program):
    assert program.output.name == "linear"
    assert [step.name for step in program.products] == ["conv", "linear"]
    assert (program.shape_of("input"), program.shape_of("pad")) == ((1, 4), (4, 6))
    assert (program.code_of("input"), program.code_of("linear")) == (CODE, WIDE)
    assert program.step("conv").reduction == 2
    assert program.multiplier("exact4") is USE
    for lookup in (program.step, program.multiplier, program.shape_of):
        with pytest.raises(PlanError, match="has no"):
            lookup("nothing")


@pytest.mark.parametrize(
    ("code", "bits"),
    [((0, 0, 255), 8), ((0, 0, 1), 1), ((0, -127, 127), 8), ((0, -128, 127), 8), ((3, 0, 15), 4), ((0, -1, 0), 1),
     ((0, -(2**31), 2**31 - 1), 32), ((0, -8, 0), 4)],
)  # fmt: skip
def test_widths_of_codes(code, bits):
    assert Code(1.0, *code).bits == bits


def test_codes_stand_for_values():
    code = Code(0.5, 3, 0, 15)
    assert code.quantise(np.array([-9.0, -1.5, 0.0, 0.25, 0.75, 99.0], np.float32)).tolist() == [0, 0, 3, 3, 5, 15]
    assert code.values(np.array([0, 3, 4])).tolist() == [-1.5, 0.0, 0.5]


BROKEN = {
    "name twice": lambda p: [*p.steps, p.steps[-1]],
    "unknown input": lambda p: [dataclasses.replace(p.steps[0], inputs=("x",))],
    "later input": lambda p: [dataclasses.replace(p.steps[0], inputs=("rescale",)), *p.steps[1:]],
    "no steps": lambda p: [],
    "shape": lambda p: [dataclasses.replace(p.steps[0], shape=(2, 5))],
    "weight range": lambda p: [dataclasses.replace(p.steps[0], weight_high=2)],
    "bias length": lambda p: [dataclasses.replace(p.steps[0], bias=vector(1, 2, 3))],
    "circuit": lambda p: [dataclasses.replace(p.steps[0], multiplier="other")],
    "groups": lambda p: [dataclasses.replace(p.steps[0], groups=0)],
    "operation": lambda p: [dataclasses.replace(p.steps[0], operation="conv2d")],
    "shift": lambda p: [dataclasses.replace(p.steps[0], product_shift=1)],
    "48 bits": lambda p: [
        dataclasses.replace(
            p.steps[0],
            requantiser=Requantiser((65535, 65535), (47, 47), 0, 0, 15),
            greatest_sums=vector(2**31 - 1, 0),
        )
    ],
    "code of a pool": lambda p: [*p.steps[:6], dataclasses.replace(p.steps[6], code=WIDE)],
    "average without requantiser": lambda p: [*p.steps[:7], dataclasses.replace(p.steps[7], requantiser=None)],
    "zero-points of an addition": lambda p: [
        *p.steps[:2], dataclasses.replace(p.steps[2], addition=Addition.from_scales((1, 1), (1, 0), 0, 0, 15)),
    ],
    "joined": lambda p: [*p.steps[:3], dataclasses.replace(p.steps[3], shape=(5, 4))],
    "padded": lambda p: [*p.steps[:4], dataclasses.replace(p.steps[4], before=(0, 2))],
    "sliced": lambda p: [*p.steps[:5], dataclasses.replace(p.steps[5], start=(1, 3))],
    "reshaped": lambda p: [*p.steps[:9], dataclasses.replace(p.steps[9], shape=(5,))],
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_steps_that_do_not_fit_are_refused(program, what):
    with pytest.raises(PlanError):
        Program(program.input_shape, program.input_code, tuple(BROKEN[what](program)), program.multipliers)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Code(0.0, 0, 0, 1), lambda: Code(float("nan"), 0, 0, 1), lambda: Code(1.0, 2, 0, 1),
        lambda: Code(1.0, 0, 0, 2**31), lambda: MultiplierUse("x", 12, 12, False, False, ""),
        lambda: MultiplierUse("x", 0, 8, False, False, ""), lambda: Register(0, "x"),
        lambda: Register(8, "x", overflow="ignore"), lambda: Register(8, "x", cuts=(4,), overflow="saturate"),
        lambda: Window((0,), (1,), (1,), (0,), (0,)), lambda: Window((1,), (1,), (1,), (-1,), (0,)),
        lambda: Window((1,), (1,), (1,), (0,), ()),
    ],
)  # fmt: skip
def test_parts_out_of_range_are_refused(make):
    with pytest.raises(PlanError):
        make()


def test_missing_files_and_other_files(tmp_path):
    with pytest.raises(RunError, match="cannot read program"):
        load_program(tmp_path / "none.npz")
    for content in (b"", b"PK", b"\x93NUMPY", json.dumps({}).encode()):
        with pytest.raises(RunError):
            program_from_bytes(content)


def rebuilt(program, change):
    """The file of a program whose JSON document was changed."""
    with np.load(io.BytesIO(program_bytes(program)), allow_pickle=False) as archive:
        members = {name: archive[name] for name in archive.files}
    document = json.loads(members["program.json"].tobytes())
    document = change(document)
    members["program.json"] = np.frombuffer(json.dumps(document).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **members)
    return buffer.getvalue()


def test_other_versions_objects_and_compressed_archives_are_refused(program):
    with pytest.raises(RunError, match="format"):
        program_from_bytes(rebuilt(program, lambda d: {**d, "format": 2}))
    with pytest.raises(RunError, match="corrupt"):
        program_from_bytes(rebuilt(program, lambda d: {**d, "extra": 1}))
    with pytest.raises(RunError, match="inconsistent"):
        program_from_bytes(rebuilt(program, lambda d: {**d, "input_shape": [1, 5]}))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{"program.json": np.zeros(9, np.uint8)})
    with pytest.raises(RunError, match="compressed"):
        program_from_bytes(buffer.getvalue())
    buffer = io.BytesIO()
    np.savez(buffer, **{"program.json": np.array([{}], dtype=object)})
    with pytest.raises(RunError, match="corrupt"):
        program_from_bytes(buffer.getvalue())


def test_members_that_claim_to_be_larger_than_the_file_are_refused(program):
    raw = bytearray(program_bytes(program))
    with zipfile.ZipFile(io.BytesIO(bytes(raw))) as archive:
        size = archive.infolist()[0].file_size.to_bytes(4, "little")
    place = raw.rfind(size)
    raw[place : place + 4] = (2**31).to_bytes(4, "little")
    with pytest.raises(RunError):
        program_from_bytes(bytes(raw))


@settings(deadline=None, max_examples=400)
@given(data=st.data())
def test_damaged_bytes_never_do_anything_else_than_fail(program, data):
    raw = bytearray(program_bytes(program))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.one_of(st.just(len(raw)), st.integers(0, len(raw))))]
    try:
        found = program_from_bytes(bytes(raw))
    except RunError:
        return
    assert isinstance(found, Program)


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([2**15, 2**31, 2**70, 0.5, 1e300, "x", "", [], {}]),
    st.lists(st.integers(-1, 5), max_size=4), st.just({"array": 0}), st.just({"array": 99}),
)  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(data=st.data())
def test_changed_documents_are_checked(program, data):
    value = data.draw(ODD)

    def change(document):
        node = document
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = data.draw(st.sampled_from(keys))
            if isinstance(node[key], (dict, list)) and node[key] and data.draw(st.integers(0, 3)):
                node = node[key]
                continue
            node[key] = value
            return document

    try:
        found = program_from_bytes(rebuilt(program, change))
    except RunError:
        return
    assert same(program_from_bytes(program_bytes(found)), found)
