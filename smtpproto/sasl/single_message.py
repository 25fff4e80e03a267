"""The client's side of mechanisms in which the client sends a single message."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from attrs import define, field

from ..errors import RemoteProtocolError
from ..grammar.secret import Secret


@define(eq=False)
class SingleMessageClient:
    """The client's side of a mechanism with a single message."""

    mechanism: str
    message: Secret
    details: Mapping[str, str] = field(default=MappingProxyType({}), init=False)
    _initial_requested: bool = field(default=False, init=False)

    def initial(self) -> Secret:
        """Return the message."""
        return self.message

    def step(self, challenge: bytes) -> Secret:
        """Return the message again for one empty challenge, which asks for the initial response.

        Raises RemoteProtocolError for any other challenge.
        """
        if challenge or self._initial_requested:
            raise RemoteProtocolError(
                f"the server sent a challenge in {self.mechanism}, which has none"
            )
        self._initial_requested = True
        return self.message

    def finish(self) -> None:
        """Do nothing: the server proves nothing in these mechanisms."""
