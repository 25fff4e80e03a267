"""SMTP for Python: one core without I/O for client and server, and thin adapters around it.

The names below are the public ones, ring by ring; ``smtpproto.adapters`` has ``connect``,
``pool`` and ``serve`` for asyncio, trio and blocking sockets.
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
from .mail.content import Source
from .mail.envelope import Envelope
from .mail.lint import lint
from .mail.plan import Plan, plan
from .ports import Trace
from .protocol.client import ClientProtocol
from .protocol.server import ServerProtocol
from .protocol.verbs import Verb
from .sasl import (
    Anonymous,
    BearerToken,
    Credential,
    External,
    HashedPasswords,
    Identity,
    Login,
    ScramKeys,
    StoredKeys,
    TokenClaim,
    TokenRefused,
    Verifier,
    hash_password,
)
from .secret import Secret
from .session.client import Client
from .session.client_config import ClientConfig, ClientOptions, TLSMode
from .session.handler import Handler, Session, Sink
from .session.outcome import Outcome
from .session.pool import PoolOptions
from .session.server_config import ServerConfig, ServerOptions
from .wire.proxy import ProxyHeader
from .wire.tls_filter import TLSInfo
from .wire.verify import ClientCertificate, Verify

__all__ = [
    "AddressLiteral",
    "Anonymous",
    "BadCredentials",
    "BearerToken",
    "Body",
    "Client",
    "ClientCertificate",
    "ClientConfig",
    "ClientOptions",
    "ClientProtocol",
    "Command",
    "ConnectFailed",
    "ConnectionLost",
    "Credential",
    "DeliverBy",
    "Domain",
    "EncryptionRequired",
    "EnhancedCode",
    "Envelope",
    "Extensions",
    "External",
    "ForwardPath",
    "GrammarError",
    "Handler",
    "HashedPasswords",
    "Identity",
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
    "PoolOptions",
    "ProxyHeader",
    "RcptParameters",
    "Refusal",
    "RemoteProtocolError",
    "Reply",
    "Ret",
    "ReversePath",
    "SMTPError",
    "ScramKeys",
    "Secret",
    "SendRefused",
    "ServerConfig",
    "ServerOptions",
    "ServerProtocol",
    "Session",
    "Sink",
    "Source",
    "StoredKeys",
    "TLSFailed",
    "TLSInfo",
    "TLSMode",
    "TimedOut",
    "Timeouts",
    "TokenClaim",
    "TokenRefused",
    "Tolerance",
    "Trace",
    "TransportError",
    "Verb",
    "Verifier",
    "Verify",
    "hash_password",
    "lint",
    "plan",
]
