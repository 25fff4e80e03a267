"""Replies of large providers and receivers that their codes or texts identify, as data.

This is the state of December 2026, as the named pages and threads quote it. Providers change their
replies without notice.
"""

from __future__ import annotations

from .common_signs import SLOW_DOWN, WRONG_PASSWORD
from .demand_signs import DEMAND_SIGNS
from .microsoft_signs import MICROSOFT_SIGNS
from .receivers import CODES as GMAIL_CODES
from .receivers import GUIDELINES
from .signs import Sign, other_side, you

__all__ = ["RECEIVER_SIGNS"]

YAHOO_CODES = "https://senders.yahooinc.com/smtp-error-codes"
_APPLE = "https://smtp.codes/icloud"
_GMX = "https://postmaster.gmx.com/en/error-messages"
_SES = "https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html"
_GMAIL_APP = "https://support.google.com/accounts/answer/185833"
_YAHOO_APP = "https://help.yahoo.com/kb/SLN15241.html"
_GMAIL, _YAHOO = "Gmail", "Yahoo"
_GOOGLE_TEXT = r"gsmtp|google\.com|gmail"

GOOGLE_SIGNS = (
    Sign(
        fault="application-password-required",
        receiver=_GMAIL,
        codes=("534 5.7.9",),
        text=r"application-specific|invalidsecondfactor",
        causes=(
            you(
                "The Google account has 2-step verification, so its own password does not work"
                " here.",
                "Create an app password in the account's settings and log in with it, or use OAuth"
                " (BearerToken).",
                _GMAIL_APP,
            ),
        ),
    ),
    Sign(
        fault="wrong-password",
        receiver=_GMAIL,
        codes=("535 5.7.8",),
        text=_GOOGLE_TEXT,
        causes=(
            you(
                "Google does not accept this user name and password. The password of the account"
                " does"
                " not work for programs, only an app password does.",
                "Switch on 2-step verification, create an app password and log in with it, or use"
                " OAuth (BearerToken). In Google Workspace the administrator may have forbidden"
                " it.",
                _GMAIL_APP,
            ),
            WRONG_PASSWORD,
        ),
    ),
    Sign(
        fault="login-later",
        receiver=_GMAIL,
        codes=("454 4.7.0",),
        text=r"too many login attempts",
        causes=(
            you(
                "There were too many logins in a short time.",
                "Wait an hour, and keep a connection open (a pool) instead of a login for each"
                " message.",
                GMAIL_CODES,
            ),
        ),
    ),
    Sign(
        fault="rate-limited",
        receiver=_GMAIL,
        codes=("421 4.7.28", "x.7.28", "4.7.0"),
        text=r"unusual rate of|unsolicitedratelimit",
        causes=(
            you(
                "Gmail gets too much unwanted mail from your address, domain or network.",
                f"{SLOW_DOWN} Google's Postmaster Tools show the rate of complaints.",
                GUIDELINES,
            ),
        ),
    ),
    Sign(
        fault="bad-reputation",
        receiver=_GMAIL,
        codes=("421", "550"),
        text=r"very low reputation|suspicious due to|likely (unsolicited|suspicious)",
        causes=(
            you(
                "Gmail takes the message for spam, because of the reputation of your address or"
                " domain, or of a link in it.",
                "Look into Google's Postmaster Tools. Send only to people who asked for it.",
                "https://smtp.codes/google",
            ),
        ),
    ),
    Sign(
        fault="rate-limited",
        receiver=_GMAIL,
        codes=("450 4.2.1", "550 5.2.1"),
        text=r"receiving mail (too quickly|at a rate)",
        causes=(
            you("The mailbox gets too much mail now.", "Try again after an hour.", GMAIL_CODES),
        ),
    ),
    Sign(
        fault="rate-limited",
        receiver=_GMAIL,
        codes=("550 5.4.5",),
        text=r"daily .{0,20}(sending|user)",
        causes=(
            you(
                "The account has sent as many messages as it may in a day.",
                "Wait 24 hours, or use a service for mass mail.",
                GMAIL_CODES,
            ),
        ),
    ),
    Sign(
        fault="content-rule",
        receiver=_GMAIL,
        codes=("550 5.7.1",),
        text=r"gcdp",
        causes=(
            other_side(
                "A rule that the administrator of the recipient's domain has made refuses the"
                " message.",
                "Ask the recipient's administrator.",
                GMAIL_CODES,
            ),
        ),
    ),
)

YAHOO_SIGNS = (
    Sign(
        fault="rate-limited",
        receiver=_YAHOO,
        codes=("421", "451"),
        text=r"\[TSS?\d+\]|deferred due to (user complaints|unexpected volume)",
        causes=(
            you(
                "Yahoo defers mail from your address: it sends more than usual, or people"
                " complain.",
                SLOW_DOWN,
                YAHOO_CODES,
            ),
        ),
    ),
    Sign(
        fault="blocklisted",
        receiver=_YAHOO,
        codes=("553 5.7.2", "553"),
        text=r"permanently deferred|\[TSS(09|11)\]",
        causes=(
            you(
                "Yahoo takes no mail from your address any more.",
                "Stop sending to Yahoo, remove what people complain about, then ask Yahoo's sender"
                " support.",
                YAHOO_CODES,
            ),
        ),
    ),
    Sign(
        fault="blocklisted",
        receiver=_YAHOO,
        codes=("553 5.7.1",),
        text=r"\[BL2\d\]",
        causes=(
            you(
                "The address from which you send is on a list of Spamhaus, which Yahoo uses.",
                "Look it up at Spamhaus, remove the reason, and ask for removal there.",
                YAHOO_CODES,
            ),
        ),
    ),
    Sign(
        fault="taken-for-spam",
        receiver=_YAHOO,
        codes=("554",),
        text=r"\[PH01\]|message not allowed",
        causes=(
            you(
                "Yahoo takes the content for phishing or spam.",
                "Look whether a link in it is on a blocklist; do not imitate other senders.",
                YAHOO_CODES,
            ),
        ),
    ),
    Sign(
        fault="application-password-required",
        receiver=_YAHOO,
        codes=("535 5.7.0", "535"),
        text=r"#AUTH005",
        causes=(
            you(
                "Yahoo accepts only passwords for applications here, or the password is wrong.",
                "Create an app password in the account's security settings, and log in with it.",
                _YAHOO_APP,
            ),
        ),
    ),
)

OTHER_SIGNS = (
    Sign(
        fault="content-rule",
        receiver="iCloud",
        codes=("550 5.7.1", "554 5.7.1"),
        text=r"\[CS01\]|support\.apple\.com",
        causes=(
            you(
                "A filter of iCloud Mail refuses the message.",
                "Check SPF, DKIM and DMARC with smtpproto doctor DOMAIN, and the links in the"
                " message;"
                " then write to Apple's postmaster.",
                _APPLE,
            ),
        ),
    ),
    Sign(
        fault="rate-limited",
        receiver="iCloud",
        codes=("421 4.7.1",),
        text=r"deferred due to excessive volume",
        causes=(you("The mailbox gets too much mail now.", "Try again later.", _APPLE),),
    ),
    Sign(
        fault="blocklisted",
        receiver="GMX and WEB.DE",
        codes=("554", "421", "550", "450"),
        text=r"nemesis|postmaster\.(gmx|web)\.",
        causes=(
            you(
                "GMX or WEB.DE refuses the address from which you send.",
                "Open the address in the last line of the reply: it names the reason and the way"
                " out.",
                _GMX,
            ),
        ),
    ),
    Sign(
        fault="sender-not-owned",
        receiver="Amazon SES",
        codes=("554",),
        text=r"address is not verified",
        causes=(
            you(
                "Amazon SES does not know the sender address, or, in its sandbox, the recipient's.",
                "Verify the address or domain in the region that you use, and ask to leave the"
                " sandbox.",
                _SES,
            ),
        ),
    ),
)

RECEIVER_SIGNS = (*MICROSOFT_SIGNS, *DEMAND_SIGNS, *GOOGLE_SIGNS, *YAHOO_SIGNS, *OTHER_SIGNS)
"""All signs of single receivers, in the order in which they are looked for."""
