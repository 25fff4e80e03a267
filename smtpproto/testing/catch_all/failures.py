"""Failures of a catch-all server that a page, or a test in another language, switches on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field

from ...errors import SMTPError
from ..trouble import Delay, Drop, Greylist, Part, Refuse, Script, Trouble

_MOST = 100
_MAX_SECONDS = 3600.0
_KINDS: Mapping[str, tuple[Callable[..., Trouble], set[str]]] = {
    "refuse": (Refuse, {"at", "reply", "to", "times", "skip"}),
    "greylist": (Greylist, {"reply"}),
    "delay": (Delay, {"at", "seconds", "times", "skip"}),
    "drop": (Drop, {"at", "stored", "times", "skip"}),
}
_TYPES: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "at": (str, "text"),
    "reply": (str, "text"),
    "to": (str, "text"),
    "seconds": ((int, float), "a number"),
    "times": (int, "a number"),
    "skip": (int, "a number"),
    "stored": (bool, "true or false"),
}


def to_trouble(values: object) -> Trouble:
    """Return the trouble that *values* of JSON describe. Raises ValueError, which says what is
    wrong."""
    if not isinstance(values, dict):
        raise ValueError('a failure is an object, for example {"kind": "refuse", "at": "RCPT"}')
    given = {name: it for name, it in values.items() if it is not None}
    kind = given.pop("kind", None)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"kind must be one of {', '.join(_KINDS)}")
    make, names = _KINDS[kind]
    if unknown := sorted(given.keys() - names):
        raise ValueError(f"{kind} takes {', '.join(sorted(names))}; not {', '.join(unknown)}")
    for name, value in given.items():
        _check_type(name, value)
    if kind != "greylist" and "at" not in given:
        raise ValueError(f'{kind} needs at, for example "RCPT"')
    if kind == "delay" and not 0 < given.get("seconds", 0) <= _MAX_SECONDS:
        raise ValueError(f"seconds must be more than 0, and at most {_MAX_SECONDS:g}")
    arguments = [given.pop(name) for name in ("at", "seconds") if name in given]
    try:
        return make(*arguments, **given)
    except (SMTPError, TypeError) as error:
        raise ValueError(str(error)) from None


def _check_type(name: str, value: object) -> None:
    kind, words = _TYPES[name]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{name} must be {words}")


@define(eq=False)
class Failures:
    """The failures that are switched on, by their numbers. Threads may share them."""

    script: Script = field(factory=lambda: Script(()))
    """What connections play."""
    _parts: dict[int, Part] = field(factory=dict, init=False)
    _count: int = field(default=0, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def add(self, trouble: Trouble) -> dict[str, Any]:
        """Switch on a failure, before those that are there. Return its values. Raises ValueError
        if there are too many."""
        with self._lock:
            if len(self._parts) >= _MOST:
                raise ValueError(f"there are {_MOST} failures already; remove some")
            self._count += 1
            self._parts = {self._count: Part(trouble), **self._parts}
            self._change()
            return _values(self._count, self._parts[self._count])

    def remove(self, number: int) -> bool:
        """Switch off a failure. Return whether it was there."""
        with self._lock:
            is_there = self._parts.pop(number, None) is not None
            self._change()
            return is_there

    def clear(self) -> int:
        """Switch off all failures. Return how many there were."""
        with self._lock:
            count = len(self._parts)
            self._parts.clear()
            self._change()
            return count

    def values(self) -> list[dict[str, Any]]:
        """Return the values of all failures, the newest first."""
        with self._lock:
            return [_values(number, part) for number, part in self._parts.items()]

    def _change(self) -> None:
        self.script.change(list(self._parts.values()))


def _values(number: int, part: Part) -> dict[str, Any]:
    times = None if isinstance(part.trouble, Greylist) else part.trouble.times
    return {
        "id": number,
        "kind": type(part.trouble).__name__.lower(),
        "description": str(part.trouble),
        "happened": part.happened,
        "over": times is not None and part.happened >= times,
    }
