"""SMTP for Python: one core without I/O for client and server, and thin adapters around it.

This module exports the names that programs need to compose, send and receive mail. The other public
modules are

* ``smtpproto.adapters.asyncio``, ``.trio`` and ``.blocking``: ``connect``, ``pool`` and ``serve``;
* ``smtpproto.commands`` and ``smtpproto.events``: the commands that the protocol machines take, and
  the events that they report;
* ``smtpproto.errors``, ``smtpproto.limits`` and ``smtpproto.replies``: the tree of exceptions; all
  bounds, time-outs and leniencies; ready-made replies for handlers, and ``suggested_path``;
* ``smtpproto.sasl``: SASL without SMTP;
* ``smtpproto.mail``: composing a message without I/O, preparing it, planning how to send it, and
  checking it;
* ``smtpproto.ports``, ``smtpproto.client``, ``smtpproto.server`` and ``smtpproto.protocol``: for
  adapters to other event loops, and for programs that drive the protocol machines themselves;
* ``smtpproto.dns``, ``smtpproto.dns_cache`` and ``smtpproto.adapters.dnspython``: what a resolver
  answers, and how it is asked; a cache of answers; a resolver that uses dnspython;
* ``smtpproto.mta``, ``smtpproto.transfer``, ``smtpproto.adapters.sqlite_queue`` and
  ``smtpproto.adapters.postgres_queue``: the routes, the queue and the handler of a mail agent
  (MTA), and queues in databases: one for a single process, one for many;
* ``smtpproto.delivery``, ``smtpproto.adapters.maildir``, ``.mbox`` and ``.pipe``: the last step of
  a message, into mailboxes and programs;
* ``smtpproto.filters``: milters, spamd and functions that look at what a mail agent takes;
* ``smtpproto.adapters.sqlite_states`` and ``smtpproto.adapters.postgres_states``: what guards of an
  MTA keep, in databases;
* ``smtpproto.policy``, ``smtpproto.adapters.cryptography_keys`` and ``.publicsuffixlist``: DKIM,
  SPF, DMARC and the policies for TLS; keys for signatures; a list of public suffixes;
* ``smtpproto.diagnosis``: what a failure or a reply means, who must act, and what to try;
* ``smtpproto.discovery``: the servers to which the owner of an address can submit mail;
* ``smtpproto.doctor``: what is wrong with the mail of a domain, and how to mend it;
* ``smtpproto.adapters.https``, ``smtpproto.adapters.sqlite_policies`` and
  ``smtpproto.adapters.cryptography_certificates``: what MTA-STS and DANE need: files by HTTPS, a
  place for policies, and certificates;
* ``smtpproto.adapters.django``: an email backend for Django;
* ``smtpproto.adapters.status_page`` and ``smtpproto.adapters.prometheus_client``: a page that shows
  what an MTA does, and metrics of it;
* ``smtpproto.testing``: tools for testing programs that send or receive mail.

Every other module is internal and may change at any time.
"""

# ruff: noqa: F403, F405 - type checkers read the packages with __all__ as a whole

import logging
from typing import TYPE_CHECKING

from .late_names import late_names

if TYPE_CHECKING:
    from .adapters.composing import Attachment, compose
    from .adapters.journal import Journal
    from .adapters.template import Template
    from .client import *
    from .diagnosis import Diagnosis
    from .errors import *
    from .grammar.address import ForwardPath, Mailbox, ReversePath
    from .grammar.command import Command
    from .grammar.domain import (
        AddressLiteral,
        Domain,
        GeneralLiteral,
        HelloHost,
        Host,
        MalformedHost,
    )
    from .grammar.dsn import Notify, OriginalRecipient, Ret
    from .grammar.envelope import Envelope
    from .grammar.extension import Extensions
    from .grammar.parameters import Body, MailParameters, RcptParameters
    from .grammar.reply import EnhancedCode, Reply
    from .grammar.scheduling import ByMode, DeliverBy, NoSupport, ValidSince
    from .grammar.secret import Secret
    from .limits import Leniencies, Limits, Timeouts, Tolerance
    from .mail import Plan, Source, lint, plan
    from .outcome import Outcome, RecipientReplies
    from .ports import Trace
    from .protocol import ClientProtocol, Phase, ServerProtocol, Verb
    from .sasl import *
    from .server import Handler, ServerConfig, ServerOptions, Session, Sink, Verdict, Verdicts
    from .tls.filter import TLSInfo
    from .tls.verify import ClientCertificate, TLSVerify
    from .wire.proxy import ProxyHeader, ProxyTLS
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            ".adapters.composing": "Attachment compose",
            ".adapters.journal": "Journal",
            ".adapters.template": "Template",
            ".client": (
                "Client ClientConfig ClientOptions ConnectOptions PoolConfig PoolOptions SendEvent "
                "SendResult TLSMode"
            ),
            ".diagnosis": "Diagnosis",
            ".errors": (
                "BadCredentials ConnectFailed ConnectionLost EncryptionRequired GrammarError "
                "LocalProtocolError LoginRefused NotOffered OutcomeUnknown Refusal "
                "RemoteProtocolError SendRefused SMTPError TimedOut TLSFailed TransportError"
            ),
            ".grammar.address": "ForwardPath Mailbox ReversePath",
            ".grammar.command": "Command",
            ".grammar.domain": "AddressLiteral Domain GeneralLiteral HelloHost Host MalformedHost",
            ".grammar.dsn": "Notify OriginalRecipient Ret",
            ".grammar.envelope": "Envelope",
            ".grammar.extension": "Extensions",
            ".grammar.parameters": "Body MailParameters RcptParameters",
            ".grammar.reply": "EnhancedCode Reply",
            ".grammar.scheduling": "ByMode DeliverBy NoSupport ValidSince",
            ".grammar.secret": "Secret",
            ".limits": "Leniencies Limits Timeouts Tolerance",
            ".mail": "Plan Source lint plan",
            ".outcome": "Outcome RecipientReplies",
            ".ports": "Trace",
            ".protocol": "ClientProtocol Phase ServerProtocol Verb",
            ".sasl": (
                "Anonymous Authenticator BearerToken Credential External HashedPasswords "
                "Identity Login PlainPasswords ScramKeys StoredKeys TokenClaim TokenRefused "
                "hash_password"
            ),
            ".server": "Handler ServerConfig ServerOptions Session Sink Verdict Verdicts",
            ".tls.filter": "TLSInfo",
            ".tls.verify": "ClientCertificate TLSVerify",
            ".wire.proxy": "ProxyHeader ProxyTLS",
            "": (
                "adapters client commands errors events limits mail mta policy ports protocol "
                "replies sasl server testing transfer"
            ),
        },
    )

__version__ = "0.1.0"

# A program that configures no logging gets no warnings on its standard error.
logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = [
    "AddressLiteral", "Anonymous", "Attachment", "Authenticator", "BadCredentials", "BearerToken",
    "Body", "ByMode", "Client", "ClientCertificate", "ClientConfig", "ClientOptions",
    "ClientProtocol", "Command", "ConnectFailed", "ConnectOptions", "ConnectionLost", "Credential",
    "DeliverBy", "Diagnosis", "Domain", "EncryptionRequired", "EnhancedCode", "Envelope",
    "Extensions", "External", "ForwardPath", "GeneralLiteral", "GrammarError", "Handler",
    "HashedPasswords", "HelloHost", "Host", "Identity", "Journal", "Leniencies", "Limits",
    "LocalProtocolError", "Login", "LoginRefused", "MailParameters", "Mailbox", "MalformedHost",
    "NoSupport", "NotOffered", "Notify", "OriginalRecipient", "Outcome", "OutcomeUnknown", "Phase",
    "PlainPasswords", "Plan", "PoolConfig", "PoolOptions", "ProxyHeader", "ProxyTLS",
    "RcptParameters", "RecipientReplies", "Refusal", "RemoteProtocolError", "Reply", "Ret",
    "ReversePath", "SMTPError", "ScramKeys", "Secret", "SendEvent", "SendRefused", "SendResult",
    "ServerConfig", "ServerOptions", "ServerProtocol", "Session", "Sink", "Source", "StoredKeys",
    "TLSFailed", "TLSInfo", "TLSMode", "TLSVerify", "Template", "TimedOut", "Timeouts",
    "TokenClaim", "TokenRefused", "Tolerance", "Trace", "TransportError", "ValidSince", "Verb",
    "Verdict", "Verdicts", "__version__", "compose", "hash_password", "lint", "plan",
]  # fmt: skip
