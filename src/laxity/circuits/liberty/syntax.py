"""The syntax of Liberty files: groups, attributes and values, each with the line it stands on.

Source: the Liberty reference manual's grammar: ``group (arguments) { ... }``, ``attribute : value ;`` and
``attribute (values) ;``. Semicolons may be missing at the end of a line, as in many published files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from laxity.core.errors import CircuitError

MAX_DEPTH = 32
"""Deepest nesting of groups; real files need about six."""

MAX_BYTES = 256 << 20
"""Largest file that is read."""

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\f\v]+|\\[ \t]*\r?\n) | (?P<line>\n) | (?P<comment>/\*.*?\*/|//[^\n]*) |
    (?P<string>"(?:[^"\\]|\\.)*") | (?P<mark>[(){}:;,]) | (?P<word>[^\s(){}:;,"\\]+)
    """,
    re.VERBOSE | re.DOTALL,
)
_CONTINUED = re.compile(r"\\[ \t]*\r?\n")


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute.

    Attributes:
        name: of the attribute.
        values: its value, or the values in parentheses, without quotes.
        line: where it stands, from 1.
    """

    name: str
    values: tuple[str, ...]
    line: int


@dataclass(slots=True)
class Group:
    """A group with all that is in it.

    Attributes:
        kind: the word before the parenthesis, such as ``"cell"``.
        arguments: in the parenthesis, without quotes.
        line: where it begins, from 1.
        attributes: in the order of the file; a name may occur more than once.
        groups: in the order of the file.
    """

    kind: str
    arguments: tuple[str, ...]
    line: int
    attributes: list[Attribute] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The first argument; empty without arguments."""
        return self.arguments[0] if self.arguments else ""

    def find(self, name: str) -> Attribute | None:
        """The last attribute of that name, or None."""
        return next((a for a in reversed(self.attributes) if a.name == name), None)

    def text(self, name: str, default: str = "") -> str:
        """The first value of an attribute."""
        attribute = self.find(name)
        return attribute.values[0] if attribute and attribute.values else default

    def all(self, kind: str) -> list[Group]:
        """The groups of one kind directly inside."""
        return [group for group in self.groups if group.kind == kind]


_Token = tuple[str, str, int]


def parse(text: str, where: str) -> Group:
    """Read a Liberty file.

    Args:
        text: its content.
        where: its name, for messages.

    Returns:
        The group ``library``.

    Raises:
        CircuitError: it does not follow the syntax; the message names file and line.
    """
    tokens = _Stream(text, where)
    kind, word, line = tokens.take()
    while kind == "line":
        kind, word, line = tokens.take()
    if kind != "word" or word != "library":
        raise tokens.error(line, f"begins with {word[:40]!r} and not with library (...)")
    arguments = _arguments(tokens)
    library = _open(tokens, Group("library", arguments, line))
    stack = [library]
    while stack:
        _statement(tokens, stack)
    kind, word, line = tokens.take()
    while kind == "line":
        kind, word, line = tokens.take()
    if kind != "end":
        raise tokens.error(line, f"has {word[:40]!r} after the end of the library")
    return library


class _Stream:
    """Tokens one after the other, with one that can be looked at ahead."""

    def __init__(self, text: str, where: str) -> None:
        self._where = where
        self._tokens = self._split(text)
        self._ahead: _Token | None = None

    def _split(self, text: str) -> Iterator[_Token]:
        position, line = 0, 1
        while position < len(text):
            found = _TOKEN.match(text, position)
            if found is None:
                what = "a string that does not end" if text[position] == '"' else f"an unexpected {text[position]!r}"
                raise self.error(line, f"has {what}")
            kind, word = str(found.lastgroup), found.group()
            if kind not in ("space", "comment"):
                yield kind, word, line
            line += word.count("\n")
            position = found.end()
        while True:
            yield "end", "the end of the file", line

    def take(self) -> _Token:
        """The next token."""
        token, self._ahead = self._ahead or next(self._tokens), None
        return token

    def look(self) -> _Token:
        """The next token, which stays."""
        if self._ahead is None:
            self._ahead = next(self._tokens)
        return self._ahead

    def error(self, line: int, problem: str) -> CircuitError:
        """An exception that names the place."""
        return CircuitError(f"{self._where}, line {line}: the Liberty file {problem}; give a complete Liberty file")


def _statement(tokens: _Stream, stack: list[Group]) -> None:
    """Read one statement into the innermost open group, or close that group."""
    kind, word, line = tokens.take()
    if kind == "line" or word == ";":
        return
    if word == "}" and kind == "mark":
        stack.pop()
        return
    if kind == "end":
        raise tokens.error(line, f"ends inside {stack[-1].kind} ({stack[-1].name}) of line {stack[-1].line}")
    if kind != "word":
        raise tokens.error(line, f"has {word[:40]!r} where an attribute or a group should begin")
    follows = tokens.look()[1]
    if follows == ":":
        tokens.take()
        stack[-1].attributes.append(Attribute(word, _simple(tokens), line))
    elif follows == "(":
        _parenthesised(tokens, stack, word, line)
    else:
        raise tokens.error(line, f"has {follows[:40]!r} after {word[:40]!r} where ':' or '(' should be")


def _parenthesised(tokens: _Stream, stack: list[Group], word: str, line: int) -> None:
    arguments = _arguments(tokens)
    ahead = tokens.look()
    while ahead[0] == "line":
        tokens.take()
        ahead = tokens.look()
    if ahead[1] != "{":
        stack[-1].attributes.append(Attribute(word, arguments, line))
        return
    if len(stack) >= MAX_DEPTH:
        raise tokens.error(line, f"nests more than {MAX_DEPTH} groups")
    group = _open(tokens, Group(word, arguments, line))
    stack[-1].groups.append(group)
    stack.append(group)


def _open(tokens: _Stream, group: Group) -> Group:
    kind, word, line = tokens.take()
    while kind == "line":
        kind, word, line = tokens.take()
    if word != "{":
        raise tokens.error(line, f"has {word[:40]!r} where '{{' should open {group.kind}")
    return group


def _arguments(tokens: _Stream) -> tuple[str, ...]:
    _, word, line = tokens.take()
    if word != "(":
        raise tokens.error(line, f"has {word[:40]!r} where '(' should be")
    values: list[str] = []
    current: list[str] = []
    while True:
        kind, word, at = tokens.take()
        if kind == "end" or (kind == "mark" and word in "{};"):
            raise tokens.error(at, f"has no ')' for the '(' of line {line}")
        if kind == "mark" and word in ",)":
            if current:
                values.append(" ".join(current))
            current = []
            if word == ")":
                return tuple(values)
        elif kind != "line":
            current.append(_plain(kind, word))


def _simple(tokens: _Stream) -> tuple[str, ...]:
    """The value after a colon, up to a semicolon or the end of the line."""
    parts: list[str] = []
    while True:
        kind, word, line = tokens.look()
        if kind == "end" or (kind == "mark" and word in "{:"):
            raise tokens.error(line, f"has {word[:40]!r} inside a value")
        if word == "}" and kind == "mark":
            break
        tokens.take()
        if word == ";" or (kind == "line" and parts):
            break
        if kind != "line":
            parts.append(_plain(kind, word))
    return (" ".join(parts),) if parts else ()


def _plain(kind: str, word: str) -> str:
    return _CONTINUED.sub(" ", word[1:-1]) if kind == "string" else word
