"""Product tables in files: every layout is found out, every broken file is refused with its name."""

import io
import zipfile

import numpy as np
import pytest

from laxity.circuits import catalogue
from laxity.circuits.importers import load
from laxity.core.errors import CircuitError, RegistryError

UNSIGNED = catalogue.get("drum6_3").table
SIGNED = catalogue.get("drum6s_3").table
WIDE = np.multiply.outer(np.arange(16), np.arange(4)) + (np.arange(16)[:, None] & 1)
"""4 x 2 bits, with errors that show which operand is which."""


def same(imported, table, *, signed):
    assert imported.multiplier.a_signed == imported.multiplier.b_signed == signed
    np.testing.assert_array_equal(imported.multiplier.table, table)


def npy_bytes(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<i2", "<i4", ">i4", "<u4", "<i8", ">i8", "<u8"])
@pytest.mark.parametrize("signed", [False, True])
def test_integer_arrays_of_every_type(dtype, signed, tmp_path):
    table = SIGNED if signed else UNSIGNED
    np.save(tmp_path / "t.npy", table.astype(dtype))  # unsigned types hold two's complement words
    same(load(tmp_path / "t.npy", compare=False), table, signed=signed)


@pytest.mark.parametrize("layout", ["fortran", "flat"])
def test_layouts_of_arrays(layout, tmp_path):
    array = np.asfortranarray(UNSIGNED) if layout == "fortran" else UNSIGNED.ravel()
    np.save(tmp_path / "t.npy", array)
    same(load(tmp_path / "t.npy", compare=False), UNSIGNED, signed=False)


def test_products_stored_in_words_of_their_own_width(tmp_path):
    np.save(tmp_path / "t.npy", SIGNED & 0xFFF)  # 12-bit patterns in int64
    imported = load(tmp_path / "t.npy", compare=False)
    same(imported, SIGNED, signed=True)
    assert any("12 bits" in note for note in imported.assumptions)
    np.save(tmp_path / "u.npy", UNSIGNED.astype("<i8") - ((UNSIGNED >> 11) << 12))  # unsigned products wrapped
    same(load(tmp_path / "u.npy", compare=False), UNSIGNED, signed=False)


def test_rows_that_rise_from_the_most_negative_operand(tmp_path):
    np.save(tmp_path / "t.npy", np.roll(SIGNED, (32, 32), (0, 1)))
    imported = load(tmp_path / "t.npy", compare=False)
    same(imported, SIGNED, signed=True)
    assert any("most negative" in note for note in imported.assumptions)


def test_given_signedness_is_obeyed_and_doubted(tmp_path):
    np.save(tmp_path / "t.npy", UNSIGNED)
    imported = load(tmp_path / "t.npy", signed=True, compare=False)
    assert imported.multiplier.signed
    assert [c.name for c in imported.checks if not c.ok and c.name in ("range", "product")]


@pytest.mark.parametrize(("name", "order"), [("t.bin", "<"), ("t.raw", ">")])
@pytest.mark.parametrize("signed", [False, True])
def test_bare_words_of_both_byte_orders(name, order, signed, tmp_path):
    table = SIGNED if signed else UNSIGNED
    (tmp_path / name).write_bytes((table & 0xFFFF).astype(f"{order}u2").tobytes())
    imported = load(tmp_path / name, compare=False)
    same(imported, table, signed=signed)
    assert any(("little" if order == "<" else "big") in note for note in imported.assumptions)


def test_bare_words_of_unequal_operands_and_of_32_bits(tmp_path):
    (tmp_path / "t.bin").write_bytes(WIDE.astype("<u2").tobytes())
    same(load(tmp_path / "t.bin", a_bits=4, b_bits=2, compare=False), WIDE, signed=False)
    (tmp_path / "o.bin").write_bytes(np.ascontiguousarray(WIDE.T).astype("<u2").tobytes())
    imported = load(tmp_path / "o.bin", a_bits=4, b_bits=2, compare=False)
    same(imported, WIDE, signed=False)
    assert any("a running fastest" in note for note in imported.assumptions)
    (tmp_path / "w.bin").write_bytes(WIDE.astype(">u4").tobytes())
    same(load(tmp_path / "w.bin", a_bits=4, b_bits=2, compare=False), WIDE, signed=False)


def matrix(table, separator):
    return "\n".join(separator.join(map(str, row)) for row in table.tolist())


@pytest.mark.parametrize(("name", "separator"), [("t.csv", ","), ("t.csv", " , "), ("t.tsv", "\t"), ("t.txt", "  ")])
def test_text_matrices(name, separator, tmp_path):
    (tmp_path / name).write_text(f"# products\n{matrix(SIGNED, separator)}\n")
    same(load(tmp_path / name, compare=False), SIGNED, signed=True)


def test_text_matrix_with_operands_at_its_edges(tmp_path):
    values = list(range(-4, 4))
    table = catalogue.get("dadda3s").table
    lines = ["a\\b," + ",".join(map(str, values))]
    lines += [f"{a}," + ",".join(str(table[a & 7, b & 7]) for b in values) for a in values]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    same(load(tmp_path / "t.csv", compare=False), table, signed=True)


@pytest.mark.parametrize("header", ["", "a,b,p\n"])
def test_text_lines_of_operands_and_product(header, tmp_path):
    rng = np.random.default_rng(0)
    lines = [f"{a},{b},{UNSIGNED[a, b]:#x}" for a in range(64) for b in range(64)]
    rng.shuffle(lines)
    (tmp_path / "t.csv").write_text(header + "\n".join(lines))
    same(load(tmp_path / "t.csv", compare=False), UNSIGNED, signed=False)


def test_one_column(tmp_path):
    (tmp_path / "t.txt").write_text("\n".join(map(str, WIDE.ravel().tolist())))
    same(load(tmp_path / "t.txt", a_bits=4, b_bits=2, compare=False), WIDE, signed=False)


def test_archives_and_exchanged_operands(tmp_path):
    np.savez_compressed(tmp_path / "t.npz", first=UNSIGNED, other=WIDE)
    imported = load(tmp_path / "t.npz", key="other", compare=False)
    same(imported, WIDE, signed=False)
    assert imported.multiplier.name == "other"
    exchanged = load(tmp_path / "t.npz", key="other", swap=True, name="my circuit", compare=False)
    same(exchanged, WIDE.T, signed=False)
    assert exchanged.multiplier.name == "my_circuit"
    by_width = load(tmp_path / "t.npz", key="other", a_bits=2, b_bits=4, compare=False)
    same(by_width, WIDE.T, signed=False)
    with pytest.raises(CircuitError, match=r"t\.npz has 2 arrays: 'first', 'other'; name one with --key"):
        load(tmp_path / "t.npz")
    with pytest.raises(CircuitError, match="no array 'x'"):
        load(tmp_path / "t.npz", key="x")


def test_the_format_can_be_named(tmp_path):
    np.save(tmp_path / "t.npy", UNSIGNED)
    (tmp_path / "t.npy").rename(tmp_path / "table")
    same(load(tmp_path / "table", format="npy", compare=False), UNSIGNED, signed=False)
    with pytest.raises(CircuitError, match=r"--format blif .*npy"):
        load(tmp_path / "table")
    with pytest.raises(RegistryError, match="did you mean 'npy'"):
        load(tmp_path / "table", format="npyy")


class Payload:
    """Unpickled, it would raise."""

    def __reduce__(self):
        return (int, ("executed",))


def zip_of(content, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("t.npy", content)
    return buffer.getvalue()


GOOD = npy_bytes(UNSIGNED.astype("<u2"))
BAD = {
    "empty.csv": (b"", "is empty"),
    "large.csv": (b"9999999999999999,9999999999999999\n0,1\n", r"large\.csv:1: 9999999999999999 is no product"),
    "words.csv": (b"1,2\n3,x\n", r"words\.csv:2: 'x' is no integer"),
    "ragged.csv": (b"0,0\n0\n", r"ragged\.csv:2: 1 entries"),
    "fraction.csv": (b"0,0\n0,0.5\n", r"'0\.5' is no integer"),
    "odd.csv": (b"0,0,0\n0,1,2\n0,2,4\n", "takes 2 values|list"),
    "twice.csv": (b"0,0,0\n0,1,0\n1,0,0\n1,0,0\n", r"twice\.csv:3: .*listed again"),
    "diagonal.csv": (b"0,0,0\n1,1,1\n2,2,4\n3,3,9\n", "4 lines for 4 x 4 operands; list every pair"),
    "long.csv": (b"0," * 600_000, r"long\.csv:1: more than 1048576 letters"),
    "binary.csv": (b"0,0\n\0\0", r"binary\.csv:2: binary data"),
    "headonly.csv": (b"a,b,p\n", "has no numbers"),
    "six.npy": (npy_bytes(np.zeros((6, 6), int)), "powers of two"),
    "float.npy": (npy_bytes(UNSIGNED.astype(float)), "store int32 or int64"),
    "huge.npy": (npy_bytes(np.full((8, 8), 2**60)), "no product"),
    "objects.npy": (npy_bytes(np.array([Payload()] * 16, dtype=object), allow_pickle=True), "objects or records"),
    "torn.npy": (GOOD[:-5], "needs 8192 bytes, 8187 are there"),
    "longer.npy": (GOOD + b"0", "8193 are there"),
    "claims.npy": (GOOD.replace(b"(64, 64)", b"(999, 9)"), "8991 entries|needs 17982 bytes"),
    "nohead.npy": (b"\x93NUMPY\1\0\xff\xff", "no valid NumPy header"),
    "torn.npz": (zip_of(GOOD)[:300], "no readable NumPy archive"),
    "none.npz": (zip_of(b"no array"), "no valid NumPy header"),
    "bomb.npz": (zip_of(bytes(9 << 20)), "more than 8389632 bytes"),
    "odd.bin": (b"123", "3 bytes are no table of 16-bit words"),
    "many.bin": (bytes(3 << 10), "no table of 16-bit words"),
}


@pytest.mark.parametrize("name", BAD)
def test_broken_tables_are_refused_by_name(name, tmp_path):
    content, message = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CircuitError, match=message) as caught:
        load(tmp_path / name)
    assert name in str(caught.value)


def test_widths_that_do_not_fit(tmp_path):
    np.save(tmp_path / "t.npy", UNSIGNED)
    with pytest.raises(CircuitError, match="operands of 6 and 6 bits, not 8 and 8"):
        load(tmp_path / "t.npy", a_bits=8, b_bits=8)
    with pytest.raises(CircuitError, match="--a-bits is 0"):
        load(tmp_path / "t.npy", a_bits=0)
    np.save(tmp_path / "f.npy", WIDE.ravel()[:32])
    with pytest.raises(CircuitError, match="tell the widths"):
        load(tmp_path / "f.npy")
    with pytest.raises(CircuitError, match=r"those of 5 operand bits together, not 4 \+ 4"):
        load(tmp_path / "f.npy", a_bits=4, b_bits=4)


def test_hostile_file_names(tmp_path):
    name = "evil\x1b[31m\n`rm -rf`; $(x).npy"
    np.save(tmp_path / name, UNSIGNED)
    imported = load(tmp_path / name, compare=False)
    assert imported.multiplier.name == "evil_x1b_31m_n_rm_rf_x"
    assert imported.origin.isprintable()
    (tmp_path / name).write_bytes(b"broken")
    with pytest.raises(CircuitError) as caught:
        load(tmp_path / name)
    assert str(caught.value).isprintable()
    for path in (tmp_path, tmp_path / "missing.npy", "nul\0byte.npy", tmp_path / ("x" * 5000 + ".npy")):
        with pytest.raises(CircuitError, match="cannot read") as caught:
            load(path)
        assert str(caught.value).isprintable()


def test_devices_and_pipes_are_not_waited_for(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe.npy")
    for path in (tmp_path / "pipe.npy", "/dev/zero"):
        with pytest.raises(CircuitError, match="no regular file"):
            load(path, format="npy")
