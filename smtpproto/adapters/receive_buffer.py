"""The buffer that asyncio reads into: its buffered protocols must provide one."""

from __future__ import annotations

import sys
import threading

from ..limits import READ

_shared = threading.local()


def receive_buffer() -> memoryview:
    """Return the buffer of a new stream.

    All streams of an event loop share one: each stream copies the octets out before the next read,
    and a separate buffer would take most of the memory of an idle connection. Loops in other
    threads have their own buffer. On Windows the proactor loop reads in the background, so
    each stream has its own.
    """
    if sys.platform == "win32" or not hasattr(_shared, "buffer"):
        _shared.buffer = memoryview(bytearray(READ))
    buffer: memoryview = _shared.buffer
    return buffer
