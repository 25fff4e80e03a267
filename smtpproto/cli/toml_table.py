"""A configuration file in TOML, whose errors name the line, the key and what is allowed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ..errors import SMTPError
from ..grammar.secret import Secret
from ..option_types import near_name
from .command_errors import CommandError, ConfigError, reading, text_of

T = TypeVar("T")
KeyPath = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)(.*?)\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)\s*(\.|=|$)""")
_TYPES = {
    str: "a text in quotes",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list in brackets",
    dict: "a table",
}


def read_toml(path: Path) -> Table:
    """Return the table that the file at *path* is. Raises ConfigError, or CommandError
    if the file cannot be read."""
    with reading(path, "--config"):
        text = path.read_bytes()
    try:
        decoded = text.decode()
        values = tomllib.loads(decoded)
    except ValueError as error:  # TOMLDecodeError, and UnicodeDecodeError
        raise ConfigError(f"{path}: {error}") from None
    return Table(values, _Places(path, _lines_of(decoded)), ())


class _Places:
    """The lines of the keys of a file."""

    def __init__(self, path: Path, lines: Mapping[KeyPath, int]) -> None:
        self._path, self._lines = path, lines
        self.directory: Path = path.absolute().parent

    def error(self, key: KeyPath, text: str) -> ConfigError:
        """Return the error about *key*, with its line or that of what it is in."""
        at: KeyPath = key or (text.partition(" ")[0],)  # it may begin with a key of the file
        while at and at not in self._lines:
            at = at[:-1]
        line = f", line {self._lines[at]}" if at else ""
        name = _written(key)
        return ConfigError(f"{self._path}{line}: {name}{': ' if name else ''}{text}")


def _written(key: KeyPath) -> str:
    """Return *key* as people write it: ``listen[1].port``; the first table of a list is 1."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part + 1}]"
        else:
            bare = re.fullmatch(r"[A-Za-z0-9_-]+", part)
            text += ("." if text else "") + (part if bare else f'"{part}"')
    return text


class Table:
    """A table. Each key is taken once; :meth:`end` refuses those that were not."""

    def __init__(self, values: Mapping[str, Any], places: _Places, key: KeyPath) -> None:
        self._left = dict(values)
        self._places, self._key = places, key
        self._known: dict[str, None] = {}  # in their order

    def value(self, name: str) -> object:
        """Return the value of the key *name* as it is, or None; it is not taken yet."""
        self._known[name] = None
        return self._left.get(name)

    def take(self, name: str, kind: type[T]) -> T | None:
        """Return the value of the key *name*, or None if it is not there. Raises ConfigError if it
        is not a *kind*."""
        self._known[name] = None
        if name not in self._left:
            return None
        value = self._left.pop(name)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            given = _TYPES.get(type(value), "a time")
            raise self.error(name, f"must be {_TYPES[kind]}, not {given}")
        return value

    def need(self, name: str, kind: type[T]) -> T:
        """Return the value of the key *name*. Raises ConfigError also if it is not there."""
        value = self.take(name, kind)
        if value is None:
            raise self.error(None, f"{name} is missing; it is {_TYPES[kind]}")
        return value

    def take_path(self, name: str) -> str | None:
        """Return the path at the key *name*; a relative one begins at the file's directory."""
        value = self.take(name, str)
        return None if value is None else str(self._places.directory / value)

    def take_secret(self, name: str) -> Secret | None:
        """Return the first line of the file whose path is there, or None. Raises ConfigError."""
        if (path := self.take_path(name)) is None:
            return None
        with self.checks(name), open(path, "rb") as file:
            return Secret(file.readline(4096).rstrip(b"\r\n"))

    def take_texts(self, name: str) -> list[str] | None:
        """Return the list of texts of the key *name*; one text alone counts as such a list."""
        if isinstance(self._left.get(name), str):
            return [self.need(name, str)]
        values = self.take(name, list)
        if values is not None and not all(isinstance(it, str) for it in values):
            raise self.error(name, "must be a list of texts in quotes")
        return values

    def take_numbers(self, name: str) -> list[float] | None:
        """Return the list of numbers of the key *name*."""
        values = self.take(name, list)
        if values is not None and not all(type(it) in (int, float) for it in values):
            raise self.error(name, "must be a list of numbers")
        return values

    def table(self, name: str) -> Table:
        """Return the table *name*, empty if it is not there."""
        return Table(self.take(name, dict) or {}, self._places, (*self._key, name))

    def tables(self, name: str) -> list[Table]:
        """Return the tables that each begin with ``[[name]]``."""
        values = self.take(name, list) or []
        if not all(isinstance(it, dict) for it in values):
            raise self.error(name, f"must be tables; begin each with [[{name}]]")
        keys = ((*self._key, name, number) for number in range(len(values)))
        return [Table(it, self._places, key) for it, key in zip(values, keys, strict=True)]

    def names(self) -> Iterable[str]:
        """Return the keys that were not taken."""
        return list(self._left)

    def is_text(self, name: str) -> bool:
        """Return whether the value of *name* is a text."""
        return isinstance(self._left.get(name), str)

    def error(self, name: str | None, text: str) -> ConfigError:
        """Return the error about the key *name*; None: about the table."""
        return self._places.error(self._key if name is None else (*self._key, name), text)

    @contextmanager
    def checks(self, name: str | None = None) -> Iterator[None]:
        """Raise what the block raises about the values of the key *name* as ConfigError."""
        try:
            yield
        except SMTPError as error:
            raise self.error(name, error.message) from None
        except OSError as error:
            raise self.error(name, text_of(error)) from None
        except (CommandError, ValueError, TypeError) as error:
            raise self.error(name, str(error)) from None

    def near(self, name: str) -> str:
        """Return ``"; did you mean ...?"`` with the known key that is most like *name*; or ""."""
        return near_name(name, self._known)

    def end(self) -> None:
        """Raise ConfigError if there is a key that was not taken."""
        for name in self._left:
            text = f"no such key; allowed are {', '.join(self._known)}"
            raise self.error(name, text + self.near(name))


def of_fields(table: Table, make: Callable[..., T], kinds: Mapping[str, type]) -> T:
    """Return ``make(...)`` with those of *kinds* that *table* has, tuples from lists of numbers."""
    values: dict[str, Any] = {}
    for name, kind in kinds.items():
        value = table.take_numbers(name) if kind is tuple else table.take(name, kind)
        if value is not None:
            values[name] = tuple(value) if kind is tuple else value
    table.end()
    with table.checks():
        return make(**values)


def _lines_of(text: str) -> Mapping[KeyPath, int]:
    """Return the number of the line where each table and key of a file begins. It is for errors
    only: what looks like a key in a text of several lines may count as one."""
    lines: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header is not None:
            table = _expanded(tuple(_keys(header[2])), counts)
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            for end in range(1, len(table) + 1):
                lines.setdefault(table[:end], number)
        else:
            keys = [*_keys(line)]
            for end in range(1, len(keys) + 1):
                lines.setdefault((*table, *keys[:end]), number)
    return lines


def _expanded(key: KeyPath, counts: Mapping[KeyPath, int]) -> KeyPath:
    """Return *key*, of a table, with the numbers of the lists of tables that it is in."""
    found: KeyPath = ()
    for part in key[:-1]:
        found = (*found, part)
        if found in counts:
            found = (*found, counts[found])
    return (*found, *key[-1:])


def _keys(line: str) -> Iterator[str]:
    at = 0
    while (found := _KEY.match(line, at)) is not None:
        yield found[1][1:-1] if found[1][0] in "\"'" else found[1]
        at = found.end()
        if found[2] != ".":
            return
