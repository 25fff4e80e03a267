"""SMTP for Python: one core without I/O for client and server, and thin adapters around it.

The names below are the public ones, ring by ring; ``smtpproto.adapters`` has ``connect`` and
``serve`` for asyncio, trio and blocking sockets.
"""

from .errors import (
    ConnectFailed,
    ConnectionLost,
    GrammarError,
    LocalProtocolError,
    NotOffered,
    Refusal,
    RemoteProtocolError,
    SendRefused,
    SMTPError,
    TimedOut,
    TLSFailed,
    TransportError,
)
from .grammar.address import ForwardPath, Mailbox, ReversePath
from .grammar.domain import AddressLiteral, Domain
from .grammar.extension import Extensions
from .grammar.parameters import Body, MailParameters, RcptParameters
from .grammar.reply import Reply
from .grammar.status import EnhancedCode
from .limits import Limits, Timeouts
from .mail.envelope import Envelope
from .protocol.client import ClientProtocol
from .protocol.server import ServerProtocol
from .sasl import Credentials, Login
from .secret import Secret
from .session.client import Client
from .session.handler import Handler, Session, Sink
from .session.options import ClientConfig, ServerConfig, TLSMode
from .session.outcome import Outcome

__all__ = [
    "AddressLiteral",
    "Body",
    "Client",
    "ClientConfig",
    "ClientProtocol",
    "ConnectFailed",
    "ConnectionLost",
    "Credentials",
    "Domain",
    "EnhancedCode",
    "Envelope",
    "Extensions",
    "ForwardPath",
    "GrammarError",
    "Handler",
    "Limits",
    "LocalProtocolError",
    "Login",
    "MailParameters",
    "Mailbox",
    "NotOffered",
    "Outcome",
    "RcptParameters",
    "Refusal",
    "RemoteProtocolError",
    "Reply",
    "ReversePath",
    "SMTPError",
    "Secret",
    "SendRefused",
    "ServerConfig",
    "ServerProtocol",
    "Session",
    "Sink",
    "TLSFailed",
    "TLSMode",
    "TimedOut",
    "Timeouts",
    "TransportError",
]
