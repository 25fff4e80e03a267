"""Replies of Microsoft 365 and Outlook.com that their codes or texts identify.

This is the state of December 2026, as the named pages quote it.
"""

from __future__ import annotations

from .common_signs import SLOW_DOWN, WRONG_PASSWORD
from .signs import Sign, other_side, provider, you

__all__ = ["MICROSOFT_SIGNS"]

NDR = (
    "https://learn.microsoft.com/exchange/troubleshoot/email-delivery/ndr/"
    "non-delivery-reports-in-exchange-online"
)
SMTP_AUTH = (
    "https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/"
    "authenticated-client-smtp-submission"
)
_HOTMAIL = (
    "https://knowledge.validity.com/hc/en-us/articles/"
    "220561887-Troubleshooting-reputation-based-deferrals"
)
_DYNAMIC = (
    "http://intranoggin.com/Blog/April-2008/HotMail-Delivery-Status-Notification-(Failure).aspx"
)
_MICROSOFT_365, _OUTLOOK = "Microsoft 365", "Outlook.com"
_DELIST = "Find and stop what sends spam from the address, then ask for removal at"
_SUSPECT = (
    "Look whether the account was taken over: change its password, and look what it has sent. Then"
    " let the administrator ask Microsoft to lift the block."
)

MICROSOFT_SIGNS = (
    Sign(
        fault="login-disabled",
        receiver=_MICROSOFT_365,
        codes=("535 5.7.139",),
        text=r"smtpclientauthentication is disabled",
        causes=(
            provider(
                "SMTP AUTH is switched off for the mailbox, or for the whole organisation.",
                "Let the administrator of Microsoft 365 switch on Authenticated SMTP for the"
                " mailbox"
                " (Set-CASMailbox -SmtpClientAuthenticationDisabled $false).",
                SMTP_AUTH,
            ),
        ),
    ),
    Sign(
        fault="login-disabled",
        receiver=_MICROSOFT_365,
        codes=("535 5.7.139",),
        text=r"basic authentication is disabled",
        causes=(
            you(
                "Microsoft does not accept passwords here any more, passwords for applications"
                " included.",
                "Log in with a token of OAuth: BearerToken.",
                "https://github.com/nodemailer/nodemailer/issues/1714",
            ),
        ),
    ),
    Sign(
        fault="wrong-password",
        receiver=_MICROSOFT_365,
        codes=("535 5.7.139", "535 5.7.3"),
        alone=True,
        causes=(
            WRONG_PASSWORD,
            provider(
                "A rule of the organisation (security defaults, conditional access) forbids logins"
                " with a password, or SMTP AUTH is off.",
                "Let the administrator look at the sign-in logs, or use OAuth (BearerToken).",
                SMTP_AUTH,
            ),
        ),
    ),
    Sign(
        fault="login-required",
        receiver=_MICROSOFT_365,
        codes=("530 5.7.57", "x.7.57"),
        alone=True,
        causes=(
            you(
                "You send over smtp.office365.com without a login.",
                "Set login. Without an account, use the MX host of your own domain on port 25"
                " (direct"
                " send), or a connector.",
                NDR,
            ),
        ),
    ),
    Sign(
        fault="relaying-denied",
        receiver=_MICROSOFT_365,
        codes=("x.7.64",),
        alone=True,
        causes=(
            you(
                "The connector of Microsoft 365 does not know the address or certificate from which"
                " you send.",
                "Correct the inbound connector: its addresses, or the name in the certificate.",
                NDR,
            ),
        ),
    ),
    Sign(
        fault="blocklisted",
        receiver=_MICROSOFT_365,
        codes=("x.7.606-649",),
        alone=True,
        causes=(
            you(
                "Microsoft has banned the address from which you send.",
                f"{_DELIST} https://sender.office.com.",
                NDR,
            ),
        ),
    ),
    Sign(
        fault="blocklisted",
        receiver=_MICROSOFT_365,
        codes=("x.7.511",),
        alone=True,
        causes=(
            you(
                "Microsoft has banned the address from which you send, or its network.",
                f"{_DELIST} delist@microsoft.com, with the whole reply and the address.",
                NDR,
            ),
        ),
    ),
    Sign(
        fault="blocklisted",
        receiver=_MICROSOFT_365,
        codes=("x.7.507", "x.7.513"),
        alone=True,
        causes=(
            other_side(
                "The recipient's organisation itself blocks the address from which you send.",
                "Ask the recipient to let their administrator take it off their block list.",
                NDR,
            ),
        ),
    ),
    Sign(
        fault="account-blocked",
        receiver=_MICROSOFT_365,
        codes=("5.1.8", "5.7.501-503", "5.7.705", "5.7.708", "5.7.750", "5.7.800", "5.1.90"),
        alone=True,
        causes=(
            provider(
                "Microsoft has blocked or limited your account or organisation, because it sent"
                " spam"
                " or too much.",
                _SUSPECT,
                NDR,
            ),
        ),
    ),
    Sign(
        fault="dmarc-failed",
        receiver=_MICROSOFT_365,
        codes=("x.7.509",),
        alone=True,
        causes=(
            you(
                "The message fails DMARC, and the policy of the domain in From is to reject.",
                "Run smtpproto doctor DOMAIN, and sign with DKIM for the domain in From. Forwarding"
                " breaks SPF: rewrite the sender (SRS).",
                NDR,
            ),
        ),
    ),
    Sign(
        fault="unknown-user",
        receiver=_MICROSOFT_365,
        codes=("5.4.1", "5.7.504", "5.7.505", "5.1.10"),
        text=r"access denied|recipient|banned",
        causes=(
            you(
                "The recipient's address does not exist there.",
                "Correct the address, or take it off your lists.",
                NDR,
            ),
        ),
    ),
    Sign(
        fault="not-for-outsiders",
        receiver=_MICROSOFT_365,
        codes=("5.7.12", "5.7.124", "5.7.133-136"),
        text=r"outlook|exchange|resolver|not authenticated|sender.*(group|list|organi)",
        causes=(
            other_side(
                "The mailbox or group takes mail only from members of its organisation.",
                "Ask the recipient to let their administrator allow mail from outside.",
                NDR,
            ),
        ),
    ),
    Sign(
        fault="rate-limited",
        receiver=_MICROSOFT_365,
        codes=("x.2.121", "x.2.122", "x.7.508", "432 4.3.2"),
        alone=True,
        causes=(
            you("The mailbox, or Microsoft 365, gets too much mail from you.", SLOW_DOWN, NDR),
        ),
    ),
    Sign(
        fault="bad-hello",
        receiver=_MICROSOFT_365,
        codes=("x.7.506",),
        alone=True,
        causes=(
            you(
                "You gave the server's own name in EHLO.",
                "Set hello to the name of the host that sends.",
                NDR,
            ),
        ),
    ),
    Sign(
        fault="bad-from",
        receiver=_MICROSOFT_365,
        codes=("x.7.512",),
        alone=True,
        causes=(
            you(
                "The message has no From field with a valid address.",
                "Give it exactly one From field: smtpproto check finds such faults.",
                NDR,
            ),
        ),
    ),
    Sign(
        fault="rate-limited",
        receiver=_MICROSOFT_365,
        codes=("4.7.500-699", "4.7.850-899"),
        alone=True,
        causes=(
            you(
                "Microsoft slows you down: the address from which you send is new to it, or has a"
                " bad"
                " reputation.",
                SLOW_DOWN,
                NDR,
            ),
        ),
    ),
    Sign(
        fault="rate-limited",
        receiver=_OUTLOOK,
        codes=("421",),
        text=r"\bRP-00[123]\b",
        causes=(
            you(
                "The address from which you send has used up its limit at Outlook.com, because of"
                " its"
                " reputation.",
                SLOW_DOWN,
                _HOTMAIL,
            ),
        ),
    ),
    Sign(
        fault="blocklisted",
        receiver=_OUTLOOK,
        codes=("550",),
        text=r"\b(SC|OU)-00[1-4]\b|\((A?S3140|A?S3150)\)",
        causes=(
            you(
                "Outlook.com has blocked the address from which you send, or its network: because"
                " of"
                " spam, or because it has sent little mail so far.",
                f"{_DELIST} Outlook.com's sender support, and join its programme SNDS, which shows"
                " how it sees the address.",
                "https://support.binarylane.com.au/support/solutions/articles/11000047583",
            ),
        ),
    ),
    Sign(
        fault="blocklisted",
        receiver=_OUTLOOK,
        codes=("550",),
        text=r"\bDY-00[12]\b",
        causes=(
            you(
                "Outlook.com takes the address from which you send for one of a home connection.",
                "Send through your provider's server, after a login on port 587 or 465.",
                _DYNAMIC,
            ),
        ),
    ),
)
