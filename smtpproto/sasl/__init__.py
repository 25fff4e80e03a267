"""Ring 2: SASL (RFC 4422), both sides, without base64 and without SMTP.

A mechanism is a module: an exchange object for each side, and a row in :data:`CLIENTS` and
:data:`SERVERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .exchange import ClientExchange, Credentials, Login, ServerExchange
from .plain import PlainClient, PlainServer

__all__ = ["CLIENTS", "SERVERS", "ClientExchange", "Credentials", "Login", "ServerExchange"]

CLIENTS: Mapping[str, Callable[[Login], ClientExchange]] = {"PLAIN": PlainClient}
"""What a client can do, the strongest first."""

SERVERS: Mapping[str, Callable[[], ServerExchange]] = {"PLAIN": PlainServer}
"""What a server can do, the strongest first."""
