"""What reply codes mean, in plain words (RFC 5321 4.2, and the RFCs that add codes)."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["CODES", "LIKELY", "digits_of", "meaning_of"]

CODES: Mapping[int, str] = {
    211: "System status, or help.",
    214: "Help, for people to read.",
    220: "The server is ready; after STARTTLS: begin TLS now.",
    221: "The server closes the connection, as QUIT asked.",
    235: "The login succeeded.",
    250: "The command succeeded.",
    251: "The recipient is on another server; this one forwards the message.",
    252: "The server cannot tell whether the address exists, but would take mail for it.",
    253: "The server begins to send the messages that it queues for you (ETRN).",
    334: "The server waits for the next part of the login.",
    354: "The server waits for the message.",
    421: "The server is closing the connection; try again later.",
    422: "The password must be changed first: log in once with another mechanism.",
    432: "The password must be changed first: log in once with another mechanism.",
    450: "The mailbox is not available now, or the server wants you to come again (greylisting).",
    451: "The server could not do it now, because of an error or of its policy; try again later.",
    452: "The server has no room now, or the message has too many recipients for one transaction.",
    453: "The server has no messages for you now (ATRN).",
    454: "TLS or the login is not available now; try again later.",
    455: "The server cannot take the parameters of MAIL or RCPT now.",
    458: "The server cannot queue messages for that host now (ETRN).",
    459: "The server does not queue messages for that host (ETRN).",
    500: "The server does not know the command, or the line is too long.",
    501: "The argument of the command is not valid.",
    502: "The server knows the command, and does not implement it.",
    503: "The command came out of order.",
    504: "The server does not implement this argument of the command.",
    521: "This host never takes mail.",
    523: "Encryption is needed for this login.",
    524: "Encryption is needed for this login.",
    525: "The account is disabled.",
    530: "A login, or TLS, is needed first.",
    533: "A login is needed first (ATRN).",
    534: "This kind of login is too weak for the account: the server wants another one.",
    535: "The login failed: the user name or the password is wrong, or not valid for this login.",
    538: "Encryption is needed for this login.",
    550: "Refused for good: the mailbox does not exist, or the server's policy forbids it.",
    551: "The recipient is on another server, and this one does not forward.",
    552: "The message is too large, or the mailbox is full.",
    553: "The address is not allowed, or not valid.",
    554: "Refused for good, for the reason that the text tells.",
    555: "The server does not know a parameter of MAIL or RCPT.",
    556: "The domain takes no mail at all (null MX).",
}
"""The meaning of each code, whatever the command. docs/rfc/codes.csv has the sources."""

LIKELY: Mapping[int, tuple[str, ...]] = {
    421: ("not-available", "rate-limited"),
    450: ("greylisted", "rate-limited", "unknown-user"),
    451: ("greylisted", "not-available"),
    452: ("mailbox-full", "rate-limited"),
    454: ("tls-not-available", "login-later"),
    500: ("protocol-error",),
    501: ("protocol-error", "bad-hello"),
    502: ("protocol-error",),
    503: ("login-required", "protocol-error"),
    504: ("no-mechanism", "bad-hello"),
    521: ("no-service",),
    525: ("login-disabled",),
    530: ("login-required", "tls-required"),
    534: ("application-password-required", "login-disabled"),
    535: ("wrong-password", "application-password-required", "login-disabled"),
    538: ("tls-required",),
    550: ("unknown-user", "relaying-denied", "blocklisted"),
    551: ("unknown-user", "relaying-denied"),
    552: ("message-too-large", "mailbox-full"),
    553: ("sender-refused", "unknown-user", "relaying-denied"),
    554: ("taken-for-spam", "blocklisted", "relaying-denied"),
    555: ("protocol-error",),
    556: ("no-service",),
}
"""The faults that a reply with this code and no telling text most often has."""

_FIRST = {
    2: "The command succeeded.",
    3: "The server waits for more.",
    4: "The command failed, but may succeed later: try again without a change.",
    5: "The command failed for good: to send it again unchanged fails again.",
}
_SECOND = {
    0: "It is about the syntax of the command.",
    1: "It is information.",
    2: "It is about the connection.",
    3: "It is about the login, or about a rule of the server.",
    5: "It is about the mail system or the mailbox.",
}


def digits_of(code: int) -> str:
    """Return what the first two digits of a reply code say (RFC 5321 4.2.1)."""
    return " ".join(filter(None, [_FIRST.get(code // 100, ""), _SECOND.get(code // 10 % 10, "")]))


def meaning_of(code: int) -> str:
    """Return what a reply code means; for an unknown one, what its digits say."""
    return CODES.get(code) or digits_of(code)
