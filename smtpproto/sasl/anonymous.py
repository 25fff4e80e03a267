"""ANONYMOUS (RFC 4505): a login without credentials, which can leave a trace."""

from __future__ import annotations

from attrs import define, field

from ..errors import GrammarError
from ..grammar.secret import Secret
from .authenticator import Authenticator, ask
from .credentials import Anonymous
from .exchange import Channel, Denied, Identity
from .prepare import check_trace
from .single_message import SingleMessageClient

_MAX_TRACE = 255  # characters (RFC 4505 2)


class AnonymousClient(SingleMessageClient):
    """The client's side: the trace, or an empty message.

    Raises GrammarError for a trace of more than 255 characters, or with characters that RFC 4505 3
    prohibits.
    """

    def __init__(self, credential: Anonymous, channel: Channel) -> None:
        super().__init__("ANONYMOUS", Secret(_valid_trace(credential.trace)))


@define(eq=False)
class AnonymousServer:
    """The server's side.

    The user is called ``anonymous``. Only the authenticator gets the trace, which proves nothing.
    """

    authenticator: Authenticator = field(repr=False)
    channel: Channel

    async def step(self, response: Secret | None) -> bytes | Identity | Denied:
        """Ask the authenticator whether an anonymous client may log in.

        Raises GrammarError if the trace is not UTF-8, is longer than 255 characters, or contains
        characters that RFC 4505 3 prohibits.
        """
        if response is None:
            return b""
        try:
            trace = _valid_trace(response.reveal().decode())
        except UnicodeDecodeError:
            raise GrammarError("not UTF-8") from None
        if await ask(self.authenticator.allow_anonymous, trace) is True:
            return Identity("anonymous", mechanism="ANONYMOUS")
        return Denied(f"anonymous login not allowed, trace: {trace!r}")


def _valid_trace(trace: str) -> str:
    """Return *trace* if it is valid. Its form as an address or token is not checked: only people
    read it (RFC 4505 2)."""
    if len(trace) > _MAX_TRACE:
        raise GrammarError(f"a trace of {len(trace)} characters; at most 255 are allowed")
    check_trace(trace)
    return trace
