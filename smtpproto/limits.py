"""Ring 0: every bound and every named leniency, with its default, its RFC section and its reason.

The constants are fixed. Users set :class:`Limits`, :class:`ScheduleLimits`, :class:`Timeouts` and
:class:`Leniencies`. Sizes are in octets, times in seconds.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

from attrs import asdict, field, frozen
from attrs.validators import ge, gt, optional

from .option_types import checked

__all__ = [
    "CHUNK", "Leniencies", "Limits", "ScheduleLimits", "Timeouts", "Tolerance",
]  # fmt: skip

LOCAL_PART = 64  # RFC 5321 4.5.3.1.1
DOMAIN = 255  # RFC 5321 4.5.3.1.2
LABEL = 63  # RFC 1035 2.3.4
PATH = 256  # RFC 5321 4.5.3.1.3, including the brackets
COMMAND_LINE = 512  # RFC 5321 4.5.3.1.4, including CRLF; extensions add to it
REPLY_LINE = 512  # RFC 5321 4.5.3.1.5, including CRLF
TEXT_LINE = 1000  # RFC 5321 4.5.3.1.6, including CRLF
BULK_RETRIES = (60.0, 300.0, 900.0)
"""Seconds after which a bulk run tries again what was refused for now."""
CHUNK_SIZE_DIGITS = 20  # of the size in BDAT; enough for any 64-bit number
SCRAM_DEFAULT_ITERATIONS = 10_000  # of new keys; a login then costs each side some milliseconds
SCRAM_ITERATIONS = (4096, 1_000_000)  # fewest (RFC 5802 5.1) and most (to protect our CPU)
REMEMBERED_NETWORKS = 10_000  # whose failed logins a server counts; it forgets the oldest first
REFUSED_RECIPIENTS = 1000  # the least default of Limits.refused_recipients
CHUNK = 131072
"""The most octets in one slice of content; larger ones cause page faults."""
REMEMBERED_DESTINATIONS = 10_000  # idle ones of a schedule; it forgets the oldest first
REMEMBERED_HOPS = 10_000  # addresses that failed lately; if there are more, all are forgotten
EXCLUDED_LANES = 1000  # that a schedule names to the store, which passes over them in a claim
MX_HOSTS = 50  # exchangers of one domain whose addresses are looked up
MX_FAILURES = 5  # of these, those whose look-up fails, which takes long; then no more are looked up
HOST_ADDRESSES = 32  # of one exchanger, both families together
REPORT_RECIPIENTS = 500  # of one delivery report; for more there are several
TAG_LIST = 65536  # of a signature, or of a DNS record, which cannot be longer
ADDRESSES_TRIED = 5  # in one attempt to deliver; RFC 5321 5.1 wants at least two
ADDRESSES_BEFORE_NEXT = 2  # of one host, before the next host has a turn
SPF_TERMS = 10  # of all records of a check, those that ask the DNS; RFC 7208 4.6.4
SPF_VOIDS = 2  # of these, those for which there is nothing in the DNS; RFC 7208 4.6.4
SPF_EXCHANGERS = 10  # of a term with mx; RFC 7208 4.6.4
SPF_POINTERS = 10  # names of a client that are considered; RFC 7208 4.6.4
SPF_RECORD = 8192  # octets of a record; RFC 7208 3.4 wants at most 450
FROM_FIELD = 8192  # octets of a From field that is read; each address takes a while
RESULT_FIELD = 65536  # characters of a field that is read: Authentication-Results, Received-SPF
PROXY_ANSWER = 65536  # octets of the head of an HTTP proxy's answer
SUBMISSION_SERVERS = 10  # of a domain, of those that its SRV records name
DOCTOR_HOSTS = 5  # that take mail, at which the doctor looks
DNS_QUESTIONS = 400  # about one domain or message; SPF alone may need 123
DOCTOR_SECONDS = 180.0  # for one domain
PROBE_SECONDS = 120.0  # for one server
SPF_EXPLANATION = 1000  # octets of an explanation, which must fit into a reply
STS_POLICY = 65536  # octets of a policy; RFC 8461 3.3
STS_MAX_AGE = 31_557_600  # seconds for which a policy is kept; RFC 8461 3.2
STS_POLICIES = 10_000  # domains whose policies are kept
KEPT_STATES = 100_000  # of each kind that guards keep: buckets, triplets of greylisting
STATE_NAME = 200  # characters of a name that such a state has; of longer ones a hash is kept
TLS_REPORT = 4 * 1024 * 1024  # octets of a report about TLS, unpacked
TLS_REPORT_ENTRIES = 10_000  # policies and failures of a report that is read
TLS_REPORT_DOMAINS = 10_000  # for which reports are collected
TLS_REPORT_POLICIES = 20  # of a domain, which may change them at any time
TLS_REPORT_FAILURES = 100  # kinds of failures of a policy that are collected
TLSA_RECORDS = 64  # of a host that are considered
READ = CHUNK - 8  # octets read at once: with what was held back of the last slice, one slice
FEW = 16384  # octets read at once where few are expected; a buffer for more is slow to make

# A socket that is closed while octets of the peer are unread resets the connection, and the peer
# may lose the last reply. So a server ends its own direction first, and discards what still
# arrives: until the client's end, until nothing comes for a while, or up to a limit.
LINGER = 2.0  # seconds at most
LINGER_QUIET = 0.5  # seconds without an octet
LINGER_OCTETS = 4 * 1024 * 1024

MAX_TIMEOUT = 10**8  # seconds; sockets do not accept infinity, so None means no limit


def _none_or_at_least(least: int) -> Callable[[Any, Any, Any], None]:
    return optional(ge(least))


@checked
@frozen(kw_only=True)
class Limits:
    """Bounds on what a peer can make the library hold or do. Sizes are in octets."""

    message_size: int | None = 32 * 1024 * 1024
    """The largest content of a message that a server accepts, at least 64 KiB (RFC 5321 4.5.3.1.7).
    None: no limit, and the server offers SIZE without a number."""
    recipients: int = field(default=1000, validator=ge(1))
    """The recipients of a transaction that a server accepts; it refuses more with 452. RFC 5321
    4.5.3.1.8 requires at least 100; a server with fewer announces LIMITS RCPTMAX (RFC 9422)."""
    transactions: int | None = field(default=None, validator=optional(ge(1)))
    """The MAIL commands that a server accepts on a connection; it answers the next with 421.
    Announced as LIMITS MAILMAX (RFC 9422). None: no limit."""
    auth_line: int = field(default=12288, validator=ge(512))
    """The longest line of an AUTH exchange, in base64 and including CRLF (RFC 4954 4)."""
    errors: int = field(default=50, validator=ge(3))
    """The commands and messages that a server refuses on a connection without accepting a message;
    it answers the next with 421 4.7.0 (RFC 5321 3.8). All negative replies count, also those of
    your hooks, except those that the next two limits and :attr:`failed_logins` count. In LMTP a
    message counts once, if no recipient accepts it. Postfix closes after 20."""
    refused_recipients: int | None = field(default=None, validator=optional(ge(1)))
    """The recipients that a server refuses on a connection without accepting a message; it answers
    the next with 421 4.7.0. Without this limit a client could try addresses for ever. None: as many
    as :attr:`recipients`, but at least 1000, because mailing lists have many addresses that no
    longer exist."""
    junk_commands: int = field(default=200, validator=ge(3))
    """The commands that bring no message nearer (EHLO, RSET, NOOP, VRFY, EXPN, HELP, ETRN, an empty
    BDAT, all that is refused with 503) on a connection without accepting a message; the server
    answers the next with 421 4.7.0. A client may still send NOOP between messages, or pipeline
    commands after one that is refused. Postfix allows 100."""
    discarded_content: int = field(default=32 * 1024 * 1024, validator=ge(0))
    """The octets of refused content that a server reads and discards on a connection without
    accepting a message. A client sends all of a message before it reads the refusal (RFC 5321
    4.1.1.4, RFC 3030 2). If more is sent, the server sends the refusal at once, then 421 4.7.0, and
    closes."""
    connections: int | None = field(default=10_000, validator=_none_or_at_least(1))
    """The open connections of a server in all; it greets the next with 421 and closes (RFC 5321
    3.1, 3.8), or with implicit TLS closes at once. No hook is called for it. None: no limit.
    Postfix allows 100, each with a process of its own."""
    connections_per_network: int | None = field(default=None, validator=optional(ge(1)))
    """The open connections from one client network; the server greets the next with 421 and closes,
    or answers XCLIENT like that. None: half of :attr:`connections`, as in Postfix, so that no
    network can shut out all others. The client is the one that PROXY or XCLIENT states. Clients
    without an address (on a Unix socket) and peers in ``proxied_by``, ``xclient_from`` and
    ``xforward_from`` have no such limit."""
    network_prefixes: tuple[int, int] = (32, 64)
    """The bits of an IPv4 and of an IPv6 address that make a client network. 32 counts each IPv4
    address alone; 64 is the network of one link, in which a host can take any address (RFC 4291
    2.5.4)."""
    memory: int | None = field(default=256 * 1024 * 1024, validator=_none_or_at_least(65536))
    """The octets of content that a server holds in memory for the hook ``message``, on all
    connections together. It refuses a message beyond that with 452 4.3.1 (RFC 5321 4.2.3), or with
    552 5.3.4 if the message alone is larger. Sinks of your own are not counted. None: no limit."""
    content_rate: int | None = field(default=500, validator=_none_or_at_least(1))
    """The octets of content that a client must send per second, on average, after the first
    :attr:`Timeouts.content` seconds; a slower one gets 421 4.4.2. The average is that of all
    content since the last accepted message, without the time that hooks take. Postfix has the
    same. None: no limit."""
    failed_logins: int = field(default=3, validator=ge(3))
    """The failed logins after which a server closes the connection with 421; at least 3 (RFC 4954
    9)."""
    failed_login_delay: float = field(default=1.0, validator=ge(0))
    """The seconds that a server waits before it answers a failed login."""
    failed_logins_per_network: int = field(default=30, validator=ge(3))
    """The failed logins from one client network within :attr:`failed_login_period` after which a
    server answers AUTH with 421 4.7.0, on all connections from there. Networks are those of
    :attr:`connections_per_network`. Without it, a client that guesses passwords would only have to
    connect again (RFC 4954 9)."""
    failed_login_period: float = field(default=600.0, validator=ge(0))
    """The seconds after the first failed login of a network in which its failed logins count."""
    reply_line: int = field(default=12300, validator=ge(REPLY_LINE))
    """The longest line of a reply that a client accepts. Some servers exceed the RFC's 512, and a
    SASL challenge may have 12288 (RFC 4954 4)."""
    reply: int = field(default=256 * 1024, validator=ge(65536))
    """The longest reply that a client accepts, all lines together."""
    window: int = field(default=16384, validator=ge(1024))
    """The commands that a client sends ahead of their replies (RFC 2920 3.1), in octets. Without
    this limit client and server could deadlock, each waiting for the other to read."""

    @property
    def connections_of_one_network(self) -> int | None:
        """:attr:`connections_per_network`, or its default."""
        if self.connections_per_network is not None or self.connections is None:
            return self.connections_per_network
        return max(self.connections // 2, 1)

    def __attrs_post_init__(self) -> None:
        if self.message_size is not None and self.message_size < 65536:
            raise ValueError(
                f"message_size must be 65536 octets or more (RFC 5321 4.5.3.1.7), "
                f"not {self.message_size}"
            )
        sizes: tuple[int, ...] = self.network_prefixes
        if len(sizes) != 2 or not (0 <= sizes[0] <= 32 and 0 <= sizes[1] <= 128):
            raise ValueError(f"network_prefixes must be 0 to 32, and 0 to 128 bits, not {sizes}")


@checked
@frozen(kw_only=True)
class ScheduleLimits:
    """Bounds on what a mail agent works on at the same time. Times are in seconds."""

    active: int = field(default=10_000, validator=ge(1))
    """The recipients in memory: those that wait for a connection, and those that have one. All
    others are in the queue's store. Postfix has 20,000."""
    active_per_destination: int = field(default=2000, validator=ge(1))
    """The recipients in memory for one destination. A destination also gets no more than what is
    still free of :attr:`active`, and each origin of messages at most three times as many as are
    still free of its destination. So none of them can shut out the others."""
    connections: int = field(default=100, validator=ge(0))
    """The transactions at the same time; 0 leaves all to other processes, which share the queue.
    Destinations that have failed since they last answered get at most half of them, because a host
    that does not answer holds its connections longest."""
    window: int = field(default=5, validator=ge(1))
    """The transactions at the same time with a destination that is new, or answers again."""
    largest_window: int = field(default=20, validator=ge(1))
    """The transactions at the same time with one destination, of all processes that share a queue
    together. The number grows by one when all
    transactions of a window have succeeded, and shrinks by one when as many have failed."""
    recipients: int = field(default=50, validator=ge(1))
    """The recipients of a transaction."""
    pause: float = field(default=60, validator=gt(0))
    """How long a destination gets no connection after all that were open to it have failed. Then
    one transaction finds out whether it answers; if not, the pause doubles."""
    longest_pause: float = field(default=3600, validator=gt(0))
    """The longest such pause. RFC 5321 4.5.4.1 wants 30 minutes between attempts at a host that
    does not answer, or a cleverer scheme."""

    def __attrs_post_init__(self) -> None:
        if self.largest_window < self.window:
            raise ValueError("largest_window must not be less than window")
        if self.longest_pause < self.pause:
            raise ValueError("longest_pause must not be less than pause")


@checked
@frozen(kw_only=True)
class Timeouts:
    """How many seconds to wait in each phase (RFC 5321 4.5.3.2). None: no limit."""

    connect: float | None = 60
    """Client: opening the connection, for all addresses of the name together."""
    tls: float | None = 120
    """Client and server: the TLS handshake."""
    greeting: float | None = 300
    """Client: the greeting of the server."""
    hello: float | None = 300
    """Client: the reply to EHLO, HELO or LHLO."""
    auth: float | None = 300
    """Client: the reply to AUTH, and to each response."""
    mail: float | None = 300
    """Client: the reply to MAIL."""
    rcpt: float | None = 300
    """Client: the reply to RCPT."""
    data: float | None = 120
    """Client: the reply to DATA."""
    block: float | None = 180
    """Client: sending each block of the content."""
    final: float | None = 600
    """Client: the reply to the end of the content. A short time causes duplicates, because the
    server may have accepted the message."""
    other: float | None = 300
    """Client: the reply to any other command."""
    quit: float | None = 10
    """Client: the reply to QUIT."""
    total: float | None = None
    """Client: a whole operation, in addition to the time of each phase. Opening (connection, TLS,
    login) is one operation; so is each message and each command. After this time the client reads
    no more replies."""
    proxy: float | None = 30
    """Server: the whole header of a proxy."""
    command: float | None = 300
    """Server: the whole next command, or the next block of a message (RFC 5321 4.5.3.2.7); then it
    sends 421 4.4.2. Also the client's reading of replies."""
    content: float | None = 300
    """Server: the content, in addition to the time that it takes at :attr:`Limits.content_rate`.
    None: the rate does not matter."""
    session: float | None = 3600
    """Server: all that a client does before and between messages, since the connection began or its
    last message was accepted. Then the server sends 421 4.4.2. Waiting for content is not counted
    here, nor what hooks take. So a client that sends mail can stay for ever, and one that sends
    commands as slowly as :attr:`command` permits cannot."""
    hook: float | None = 110
    """Server: each ``async`` call of a hook, a sink's method or the authenticator, except *commit*.
    Then it is cancelled, and the client receives 451 4.3.0, or 454 4.7.0 for a login. The default
    is below the shortest time that clients wait, two minutes for the reply to DATA (RFC 5321
    4.5.3.2.4). A plain call cannot be interrupted; one that took longer is logged."""
    hooks: float | None = 3600
    """Server: all calls together of hooks, sinks and the authenticator for a connection, since it
    began or its last message was accepted. Then the server sends 421 4.4.2, but never within a
    message. A client that pipelines thousands of recipients and goes away cannot keep a slow hook
    busy for days: for each connection the server makes one call at a time, and reads nothing more
    (at most 128 KiB) until it has handled what it has read."""
    commit: float | None = 300
    """Server: each ``async`` call that accepts a message: the hook *message* or a sink's *commit*,
    and each verdict of LMTP. Then it is cancelled, and the client receives 451 4.3.0. Clients wait
    ten minutes (RFC 5321 4.5.3.2.6), and send again what was not answered (RFC 5321 6.1)."""

    def __attrs_post_init__(self) -> None:
        for name, seconds in asdict(self).items():
            if seconds is not None and not 0 <= seconds <= MAX_TIMEOUT:
                raise ValueError(
                    f"{name} must be None or 0 to {MAX_TIMEOUT} seconds, not {seconds}"
                )


class Tolerance(enum.Enum):
    """How to treat a particular violation of the grammar."""

    ACCEPT = "accept"
    REPORT = "accept and report"
    REJECT = "reject"


@checked
@frozen(kw_only=True)
class Leniencies:
    """Violations of the grammar that can be accepted from a peer.

    The defaults follow the RFCs. Where the RFCs leave a choice, common and harmless violations
    are accepted. No leniency changes where a command or a message ends. *Server* and *Client* begin
    the texts of leniencies that only one of them has.
    """

    trailing_blanks: Tolerance = Tolerance.ACCEPT
    """SP or HTAB at the end of a command line (RFC 5321 4.1.1: SHOULD be tolerated)."""
    extra_blanks: Tolerance = Tolerance.REPORT
    """More than one space where the grammar has one, for example two after ``RCPT``. Harmless."""
    space_after_colon: Tolerance = Tolerance.REPORT
    """``MAIL FROM: <a@b.test>``, as some devices and scripts write it. Harmless."""
    missing_brackets: Tolerance = Tolerance.REJECT
    """``MAIL FROM:a@b.test``. It occurs, but the server has to guess where the path ends."""
    loose_dots: Tolerance = Tolerance.REJECT
    """``a..b@``, ``.a@``, ``a.@``: addresses that some mobile carriers once assigned. They are read
    as if the local-part were quoted."""
    long_local_part: Tolerance = Tolerance.REPORT
    """A local-part of more than 64 octets, as sender rewriting makes them, up to the limit of a
    path (RFC 5321 4.5.3.1: implementations should impose no limits where possible). A client sends
    it if a server with this leniency has read it, or for ``Mailbox(..., long=True)``; the next
    server may refuse it."""
    domain_underscores: Tolerance = Tolerance.REPORT
    """``_`` in the domain of an address. Such names exist, since DNS allows them. A client sends
    the domain if a server with this leniency has read it, or for ``Domain(..., loose=True)``."""
    domain_final_dot: Tolerance = Tolerance.REPORT
    """``a@b.test.``, with the dot that ends an absolute name in DNS. It is read without the dot, so
    that both spellings are the same address."""
    missing_domain: Tolerance = Tolerance.REJECT
    """``<root>``, as programs write it that mail to users of their own host. Elsewhere its meaning
    is unknown. The mailbox has the domain None; a client sends ``Mailbox("root", None)`` only with
    this leniency."""
    loose_hello: Tolerance = Tolerance.REPORT
    """A name in EHLO that is neither a domain nor an address literal, as many devices send it:
    ``my pc``, ``a_b``, ``(none)``, ``[2001:db8::1]``; any octets but control characters. Harmless:
    the name proves nothing. Handlers get it as a MalformedHost."""
    hello_literal: Tolerance = Tolerance.ACCEPT
    """An address literal in HELO, although the grammar of HELO allows only domains (RFC 5321
    4.1.1.1)."""
    bare_cr_or_lf: Tolerance = Tolerance.REJECT
    """Server: a CR or LF alone in the content of DATA. If accepted, each becomes a CRLF after the
    content was read, which still ends only with CRLF.CRLF. Content that then has a line of a lone
    dot is refused all the same, since the next server may take it for an end: SMTP smuggling."""
    long_lines: Tolerance = Tolerance.REJECT
    """Client: content to send with lines of more than 998 octets before CRLF, which servers may cut
    or refuse (RFC 5321 4.5.3.1.6). A server of this library accepts them."""
    bare_code: Tolerance = Tolerance.ACCEPT
    """A reply that is only a code, without text (RFC 5321 4.2: SHOULD be accepted)."""
    long_reply: Tolerance = Tolerance.ACCEPT
    """A line of a reply with more than 512 octets, up to :attr:`Limits.reply_line`."""
    auth_lines: Tolerance = Tolerance.ACCEPT
    """Client: ``AUTH=`` in a reply to EHLO, as before RFC 2554, or several lines of AUTH. Their
    mechanisms add up. If rejected, only the last line of AUTH counts."""
    login_prompts: Tolerance = Tolerance.REPORT
    """Client: a challenge of LOGIN that is not base64, such as ``334 Username:``. Harmless: the
    client answers with the user name, and then with the password, whatever the prompts say."""
    already_authenticated: Tolerance = Tolerance.REPORT
    """Client: 503 to AUTH with a text such as "already authenticated", which counts as logged in.
    Servers send it where they know the client otherwise, for example by its certificate. It does
    not count for SCRAM unless TLS has verified the server, since SCRAM would prove its identity."""
    mixed_codes: Tolerance = Tolerance.REJECT
    """A reply whose lines have different codes. If accepted, the last one counts, which is a
    guess."""
    recipient_552: Tolerance = Tolerance.ACCEPT
    """Client: 552 to RCPT, while other recipients are accepted, counts as 452, "too many
    recipients", for which RFC 821 listed it: :attr:`.Outcome.retry` has the recipient (RFC 5321
    4.5.3.1.10). If rejected, it is permanent."""

    @classmethod
    def strict(cls) -> Leniencies:
        """Return the leniencies that the RFCs ask for, and ``hello_literal``; reject all others."""
        kept = ("trailing_blanks", "hello_literal", "bare_code", "recipient_552")
        return cls(**{name: Tolerance.REJECT for name in asdict(cls()) if name not in kept})
