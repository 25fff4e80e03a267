"""Large providers of mail: their servers for submission, and the login that they want.

This is data, written down from the sources that each row names. It helps where a domain has no SRV
records, and it knows what SRV records cannot say: that a server wants an application password, for
example. :func:`.discover_servers` asks the DNS first.
"""

from __future__ import annotations

import enum

from attrs import field, frozen

from ..client.config import TLSMode

__all__ = ["PROVIDERS", "LoginKind", "Provider", "provider_at", "provider_behind", "provider_of"]


class LoginKind(enum.Enum):
    """What a server wants for a login."""

    PASSWORD = "password"
    """The password of the account: :class:`.Login`."""
    APP_PASSWORD = "application password"
    """A password that the user makes for one program, in the settings of the account: also a
    :class:`.Login`."""
    OAUTH = "OAuth"
    """An access token: :class:`.BearerToken`."""


Place = tuple[str, int, TLSMode]
"""Host, port, and when to use TLS."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@frozen(kw_only=True)
class Provider:
    """What is known of a provider."""

    name: str
    domains: tuple[str, ...] = field(converter=_words)
    """The domains of its addresses, in lower case; not all of them."""
    exchanges: tuple[str, ...] = ()
    """How the names of the hosts end that take its mail (MX), also for domains of customers."""
    servers: tuple[Place, ...]
    """The best first."""
    logins: tuple[LoginKind, ...]
    """What the servers accept; the best first."""
    user_name: str = "address"
    """What the user name is: "address", or "local part", which is what precedes the @."""
    advice: str = ""
    """What the owner of an account has to do first."""
    sources: tuple[str, ...]
    """Where this is from."""
    read: str
    """The day on which the sources were read, as YYYY-MM-DD. What they say may be older."""


def _both(host: str) -> tuple[Place, ...]:
    return (host, 465, TLSMode.IMPLICIT), (host, 587, TLSMode.REQUIRED)


_ISPDB = "https://github.com/thunderbird/autoconfig/blob/master/ispdb/"
_CHATMAIL = "https://github.com/chatmail/provider-db/blob/master/_providers/"
_OAUTH_FIRST = (LoginKind.OAUTH, LoginKind.APP_PASSWORD)
_ALLOW_ACCESS = "allow access by POP3 and IMAP in the settings of the account"
_READ = "2026-12-01"

PROVIDERS: tuple[Provider, ...] = (
    Provider(
        name="Google",
        domains="gmail.com googlemail.com",
        exchanges=("google.com",),
        servers=_both("smtp.gmail.com"),
        logins=_OAUTH_FIRST,
        advice="an application password needs 2-Step Verification of the account",
        sources=(
            "https://developers.google.com/workspace/gmail/imap/imap-smtp",
            _ISPDB + "googlemail.com.xml",
            _CHATMAIL + "gmail.md",
        ),
        read=_READ,
    ),
    Provider(
        name="Outlook.com",
        domains=(
            "outlook.com hotmail.com live.com msn.com windowslive.com outlook.de outlook.es"
            " outlook.fr outlook.it hotmail.co.uk hotmail.de hotmail.es hotmail.fr hotmail.it"
            " live.co.uk live.de live.fr live.it live.nl"
        ),
        exchanges=("olc.protection.outlook.com",),
        servers=(("smtp-mail.outlook.com", 587, TLSMode.REQUIRED),),
        logins=(LoginKind.OAUTH,),
        sources=(
            "https://support.microsoft.com/office/pop-imap-and-smtp-settings-for-outlook-com-d088b986-291d-42b8-9564-9c414e2aa040",
            _ISPDB + "hotmail.com.xml",
        ),
        read=_READ,
    ),
    Provider(
        name="Microsoft 365",
        domains="office365.com",
        exchanges=("mail.protection.outlook.com",),
        servers=(("smtp.office365.com", 587, TLSMode.REQUIRED),),
        logins=(LoginKind.OAUTH,),
        advice="an administrator has to allow SMTP AUTH for the mailbox",
        sources=(
            "https://techcommunity.microsoft.com/blog/exchange/exchange-online-to-retire-basic-auth-for-client-submission-smtp-auth/4114750",
            _ISPDB + "office365.com",
        ),
        read=_READ,
    ),
    Provider(
        name="Yahoo",
        domains=(
            "yahoo.com yahoo.de yahoo.it yahoo.fr yahoo.es yahoo.se yahoo.co.in yahoo.co.uk"
            " yahoo.co.nz yahoo.com.au yahoo.com.ar yahoo.com.br yahoo.com.mx ymail.com"
            " myyahoo.com rocketmail.com"
        ),
        exchanges=("am0.yahoodns.net",),
        servers=_both("smtp.mail.yahoo.com"),
        logins=_OAUTH_FIRST,
        advice="make an application password in the account security settings",
        sources=(_ISPDB + "yahoo.com.xml", _CHATMAIL + "yahoo.md"),
        read=_READ,
    ),
    Provider(
        name="AOL",
        domains="aol.com aim.com aol.de aol.it aol.fr aol.es aol.co.uk netscape.net",
        exchanges=("mail.gm0.yahoodns.net",),
        servers=(("smtp.aol.com", 465, TLSMode.IMPLICIT),),
        logins=_OAUTH_FIRST,
        advice="make an application password in the account security settings",
        sources=(_ISPDB + "aol.com.xml", _CHATMAIL + "aol.md"),
        read=_READ,
    ),
    Provider(
        name="iCloud",
        domains="icloud.com me.com mac.com",
        servers=(("smtp.mail.me.com", 587, TLSMode.REQUIRED),),
        logins=(LoginKind.APP_PASSWORD,),
        advice="make an application password (app-specific password) for the Apple account",
        sources=(
            "https://support.apple.com/en-us/102525",
            _ISPDB + "me.com.xml",
            _CHATMAIL + "icloud.md",
        ),
        read=_READ,
    ),
    Provider(
        name="Fastmail",
        domains="fastmail.com fastmail.fm fastmail.org fastmail.net fastmail.uk",
        exchanges=("messagingengine.com",),
        servers=(("smtp.fastmail.com", 465, TLSMode.IMPLICIT),),
        logins=(LoginKind.APP_PASSWORD,),
        advice="make an application password in the settings of the account",
        sources=(
            "https://www.fastmail.com/help/technical/servernamesandports.html",
            _CHATMAIL + "fastmail.md",
        ),
        read=_READ,
    ),
    Provider(
        name="GMX (gmx.net)",
        domains=(
            "gmx.net gmx.de gmx.at gmx.ch gmx.eu gmx.biz gmx.org gmx.info mein.gmx mail.gmx"
            " email.gmx"
        ),
        exchanges=("gmx.net",),
        servers=_both("mail.gmx.net"),
        logins=(LoginKind.PASSWORD,),
        advice=_ALLOW_ACCESS,
        sources=(_ISPDB + "gmx.net.xml",),
        read=_READ,
    ),
    Provider(
        name="GMX (gmx.com)",
        domains="gmx.com gmx.us gmx.co.uk gmx.es gmx.fr gmx.ca gmx.it gmx.li",
        servers=_both("mail.gmx.com"),
        logins=(LoginKind.PASSWORD,),
        sources=(_ISPDB + "gmx.com.xml",),
        read=_READ,
    ),
    Provider(
        name="WEB.DE",
        domains="web.de",
        servers=_both("smtp.web.de"),
        logins=(LoginKind.PASSWORD,),
        user_name="local part",
        advice=_ALLOW_ACCESS,
        sources=(_ISPDB + "web.de.xml",),
        read=_READ,
    ),
    Provider(
        name="mailbox.org",
        domains="mailbox.org",
        servers=_both("smtp.mailbox.org"),
        logins=(LoginKind.PASSWORD, LoginKind.APP_PASSWORD),
        advice="an account with two factors needs an application password",
        sources=(_ISPDB + "mailbox.org.xml",),
        read=_READ,
    ),
    Provider(
        name="Posteo",
        domains="posteo.de posteo.net posteo.org posteo.eu posteo.at posteo.ch posteo.fi posteo.uk",
        servers=_both("posteo.de"),
        logins=(LoginKind.APP_PASSWORD,),
        advice="make an application password: https://posteo.de/en/help/app-passwords",
        sources=(_CHATMAIL + "posteo.md",),
        read=_READ,
    ),
)
"""The providers that the library knows."""


def provider_of(domain: str) -> Provider | None:
    """Return the provider whose addresses are in *domain*, which is in lower case."""
    return next((it for it in PROVIDERS if domain in it.domains), None)


def provider_at(host: str) -> Provider | None:
    """Return the provider with the server *host*."""
    return next((it for it in PROVIDERS if any(host == place[0] for place in it.servers)), None)


def provider_behind(exchange: str) -> Provider | None:
    """Return the provider whose host *exchange* takes mail: the longest ending counts."""
    found = [
        (len(ending), it)
        for it in PROVIDERS
        for ending in it.exchanges
        if exchange == ending or exchange.endswith("." + ending)
    ]
    return max(found, key=lambda one: one[0])[1] if found else None
