"""What a server offers and allows: the same for all its connections that stand alike.

Three values make a server's machine. :class:`~.ServerSettings` are the options: one value
for all connections. :class:`Terms` are what the options mean for a connection that stands as it
does now, for example with TLS and without a login: connections that stand alike share them.
:class:`~.server.ServerProtocol` is one connection: its state, with its terms at the moment
(:class:`~.server_state.ServerState`), and the octets that move it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from attrs import field, fields, frozen

from ..events import Question
from ..grammar.command_line import NOT_IMPLEMENTED
from ..grammar.domain import Domain, Host, to_ascii_host
from ..grammar.extension import EXTENSIONS, Extensions
from ..grammar.forms import FORMS, Form
from ..grammar.offer_rules import check_offer
from ..grammar.reply import Reply
from ..limits import REPLY_LINE, Limits
from ..option_types import checked
from . import server_replies
from .phases import COLUMNS, HELLO_FIRST, NO_SERVICE, Phase
from .settings import CommonOptions, CommonSettings
from .verbs import Verb, Vocabulary, vocabulary

_ALWAYS = (
    "PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "LIMITS", "ENHANCEDSTATUSCODES",
    "HELP",
)  # fmt: skip
_LARGEST_LIMIT = 999_999  # RFC 9422 3: at most six digits
_MOST_SHARED = 64  # terms that settings keep


class MachineOptions(CommonOptions, total=False):
    """The keyword arguments of :class:`~.server.ServerProtocol` that make its settings."""

    hostname: Host | str
    lmtp: bool
    submission: bool
    require_tls: bool
    require_auth: bool
    auth_in_clear: bool
    extensions: Mapping[str, str | None]


@checked
@frozen(kw_only=True)
class ServerSettings(CommonSettings):
    """The options of a server that its machines follow; connections share them."""

    _called: ClassVar[str] = "ServerProtocol"

    hostname: Host = field(default=Domain("localhost"), converter=to_ascii_host)
    """The server's name in greetings: for a public server, its DNS name."""
    lmtp: bool = False
    """Speak LMTP instead of SMTP (RFC 2033); not allowed on port 25."""
    submission: bool = False
    """Accept mail from users (RFC 6409), usually on port 587: requires AUTH, so it needs
    *authenticator*; requires fully qualified domains; offers DSN."""
    require_tls: bool = False
    """Answer 530 to commands before STARTTLS. Needs *context*."""
    require_auth: bool = False
    """Answer 530 to transactions before AUTH. Needs *authenticator*."""
    auth_in_clear: bool = False
    """Offer AUTH also without TLS."""
    extensions: Mapping[str, str | None] = field(factory=dict, metadata={"instead": '{"DSN": ""}'})
    """More EHLO keywords to offer, with their parameters (``{"DSN": ""}``); your handler must then
    honour them. None as parameters: do not offer this default keyword. What other options or hooks
    offer, such as AUTH, SIZE and EXPN, can only be withdrawn."""

    terms: dict[object, Any] = field(init=False, factory=dict, eq=False, repr=False)
    """The :class:`~.terms.Terms` of the connections so far, which further connections share."""


@checked
@frozen(eq=False, kw_only=True)
class Terms:
    """What the settings mean for a connection that stands like this one: what the server offers.

    Connections share their terms, so these know nothing of a client.
    """

    settings: ServerSettings
    starttls: bool = False
    """Whether STARTTLS is offered, until TLS is active."""
    secure: bool = False
    """Whether TLS is active."""
    mechanisms: tuple[str, ...] = ()
    """The SASL mechanisms to offer, without TLS only if the settings allow it."""
    offering: tuple[tuple[str, str | None], ...] = ()
    """Keywords with their parameters, to offer besides those of the settings."""
    authenticated: bool = False
    extended: bool = False
    """Whether the client said EHLO or LHLO, so that the offer is in force."""
    no_service: Reply | None = None
    """The reply to every command but QUIT, because TLS is too weak."""

    vocabulary: Vocabulary = field(init=False)
    expected: _Expected = field(init=False)
    """The commands that may come in each phase and have a common form, by their first four
    octets."""
    default_octets: dict[type[Question], bytes] = field(init=False, factory=dict)
    """The default replies to questions, as they are sent; those that were needed so far."""
    offered: Extensions = field(init=False)
    """The offer for the next EHLO."""
    negotiated: Extensions = field(init=False)
    """The offer in the reply to the last EHLO; empty after HELO."""
    _standing: dict[str, Any] = field(init=False)

    def __attrs_post_init__(self) -> None:
        put = object.__setattr__
        settings = self.settings
        put(self, "vocabulary", vocabulary(lmtp=settings.lmtp, own=settings.verbs))
        put(self, "offered", _offer(self))
        put(self, "negotiated", self.offered if self.extended else Extensions())
        put(self, "expected", _Expected(self))
        arguments = [it.name for it in fields(Terms) if it.init and it.name != "settings"]
        put(self, "_standing", {name: getattr(self, name) for name in arguments})

    def replace(self, **changes: Any) -> Terms:
        """Return the terms of a connection that stands like this one but for *changes*."""
        return terms_of(self.settings, self._standing | changes)


def terms_of(settings: ServerSettings, standing: dict[str, Any]) -> Terms:
    """Return the terms for a connection: those of one that stood alike, or new ones."""
    key = tuple(standing.values())  # always of the same names in the same order
    terms: Terms | None = settings.terms.get(key)
    if terms is None:
        terms = Terms(settings=settings, **standing)
        if len(settings.terms) >= _MOST_SHARED:
            settings.terms.clear()
        if terms.no_service is None:  # that is a reply of the application; there may be many
            settings.terms[key] = terms
    return terms


_ByOctets = dict[bytes, tuple[Verb, Form]]  # by the first four octets of the line


class _Expected(dict[Phase, _ByOctets]):
    """Finds the commands of a phase when they are needed first."""

    def __init__(self, terms: Terms) -> None:
        super().__init__()
        self._terms = terms

    def __missing__(self, phase: Phase) -> _ByOctets:
        found: _ByOctets = {}
        for name, verb in self._terms.vocabulary.verbs.items() if phase in COLUMNS else ():
            offered = self._terms.negotiated.parameters.get(name, frozenset())
            form = FORMS.get(verb.command)
            if form is None or not form.parameters <= offered:
                continue
            if check_order(self._terms, phase, name) is None:
                begins = name[:4].encode(), name[:4].lower().encode()
                found |= dict.fromkeys(begins, (verb, form))
        return self.setdefault(phase, found)  # another thread may have been faster


def check_order(terms: Terms, phase: Phase, name: str) -> Reply | None:
    """Check whether the verb *name* is allowed in *phase*, whatever its argument."""
    cell = terms.vocabulary.transitions[phase, name]
    refusal = None if isinstance(cell, Phase) else cell
    if refusal is NO_SERVICE:
        return refusal
    if terms.no_service is not None and name != "QUIT":
        return terms.no_service
    verb, settings = terms.vocabulary.verbs[name], terms.settings
    if settings.require_tls and not terms.secure and not verb.before_tls:
        return server_replies.NEED_TLS
    need_auth = settings.require_auth or settings.submission
    if need_auth and not terms.authenticated and not verb.before_auth:
        return server_replies.NEED_AUTH
    if verb.keyword is not None:
        return _check_available(terms, name, verb.keyword) or refusal
    return refusal


def _check_available(terms: Terms, name: str, keyword: str) -> Reply | None:
    """Check whether a verb that the extension *keyword* adds is available."""
    if name == "STARTTLS" and terms.secure:
        return server_replies.TLS_ACTIVE
    if name == "AUTH" and terms.authenticated:
        return server_replies.ALREADY_AUTHENTICATED
    if name == "AUTH" and terms.mechanisms and not (terms.secure or terms.settings.auth_in_clear):
        return server_replies.AUTH_NEEDS_TLS
    if keyword not in terms.offered:
        return NOT_IMPLEMENTED
    return None if keyword in terms.negotiated else HELLO_FIRST  # HELO negotiates nothing


def _offer(terms: Terms) -> Extensions:
    """Return the offer for the next EHLO. Raise ValueError if the options contradict each other or
    an RFC."""
    settings = terms.settings
    size = settings.limits.message_size
    keywords: dict[str, str | None] = dict.fromkeys(_ALWAYS, "")
    keywords["SIZE"] = "" if size is None else str(size)
    keywords["LIMITS"] = _limits_parameters(settings.limits)
    if settings.submission:
        keywords["DSN"] = ""
    if terms.starttls and not terms.secure:
        keywords["STARTTLS"] = ""
    if terms.mechanisms and (terms.secure or settings.auth_in_clear):
        keywords["AUTH"] = " ".join(terms.mechanisms)
    own = [verb.keyword or verb.command.verb for verb in settings.verbs]
    for keyword in own:
        keywords.setdefault(keyword, "")
    keywords |= {**dict(terms.offering), **settings.extensions}
    if not terms.secure:
        keywords["REQUIRETLS"] = None  # RFC 8689 2
    offered = {key: text for key, text in keywords.items() if text is not None}
    known = {key: text for key, text in offered.items() if key in EXTENSIONS or key not in own}
    check_offer(Extensions(known))
    _check_role(settings, offered)
    _check_lengths(Extensions(offered).lines())
    return Extensions(offered)


def _check_lengths(lines: Iterable[str]) -> None:
    """Raise ValueError for a line that would have to be folded: the client would read its second
    part as another keyword."""
    for line in lines:
        if len(f"250-{line}\r\n") > REPLY_LINE:
            keyword = line.partition(" ")[0]
            text = f"{keyword} has {len(line)} octets in the reply to EHLO; "
            raise ValueError(f"{text}at most {REPLY_LINE - 6} are allowed (RFC 5321 4.5.3.1.5)")


def _check_role(settings: ServerSettings, offered: Mapping[str, str]) -> None:
    """Raise ValueError if a submission or LMTP server must not, or must, offer a keyword."""
    if "ETRN" in offered and settings.submission:
        raise ValueError("ETRN is not offered by submission servers (RFC 6409 7)")
    if settings.lmtp and not offered.keys() >= {"PIPELINING", "ENHANCEDSTATUSCODES"}:
        raise ValueError("LMTP servers must offer PIPELINING and ENHANCEDSTATUSCODES (RFC 2033 5)")


def _limits_parameters(limits: Limits) -> str | None:
    """Return the parameters of LIMITS (RFC 9422), or None if there are none to announce."""
    known = {"RCPTMAX": limits.recipients, "MAILMAX": limits.transactions}
    announced = {name: n for name, n in known.items() if n is not None and n <= _LARGEST_LIMIT}
    return " ".join(f"{name}={n}" for name, n in announced.items()) or None
