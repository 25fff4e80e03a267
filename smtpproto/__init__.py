"""SMTP for Python: one core without I/O for client and server, and thin adapters around it.

The names below are the public ones, ring by ring; ``smtpproto.adapters`` has ``connect``,
``pool`` and ``serve`` for asyncio, trio and blocking sockets.
"""

from .client.config import ClientConfig, ClientOptions, TLSMode
from .client.connection import Client
from .client.pool import PoolOptions
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
from .grammar.domain import AddressLiteral, Domain
from .grammar.dsn import Notify, OriginalRecipient, Ret
from .grammar.envelope import Envelope
from .grammar.extension import Extensions
from .grammar.parameters import Body, MailParameters, RcptParameters
from .grammar.reply import EnhancedCode, Reply
from .grammar.scheduling import DeliverBy
from .grammar.secret import Secret
from .limits import Leniencies, Limits, Timeouts, Tolerance
from .mail.lint import lint
from .mail.plan import Plan, plan
from .mail.preparation import Source
from .outcome import Outcome
from .ports import Trace
from .protocol.client import ClientProtocol
from .protocol.server import ServerProtocol
from .protocol.verbs import Verb
from .sasl import (
    Anonymous,
    Authenticator,
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
    hash_password,
)
from .server.config import ServerConfig, ServerOptions
from .server.handler import Handler, Session, Sink
from .tls.filter import TLSInfo
from .tls.verify import ClientCertificate, TLSVerify
from .wire.proxy import ProxyHeader

__all__ = [
    "AddressLiteral",
    "Anonymous",
    "Authenticator",
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
    "TLSVerify",
    "TimedOut",
    "Timeouts",
    "TokenClaim",
    "TokenRefused",
    "Tolerance",
    "Trace",
    "TransportError",
    "Verb",
    "hash_password",
    "lint",
    "plan",
]
