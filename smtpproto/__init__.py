"""SMTP for Python: one core without I/O for client and server, and thin adapters around it.

The names below are the public ones, ring by ring; ``smtpproto.adapters`` has ``connect`` and
``serve`` for asyncio, trio and blocking sockets.
"""

from .errors import (
    BadCredentials,
    ConnectFailed,
    ConnectionLost,
    EncryptionRequired,
    GrammarError,
    LocalProtocolError,
    LoginRefused,
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
from .grammar.command import Command
from .grammar.delivery import DeliverBy
from .grammar.domain import AddressLiteral, Domain
from .grammar.dsn import Notify, OriginalRecipient, Ret
from .grammar.extension import Extensions
from .grammar.parameters import Body, MailParameters, RcptParameters
from .grammar.reply import Reply
from .grammar.status import EnhancedCode
from .limits import Leniencies, Limits, Timeouts, Tolerance
from .mail.envelope import Envelope
from .mail.lint import lint
from .mail.plan import Plan, plan
from .protocol.client import ClientProtocol
from .protocol.server import ServerProtocol
from .protocol.verbs import Verb
from .sasl import Credentials, Login
from .secret import Secret
from .session.client import Client
from .session.handler import Handler, Session, Sink
from .session.options import ClientConfig, ServerConfig, TLSMode
from .session.outcome import Outcome
from .wire.proxy import ProxyHeader

__all__ = [
    "AddressLiteral",
    "BadCredentials",
    "Body",
    "Client",
    "ClientConfig",
    "ClientProtocol",
    "Command",
    "ConnectFailed",
    "ConnectionLost",
    "Credentials",
    "DeliverBy",
    "Domain",
    "EncryptionRequired",
    "EnhancedCode",
    "Envelope",
    "Extensions",
    "ForwardPath",
    "GrammarError",
    "Handler",
    "Leniencies",
    "Limits",
    "LocalProtocolError",
    "Login",
    "LoginRefused",
    "MailParameters",
    "Mailbox",
    "NotOffered",
    "Notify",
    "OriginalRecipient",
    "Outcome",
    "Plan",
    "ProxyHeader",
    "RcptParameters",
    "Refusal",
    "RemoteProtocolError",
    "Reply",
    "Ret",
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
    "Tolerance",
    "TransportError",
    "Verb",
    "lint",
    "plan",
]
