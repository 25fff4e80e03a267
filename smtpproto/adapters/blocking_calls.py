"""Calls of the application's code over blocking sockets: see :meth:`.ports.Runtime.within`."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable
from typing import TypeVar

from ..ports import CallAborted, as_coroutine, raise_contained

T = TypeVar("T")

_SUSPENDED = (
    "suspended, and a blocking server cannot resume it; use a plain hook,"
    " or serve with smtpproto.adapters.asyncio or smtpproto.adapters.trio"
)
# What asyncio and trio say to code that waits for them without their loop.
_NO_LOOP = ("no running event loop", "no current event loop", "must be called from async context")


def run_call(awaitable: Awaitable[T]) -> T:
    """Return the result of *awaitable*, which must not suspend.

    Raises CallAborted if it does, and what it raises, as an ``Exception``.
    """
    coroutine = as_coroutine(awaitable)
    try:
        coroutine.send(None)
    except StopIteration as stop:
        returned: T = stop.value
        return returned
    except BaseException as error:
        if isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_LOOP):
            raise CallAborted(f"{_SUSPENDED} ({error})") from None
        raise_contained(error)
    with contextlib.suppress(Exception):  # it may raise, or ignore this
        coroutine.close()
    raise CallAborted(_SUSPENDED)
