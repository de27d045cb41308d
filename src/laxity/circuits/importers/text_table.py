"""Product tables as text: a matrix, with or without operands at its edges, lines of a, b, product, or one column."""

from __future__ import annotations

import re

import numpy as np

from laxity.circuits.importers.importer import Content, IntArray, Options, Reading, TableContent, importer
from laxity.circuits.importers.npy import MAX_PRODUCT
from laxity.circuits.simulate import MAX_TABLE_BITS
from laxity.circuits.source import Source, shown

_SEPARATOR = re.compile(r"[,;\t ]+")
_NUMBER = re.compile(r"[+-]?(?:0[xX][0-9A-Fa-f]{1,16}|[0-9]{1,19})(?:\.0{0,8})?")
_MAX_LINE = 1 << 16
_MAX_LETTERS = 1 << 20
Rows = list[tuple[int, list[int | None]]]


@importer("csv", suffixes=(".csv", ".tsv", ".txt"))
def csv(source: Source, options: Options) -> Content:
    """Text table: rows by a and columns by b, with or without operands at the edges; or lines of a, b, product."""
    rows = _rows(source)
    widths = {len(row) for _, row in rows}
    if len(widths) != 1:
        usual = len(rows[0][1])
        line, row = next((n, r) for n, r in rows if len(r) != usual)
        raise source.error(line, f"{len(row)} entries, where line {rows[0][0]} has {usual}; every line needs as many")
    width = widths.pop()
    if width == 3 and _complete(rows):
        return _triples(source, rows)
    if width > 2 and width % 2:
        return _bordered(source, rows)
    table = np.array([_whole(source, line, row) for line, row in rows], dtype=np.int64)
    return TableContent((Reading(table[:, 0] if width == 1 else table),))


def _rows(source: Source) -> Rows:
    """Numbers of each line that has any; None for a cell that is no number, which only the first line may have."""
    rows: Rows = []
    entries = 0
    for number, line in enumerate(source.text().splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        if len(text) > _MAX_LETTERS:
            raise source.error(
                number, f"more than {_MAX_LETTERS} letters in one line; give one line for each code of a"
            )
        cells = [c.strip(' "') for c in (text.split(",") if "," in text else _SEPARATOR.split(text))]
        while len(cells) > 1 and not cells[-1]:
            cells.pop()
        if len(cells) > _MAX_LINE:
            raise source.error(number, f"more than {_MAX_LINE} entries in one line; give one line for each code of a")
        row = [_number(source, number, cell) for cell in cells]
        bad = next((cell for cell, value in zip(cells, row, strict=True) if value is None), None)
        if rows and bad is not None:
            raise source.error(number, f"{shown(bad)!r} is no integer; products and operands are whole numbers")
        rows.append((number, row))
        entries += len(row)
        if entries > 4 << MAX_TABLE_BITS:
            raise source.error(number, f"more numbers than a table of 2**{MAX_TABLE_BITS} products has")
    if rows and all(value is None for value in rows[0][1]):
        rows = rows[1:]
    if not rows:
        raise source.error(None, "has no numbers; give a table of products")
    return rows


def _number(source: Source, line: int, text: str) -> int | None:
    """The value of a cell; None where it is no number."""
    if not _NUMBER.fullmatch(text):
        return None
    whole = text.partition(".")[0]
    value = int(whole, 16) if "x" in whole.lower() else int(whole)
    if abs(value) > MAX_PRODUCT:
        raise source.error(line, f"{text} is no product of narrow operands; check the line")
    return value


def _whole(source: Source, line: int, row: list[int | None]) -> list[int]:
    numbers = [value for value in row if value is not None]
    if len(numbers) != len(row):
        raise source.error(line, "not every entry is an integer of a product; correct the line")
    return numbers


def _complete(rows: Rows) -> bool:
    """Whether the number of lines is that of all pairs of operands."""
    count = len(rows)
    return count >= 4 and count & (count - 1) == 0


def _triples(source: Source, rows: Rows) -> Content:
    numbers = np.array([_whole(source, line, row) for line, row in rows], dtype=np.int64)
    a, b = np.unique(numbers[:, 0]), np.unique(numbers[:, 1])
    if a.size * b.size != len(rows):
        raise source.error(
            None, f"{len(rows)} lines for {a.size} x {b.size} operands; list every pair of operands once"
        )
    a_codes, b_codes = _codes(source, a, "first"), _codes(source, b, "second")
    table = np.zeros((a.size, b.size), dtype=np.int64)
    seen = np.zeros(table.shape, dtype=np.int64)
    place = (a_codes[np.searchsorted(a, numbers[:, 0])], b_codes[np.searchsorted(b, numbers[:, 1])])
    np.add.at(seen, place, 1)
    twice = np.flatnonzero(seen[place] > 1)
    if twice.size:
        raise source.error(rows[int(twice[0])][0], "a pair of operands that is listed again; list every pair once")
    table[place] = numbers[:, 2]
    note = "lines are taken as: operand a, operand b, product"
    return TableContent((Reading(table, signed_operands=_signed(a, b)),), (note,))


def _bordered(source: Source, rows: Rows) -> Content:
    """A matrix with the operands b in the first line and a in the first column."""
    line, edge = rows[0]
    if len(rows) == 1:
        raise source.error(line, "has one line only; give one line for each code of a")
    body = np.array([_whole(source, n, row) for n, row in rows[1:]], dtype=np.int64)
    b, a = np.array(_whole(source, line, edge[1:]), dtype=np.int64), body[:, 0]
    for values, which in ((a, "first column"), (b, "first line")):
        if np.unique(values).size != values.size:
            raise source.error(line, f"the {which} should list each operand once, as the table has an odd width")
    table = np.zeros((a.size, b.size), dtype=np.int64)
    a_sorted, b_sorted = np.sort(a), np.sort(b)
    a_codes = _codes(source, a_sorted, "first")[np.searchsorted(a_sorted, a)]
    b_codes = _codes(source, b_sorted, "second")[np.searchsorted(b_sorted, b)]
    table[np.ix_(a_codes, b_codes)] = body[:, 1:]
    note = "the first line lists operand b and the first column operand a"
    return TableContent((Reading(table, signed_operands=_signed(a, b)),), (note,))


def _signed(a: IntArray, b: IntArray) -> bool:
    return bool(min(a.min(), b.min()) < 0)


def _codes(source: Source, values: IntArray, which: str) -> IntArray:
    """Code of each of the sorted operand values, which must be all values of a width."""
    count = values.size
    low = int(values[0])
    if count < 2 or count & (count - 1) or low not in (0, -count // 2) or int(values[-1]) - low != count - 1:
        raise source.error(
            None,
            f"the {which} operand takes {count} values from {low} to {int(values[-1])}; list all of 0..2**n - 1 or "
            "-2**(n-1)..2**(n-1) - 1",
        )
    return np.asarray(values & (count - 1), dtype=np.int64)
