"""Ring 0: every bound and every named leniency, with its default, its source and its reason.

The constants are facts of the RFCs. :class:`Limits`, :class:`Timeouts` and :class:`Leniencies` are
a user's to set. Octets and seconds throughout.
"""

from __future__ import annotations

import enum

from attrs import asdict, field, frozen
from attrs.validators import ge, optional

__all__ = ["CHUNK", "Leniencies", "Limits", "Timeouts", "Tolerance"]

LOCAL_PART = 64  # RFC 5321 4.5.3.1.1
DOMAIN = 255  # RFC 5321 4.5.3.1.2
LABEL = 63  # RFC 1035 2.3.4
PATH = 256  # RFC 5321 4.5.3.1.3, with the brackets
COMMAND_LINE = 512  # RFC 5321 4.5.3.1.4, with CRLF; extensions add to it
REPLY_LINE = 512  # RFC 5321 4.5.3.1.5, with CRLF
TEXT_LINE = 1000  # RFC 5321 4.5.3.1.6, with CRLF
CHUNK_SIZE_DIGITS = 20  # of BDAT: what is longer is no number that anybody means
SCRAM_USUAL = 10_000  # iterations of new keys: some milliseconds for each login, on both sides
SCRAM_ITERATIONS = (4096, 1_000_000)  # RFC 5802 5.1; more is an attack on who has to compute
CHUNK = 65536  # largest slice handed out or read at once: larger ones cost page faults

_LONGEST = 10**8  # seconds; sockets take no infinity: that is None


@frozen(kw_only=True)
class Limits:
    """Bounds on what a peer may make us hold or do."""

    message_size: int | None = 32 * 1024 * 1024
    """Content of a message (RFC 5321 4.5.3.1.7 wants 64 KiB at least). None: no bound, and SIZE is
    offered without a number."""

    recipients: int = field(default=1000, validator=ge(1))
    """Accepted recipients of a transaction; then 452. RFC 5321 4.5.3.1.8 wants 100 at least; less
    is a policy, which a server announces by LIMITS RCPTMAX (RFC 9422)."""

    transactions: int | None = field(default=None, validator=optional(ge(1)))
    """MAIL commands of a connection that are accepted; then 421. Announced as MAILMAX."""

    auth_line: int = field(default=12288, validator=ge(512))
    """A line of an AUTH exchange, in base64 and with CRLF (RFC 4954 4)."""

    errors: int = field(default=50, validator=ge(3))
    """Commands of a connection that could not be understood; then 421."""

    failed_logins: int = field(default=3, validator=ge(3))
    """Failed AUTH of a connection (RFC 4954 9: not below 3); then 421."""

    failed_login_delay: float = field(default=1.0, validator=ge(0))
    """Seconds that a server waits before it answers a failed AUTH."""

    reply_line: int = field(default=12300, validator=ge(REPLY_LINE))
    """A line of a reply as a client takes it: servers do go beyond the RFC's 512, and a SASL
    challenge may have 12288 octets (RFC 4954 4)."""

    reply: int = field(default=256 * 1024, validator=ge(65536))
    """All lines of one reply as a client takes it."""

    window: int = field(default=16384, validator=ge(1024))
    """Commands a client sends ahead of their replies (RFC 2920 3.1). Without a bound, client and
    server can both wait for the other to read."""

    def __attrs_post_init__(self) -> None:
        if self.message_size is not None and self.message_size < 65536:
            raise ValueError("message_size must be 65536 octets or more (RFC 5321 4.5.3.1.7)")


@frozen(kw_only=True)
class Timeouts:
    """How long to wait for the peer, phase by phase (RFC 5321 4.5.3.2)."""

    connect: float | None = 60
    """Connecting, to all addresses of a name together."""
    tls: float | None = 120
    """The handshake, on both sides."""
    greeting: float | None = 300
    """A client's wait for the greeting; and so on, for the reply to each command."""
    hello: float | None = 300
    auth: float | None = 300
    mail: float | None = 300
    rcpt: float | None = 300
    data: float | None = 120
    block: float | None = 180
    """A client's wait until some more of the content has left."""
    final: float | None = 600
    """After the final dot. Short values make duplicates: the server may have taken the message."""
    other: float | None = 300
    """Any other command."""
    quit: float | None = 10
    total: float | None = None
    """A client's time for a whole operation, besides that of each phase: for opening (connection,
    TLS, login), and for each message and command. What waits behind it is not read any more."""
    proxy: float | None = 30
    """A server's wait for the whole header of a proxy."""
    command: float | None = 300
    """A server's wait for the next command, or for the next block of a message."""

    def __attrs_post_init__(self) -> None:
        for name, seconds in asdict(self).items():
            if seconds is not None and not 0 <= seconds <= _LONGEST:
                raise ValueError(f"{name} must be None or 0 to {_LONGEST} seconds")


class Tolerance(enum.Enum):
    """What becomes of something that the grammar does not allow."""

    ACCEPT = "accept"
    REPORT = "accept and report"
    REJECT = "reject"


@frozen(kw_only=True)
class Leniencies:
    """What a peer may do beside the grammar. The defaults are the RFCs' and, where these leave it
    open, accept what is common and harmless; nothing here touches where a message ends."""

    trailing_blanks: Tolerance = Tolerance.ACCEPT
    """SP or HTAB at the end of a command line (RFC 5321 4.1.1: SHOULD be tolerated)."""

    extra_blanks: Tolerance = Tolerance.REPORT
    """More than one space where the grammar has one: ``RCPT  TO:<a@b.test>``. Harmless."""

    space_after_colon: Tolerance = Tolerance.REPORT
    """``MAIL FROM: <a@b.test>``, as devices and scripts write it. Harmless."""

    missing_brackets: Tolerance = Tolerance.REJECT
    """``MAIL FROM:a@b.test``. Seen, but where the path ends is then a guess."""

    loose_dots: Tolerance = Tolerance.REJECT
    """``a..b@``, ``.a@``, ``a.@``, as some old carriers gave out. Read as if they were quoted."""

    long_local_part: Tolerance = Tolerance.REJECT
    """A local-part of more than 64 octets, up to what a path may have; rewritten senders do that.
    A server behind ours may refuse it (RFC 5321 4.5.3.1.1)."""

    loose_hello: Tolerance = Tolerance.REPORT
    """A name in EHLO with underscores or a dot at the end. Names there prove nothing anyway."""

    hello_literal: Tolerance = Tolerance.ACCEPT
    """An address literal in HELO, whose grammar has domains only (RFC 5321 4.1.1.1)."""

    long_lines: Tolerance = Tolerance.REJECT
    """On a client: content with lines of more than 998 characters and CRLF, which servers may cut
    or refuse (RFC 5321 4.5.3.1.6). A server of ours takes them."""

    bare_code: Tolerance = Tolerance.ACCEPT
    """A reply of a code and nothing else (RFC 5321 4.2: SHOULD be accepted)."""

    long_reply: Tolerance = Tolerance.ACCEPT
    """A line of a reply over 512 octets, up to :attr:`Limits.reply_line`."""

    mixed_codes: Tolerance = Tolerance.REJECT
    """Lines of one reply with differing codes; the last then counts. Which was meant is a guess."""

    @classmethod
    def strict(cls) -> Leniencies:
        """Nothing but what the RFCs ask to tolerate, and literals in HELO."""
        kept = ("trailing_blanks", "hello_literal", "bare_code")
        return cls(**{name: Tolerance.REJECT for name in asdict(cls()) if name not in kept})
