"""Named extension points: one registry per kind of thing, filled by decorators and by entry points."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from laxity.core.errors import RegistryError

T = TypeVar("T")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known names, or the list of all names if none is near."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.55)
    if near:
        return "; did you mean " + " or ".join(repr(n) for n in near) + "?"
    if names and len(names) <= 24:
        return "; known: " + ", ".join(names)
    return ""


class Registry(Generic[T]):
    """A mapping from names to implementations of one extension point.

    Args:
        noun: what an entry is called in messages, for example ``"technique"``.
        group: entry-point group through which other packages add entries.
    """

    def __init__(self, noun: str, group: str) -> None:
        self.noun = noun
        self.group = group
        self._entries: dict[str, T] = {}
        self._scanned = False

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that adds its argument under `name`.

        Raises:
            RegistryError: the name is taken by a different object.
        """

        def add(entry: T) -> T:
            taken = self._entries.get(name)
            if taken is not None and taken is not entry:
                raise RegistryError(f"{self.noun} {name!r} is registered twice; choose another name for one of them")
            self._entries[name] = entry
            return entry

        return add

    def names(self) -> list[str]:
        """All registered names, sorted."""
        self._scan()
        return sorted(self._entries)

    def __contains__(self, name: object) -> bool:
        self._scan()
        return name in self._entries

    def __getitem__(self, name: str) -> T:
        self._scan()
        try:
            return self._entries[name]
        except KeyError:
            hint = did_you_mean(name, self._entries)
            raise RegistryError(f"unknown {self.noun} {name!r}{hint}") from None

    def _scan(self) -> None:
        """Load entry points of other packages, once.

        Raises:
            RegistryError: an entry point does not load; names it.
        """
        if self._scanned:
            return
        self._scanned = True
        for point in entry_points(group=self.group):
            if point.name not in self._entries:
                try:
                    self._entries[point.name] = point.load()
                except Exception as error:  # importing another package's code can fail in any way
                    self._scanned = False
                    raise RegistryError(
                        f"{self.noun} {point.name!r} ({point.value}) cannot be loaded: {error}; "
                        "repair or uninstall the package that offers it"
                    ) from error
