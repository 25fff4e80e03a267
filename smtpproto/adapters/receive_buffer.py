"""Where octets are received by asyncio, which reads into a buffer that it is given."""

from __future__ import annotations

import sys
import threading

from ..limits import CHUNK

_shared = threading.local()


def receive_buffer() -> memoryview:
    """Where octets are received: one buffer for all streams of a loop, since they are copied out
    before the next read, and a buffer each would be most of what an idle connection costs. Loops
    of other threads have their own, and a proactor, which reads in the background, one a stream."""
    if sys.platform == "win32" or not hasattr(_shared, "buffer"):
        _shared.buffer = memoryview(bytearray(CHUNK))
    buffer: memoryview = _shared.buffer
    return buffer
