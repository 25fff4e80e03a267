"""Texts of replies about the message or its recipients: their number, their size, their form."""

from __future__ import annotations

from .signs import Sign, other_side, you

__all__ = ["MESSAGE_SIGNS"]

MESSAGE_SIGNS = (
    Sign(
        fault="mail-loop",
        text=r"too many (hops|received)|hop count|(mail|routing) loop|loops? back to",
        causes=(
            other_side(
                "The message goes in a circle between mail servers.",
                "Look into its Received fields for the servers that repeat, and at their aliases,"
                " forwarding and MX records: smtpproto doctor DOMAIN shows the last.",
            ),
        ),
    ),
    Sign(
        fault="too-many-recipients",
        text=r"too many (rcpts?|recipients)|recipients? (limit|count) .{0,20}(exceed|reach)",
        causes=(
            you(
                "The transaction has more recipients than the server takes at once.",
                "Send to those who were refused in a further message; the others were accepted."
                " Then send to fewer at a time.",
            ),
        ),
    ),
    Sign(
        fault="no-recipient",
        codes=("503", "554"),
        text=r"no valid recipients|(need|send) rcpt|no recipients",
        causes=(
            you(
                "The server has accepted no recipient of this message.",
                "Look at its replies to RCPT, which say why.",
            ),
        ),
    ),
    Sign(
        fault="bad-header",
        text=r"rfc ?-?(5322|2822|822)\b|message-?id header|(missing|no|invalid|duplicate)"
        r" .{0,30}\bheaders?\b|header .{0,30}(missing|malformed)",
        causes=(
            you(
                "The header section of the message lacks a field, or has one that is malformed or"
                " there twice.",
                "Run smtpproto check on the message, or make it with compose: it needs one From,"
                " Date and Message-ID.",
            ),
        ),
    ),
    Sign(
        fault="long-line",
        text=r"line length is 998|lines? (is |are )?too long for|(exceeds?|maximum) .{0,30}line"
        r" length",
        causes=(
            you(
                "A line of the message is longer than 998 octets (RFC 5322 2.1.1).",
                "Encode the text as quoted-printable or base64, as compose does.",
            ),
        ),
    ),
    Sign(
        fault="message-too-large",
        text=r"(message|mail|size|header)\S* .{0,40}(too (big|large|long)|exceed)|exceeds? .{0,40}"
        r"(size|limit of \d+ (bytes|octets))|size limit|too (big|large) (a |for )",
        codes=("552", "523", "550", "554", "422", "x.3.4", "x.2.3"),
        causes=(
            you(
                "The message is larger than the server takes.",
                "Send a smaller message, or a link. Attachments grow by a third in transit"
                " (base64)."
                " smtpproto probe HOST shows the limit (SIZE).",
            ),
        ),
    ),
    Sign(
        fault="bare-newline",
        text=r"smtplf|bare (lf|cr|newline|line ?feed)|bare <lf>|improper (use of )?(line|newline)",
        causes=(
            you(
                "The content has line ends that SMTP does not allow: LF or CR alone.",
                "Let the library prepare the message (it sends CRLF), or write CRLF yourself.",
            ),
        ),
    ),
    Sign(
        fault="attachment-refused",
        text=r"attachment|file (type|extension|name)|blocked (file|content)|executable|virus"
        r"|malware"
        r"|infected|for security reasons|potential security issue",
        codes=("550", "552", "554", "x.7.0", "x.6.0", "x.7.1"),
        causes=(
            you(
                "The server does not take this kind of attachment or link, or takes it for"
                " malware.",
                "Send the file in another form, or a link to it. Scan it first.",
            ),
        ),
    ),
)
