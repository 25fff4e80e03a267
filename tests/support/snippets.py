"""What snippets of documents need to reach servers of a test."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

_resolve = socket.getaddrinfo


def dialling_to(port: int) -> Callable[..., Any]:
    """Return a ``getaddrinfo`` for which every name and port is *port* of this host."""

    def getaddrinfo(host: str, _: int, **options: Any) -> Any:
        return _resolve("127.0.0.1", port, **options)

    return getaddrinfo
