"""ANONYMOUS (RFC 4505): anybody may come in, and can leave a trace."""

from __future__ import annotations

from attrs import define, field

from ..errors import GrammarError
from ..grammar.secret import Secret
from ..ports import result
from .authenticator import Authenticator
from .credentials import Anonymous
from .exchange import Channel, Denied, Identity
from .prepare import check_trace
from .single_message import OneMessage

_LONGEST = 255  # characters (RFC 4505 2)


class AnonymousClient(OneMessage):
    """The client's side: the trace, or nothing. Raises GrammarError for one of more than 255
    characters, or with some that RFC 4505 3 prohibits."""

    def __init__(self, credential: Anonymous, channel: Channel) -> None:
        super().__init__("ANONYMOUS", Secret(_checked(credential.trace)))


@define(eq=False)
class AnonymousServer:
    """The server's side. Who comes in is called ``anonymous``; the trace, which proves nothing, the
    authenticator alone learns."""

    authenticator: Authenticator = field(repr=False)
    channel: Channel

    async def step(self, response: Secret | None) -> bytes | Identity | Denied:
        """Ask the authenticator.

        Raises GrammarError if the trace is not UTF-8, is longer than 255 characters, or contains
        characters that RFC 4505 3 prohibits.
        """
        if response is None:
            return b""
        try:
            trace = _checked(response.reveal().decode())
        except UnicodeDecodeError:
            raise GrammarError("not UTF-8") from None
        if await result(self.authenticator.allow_anonymous(trace)) is True:
            return Identity("anonymous", mechanism="ANONYMOUS")
        return Denied(f"nobody without a name: {trace!r}")


def _checked(trace: str) -> str:
    """Addresses are not looked into (RFC 4505 2): the trace means something to people only."""
    if len(trace) > _LONGEST:
        raise GrammarError("a trace of more than 255 characters")
    check_trace(trace)
    return trace
