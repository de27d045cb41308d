"""Verilog text as tokens with line numbers: comments, attributes and harmless directives are skipped."""

from __future__ import annotations

import re
from dataclasses import dataclass

from laxity.circuits.source import Source, shown
from laxity.core.errors import CircuitError

MAX_TOKENS = 2_500_000
"""Longest file in words and signs."""

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\f]+|//[^\n]*|`(?:timescale|default_nettype|celldefine|endcelldefine|resetall)\b[^\n]*)
  | (?P<newline>\n)
  | (?P<comment>/\*)
  | (?P<attribute>\(\*(?!\)))
  | (?P<number>[0-9][0-9_]*[ \t]*'[ \t]*[sS]?[bBoOdDhH][ \t]*[0-9a-fA-FxXzZ?_]+
      | '[sS]?[bBoOdDhH][ \t]*[0-9a-fA-FxXzZ?_]+ | [0-9][0-9_]*(?![0-9a-zA-Z_.]))
  | (?P<word>[A-Za-z_][A-Za-z0-9_$]*)
  | (?P<escaped>\\[^\s]+)
  | (?P<sign>~\^|\^~|~&|~\||&&|\|\||==|!=|<<|>>|[()\[\]{},;:.=~!&|^+\-*?\#@/<>%$`"'])
    """,
    re.VERBOSE,
)


class BeyondError(CircuitError):
    """The text may be right, but uses more of the language than gates and wires; Yosys can read it.

    Attributes:
        line: where.
        what: the construct.
    """

    def __init__(self, source: Source, line: int, what: str) -> None:
        self.line, self.what = line, what
        super().__init__(f"{source.label}:{line}: {what} is no gate-level Verilog")


@dataclass(frozen=True, slots=True)
class Token:
    """A word, number or sign.

    Attributes:
        kind: ``word``, ``number``, ``sign``, or ``end`` after the last one.
        text: as in the file; an escaped name without its backslash.
        line: from 1.
    """

    kind: str
    text: str
    line: int


def tokens(source: Source) -> list[Token]:
    """Split a file into tokens, the last of kind ``end``.

    Raises:
        CircuitError: a character or comment that Verilog does not have, or too many tokens.
    """
    text = source.text()
    found: list[Token] = []
    position, line = 0, 1
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise source.error(line, f"unexpected character {shown(text[position])!r}")
        kind, piece, position = str(match.lastgroup), match[0], match.end()
        if kind == "newline":
            line += 1
        elif kind in ("comment", "attribute"):
            end = text.find("*/" if kind == "comment" else "*)", position)
            if end < 0:
                raise source.error(line, f"{piece!r} is not closed before the end of the file; is the file complete?")
            line += text.count("\n", position, end)
            position = end + 2
        elif kind != "space":
            found.append(_token(kind, piece, line))
            if len(found) > MAX_TOKENS:
                raise source.error(line, f"more than {MAX_TOKENS} words and signs; import a smaller circuit")
    found.append(Token("end", "the end of the file", line))
    return found


def _token(kind: str, piece: str, line: int) -> Token:
    if kind == "escaped":
        return Token("escaped", piece[1:], line)
    return Token(kind, piece, line)
