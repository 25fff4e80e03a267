"""What a traceback shows: the locals of its frames, and all that can be reached from them."""

from __future__ import annotations

import functools
import re
import traceback
from collections.abc import Iterator, Mapping
from types import CoroutineType, FrameType, MethodType, TracebackType
from typing import Any

import attrs

from smtpproto import Secret


def leaks(error: BaseException, secret: str) -> list[str]:
    """Return where the tracebacks of *error*, and of the errors behind it, show *secret*.

    Frames of tests do not count. What several frames reach is told for the first of them.
    """
    text = "".join(traceback.TracebackException.from_exception(error).format())
    found = ["the text of the error"] if secret in text else []
    seen = dict[int, Any]()
    for frame in _frames(error, set()):
        code = frame.f_code
        if "/tests/" not in code.co_filename and not code.co_filename.startswith("tests/"):
            for name, value in frame.f_locals.items():
                if _shows(value, secret, seen):
                    found.append(f"{name} of {code.co_name} in {code.co_filename}")
    return found


def _frames(error: BaseException | None, seen: set[int]) -> Iterator[FrameType]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    step: TracebackType | None = error.__traceback__
    while step is not None:
        yield step.tb_frame
        step = step.tb_next
    for other in (error.__cause__, error.__context__, *getattr(error, "exceptions", ())):
        yield from _frames(other, seen)


def _shows(value: Any, secret: str, seen: dict[int, Any]) -> bool:
    """Return whether *value*, or something that can be reached from it, contains *secret*."""
    if isinstance(value, Secret | type) or id(value) in seen:
        return False
    seen[id(value)] = value  # kept, so that no other value gets the same id
    if isinstance(value, str):
        return secret in value
    if isinstance(value, bytes | bytearray | memoryview):
        return secret.encode() in bytes(value)
    return secret in repr(value) or any(_shows(part, secret, seen) for part in _parts(value))


def _parts(value: Any) -> Iterator[Any]:
    match value:
        case Mapping():
            yield from (*value.keys(), *value.values())
        case list() | tuple() | set() | frozenset():
            yield from value
        case re.Match():
            yield value.string
        case functools.partial():
            yield from (value.func, value.args, value.keywords)
        case MethodType():
            yield value.__self__
        case CoroutineType() if value.cr_frame is not None:
            yield dict(value.cr_frame.f_locals)
        case BaseException():
            yield from value.args
    if attrs.has(type(value)):
        yield from (getattr(value, field.name, None) for field in attrs.fields(type(value)))
    elif (type(value).__module__ or "").startswith("smtpproto"):
        yield dict(getattr(value, "__dict__", {}))
