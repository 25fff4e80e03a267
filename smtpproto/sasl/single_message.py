"""Mechanisms in which a client says all in one message."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from attrs import define, field

from ..errors import RemoteProtocolError
from ..grammar.secret import Secret


@define(eq=False)
class OneMessage:
    """The client's side of such a mechanism."""

    mechanism: str
    message: Secret
    details: Mapping[str, str] = field(default=MappingProxyType({}), init=False)
    _asked: bool = field(default=False, init=False)

    def initial(self) -> Secret:
        """The message."""
        return self.message

    def step(self, challenge: bytes) -> Secret:
        """The same message, to the empty challenge of a server that wants it asked for."""
        if challenge or self._asked:
            raise RemoteProtocolError(f"a challenge in {self.mechanism}, which has none")
        self._asked = True
        return self.message

    def finish(self) -> None:
        """Nothing is proved to a client."""
