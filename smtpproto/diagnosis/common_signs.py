"""Texts of replies that many servers use: Postfix, Exim, Sendmail, OpenSMTPD, Exchange and others.

The first sign that fits decides the name of the fault; the causes of all that fit are told.
"""

from __future__ import annotations

from .message_signs import MESSAGE_SIGNS
from .signs import Sign, other_side, provider, you

__all__ = ["APP_PASSWORD", "AUTH_DISABLED", "COMMON_SIGNS", "SLOW_DOWN", "WRONG_PASSWORD"]

_DOCTOR = "Run smtpproto doctor DOMAIN for the records of your domain"
_TRY_LATER = "Send the message again after some minutes; a queue does that by itself."

APP_PASSWORD = you(
    "The account has a second factor, so its own password does not work for programs.",
    "Create a password for applications in the settings of the account, and log in with it; or use"
    " OAuth (BearerToken).",
)
WRONG_PASSWORD = you(
    "The user name or the password is wrong.",
    "Try them in the provider's web page. The user name is often the whole address. Look for blanks"
    " at the ends and for characters that a shell or a URL changed.",
)
AUTH_DISABLED = provider(
    "Logging in with a password is switched off for the account, or for all of its organisation.",
    "Let the administrator switch SMTP AUTH on, or use OAuth (BearerToken).",
)
_NOT_LOGGED_IN = you(
    "You have not logged in, and the server passes mail to other domains only for its users.",
    "Set login, and use your provider's port for submission, 587 or 465.",
)
_NOT_ITS_DOMAIN = other_side(
    "The server does not take mail for the recipient's domain: its MX record names the wrong host,"
    " or the server does not know the domain.",
    "Compare the host with the MX records of the domain: smtpproto doctor DOMAIN shows them.",
)
_UNKNOWN_USER = you(
    "There is no mailbox with this address.",
    "Correct the address, or take it off your lists: each further attempt harms your reputation.",
)
_SENDER_NOT_OWNED = you(
    "The account that you logged in with may not use this sender address.",
    "Send from the account's own address, or let the provider allow the other one (an alias,"
    " Send As, a verified identity).",
)
_BLOCKLIST = you(
    "The address from which you send is on a blocklist, or has a bad reputation.",
    "Look up the address on the page that the reply names. Find and stop what sends spam, then ask"
    " for removal. From a home connection or a cloud, send through a relay instead.",
)
_PTR = you(
    "The address from which you send has no name in the DNS (PTR), or the name does not lead back"
    " to"
    " it.",
    "Let the provider of the address set the PTR record to the name in your EHLO, and give that"
    " name"
    " an address record.",
)
SLOW_DOWN = (
    "Send more slowly and over fewer connections, only to people who asked for it. The limit goes"
    " away by itself if complaints stop."
)
_GREYLISTED = you(
    "The server defers each new sender for some minutes, because spammers do not come again"
    " (greylisting). Or it has a passing problem.",
    _TRY_LATER,
)
_PASSING = other_side("The server has a passing problem.", _TRY_LATER)
_RATE = you("You send too much at once for this server.", f"{SLOW_DOWN} Then try again later.")

COMMON_SIGNS = (
    # -- TLS and login
    Sign(
        fault="tls-required",
        codes=("530", "538", "523", "524", "554", "550", "451", "421", "5.7.10", "5.7.11"),
        text=r"must issue a starttls|starttls (command )?(first|is? ?required)|tls (is )?required"
        r"|encryption (is )?(required|needed)|requires? (a secure connection|tls|encryption)",
        causes=(
            you(
                "The server wants TLS before this command.",
                'Use tls="required" (STARTTLS), or tls="implicit" on port 465.',
            ),
        ),
    ),
    Sign(
        fault="tls-not-available",
        codes=("454", "4.7.0", "5.7.0"),
        text=r"tls (is )?(currently )?(not available|unavailable)|(cannot|unable to) (start"
        r"|use) tls",
        causes=(
            other_side(
                "The server offers STARTTLS, but has no certificate that works.",
                "Try again later. If it is your own server, look into its log for its certificate"
                " and"
                " key.",
            ),
        ),
    ),
    Sign(
        fault="application-password-required",
        codes=("534", "535", "x.7.9", "x.7.8"),
        text=r"app(lication)?[- ](specific )?password|2fa|two[- ]factor|second factor|2-step",
        causes=(APP_PASSWORD,),
    ),
    Sign(
        fault="login-disabled",
        codes=("534", "535", "525", "550", "554", "5.7.13"),
        text=r"(smtp ?auth\w*|smtpclientauthentication|basic auth\w*|password auth\w*) (is"
        r"|has been)"
        r" (disabled|turned off)|authentication (is )?(disabled|not (enabled|allowed))"
        r"|account (is )?"
        r"(disabled|locked|suspended)",
        causes=(AUTH_DISABLED,),
    ),
    Sign(
        fault="login-disabled",
        codes=("503",),
        text=r"authentication (is )?not (enabled|allowed|available)",
        causes=(
            you(
                "The server takes no login here: on this port, or without TLS.",
                "Use its port for submission, 587 or 465, with TLS. To deliver mail to its own"
                " recipients on port 25, do not log in.",
            ),
        ),
    ),
    Sign(
        fault="login-later",
        codes=("421", "454", "450", "535"),
        text=r"too many (failed |bad |login |auth\w* )*(attempts|logins)|temporary authentication"
        r" fail|(lost|no) connection to .{0,20}auth"
        r"|connection lost to authentication server"
        r"|authentication (server|service) (is )?(unavailable|temporarily)",
        causes=(
            you(
                "There were too many logins, or too many that failed, in a short time.",
                "Wait some minutes, and keep connections open (a pool) instead of a login for each"
                " message. The password may be right.",
            ),
            provider(
                "The provider's login service does not work now.",
                "Try again later; do not ask the user for another password.",
            ),
        ),
    ),
    Sign(
        fault="wrong-password",
        codes=("535",),
        causes=(WRONG_PASSWORD, APP_PASSWORD, AUTH_DISABLED),
    ),
    Sign(
        fault="login-required",
        codes=("530", "550", "554", "553", "503", "501", "5.7.57"),
        text=r"auth\w*( is)? (required|needed)|not (logged in|authenticated)|(log ?in|authenticate)"
        r" (first|before)|auth first|client was not authenticated|requires authentication",
        causes=(
            you(
                "The server takes mail only after a login.",
                "Set login with the user and password of an account there. For mail to other"
                " domains,"
                " use your own provider's server, not the recipient's.",
            ),
        ),
    ),
    # -- relaying and addresses
    Sign(
        fault="relaying-denied",
        text=r"relay(ing)? (access )?(is )?(denied|not permitted|not allowed|prohibited|disallowed)"
        r"|(unable|not (permitted|allowed|authorized)) to relay|we do not relay|relay not permitted"
        r"|no relaying|rejected relay|not a relay|list of allowed rcpthosts",
        causes=(_NOT_LOGGED_IN, _NOT_ITS_DOMAIN),
    ),
    Sign(
        fault="sender-not-owned",
        text=r"not owned by user|sendas ?denied|send as this sender|not allowed to send (as|from)"
        r"|sender (address )?(is )?not (allowed|permitted|authorized)|address is not verified"
        r"|(sender|from address) .{0,60}does not match"
        r"|must (be|match) .{0,30}authenticated (user|account)",
        causes=(_SENDER_NOT_OWNED,),
    ),
    Sign(
        fault="sender-refused",
        text=r"sender (address )?rejected: (domain|undeliverable|unverified)|sender verify failed"
        r"|sender domain .{0,20}(not exist|not found)|domain of sender address .* does not"
        r"|(?<!helo command rejected: )(domain|host) not found|^verification failed for"
        r"|callout verification|callback setup failed|no valid (mx|sender)"
        r"|bad sender|sender id .* missing",
        causes=(
            you(
                "The server cannot send anything back to your sender address: its domain does not"
                " exist, or takes no mail.",
                "Use a sender address whose domain exists and has an MX or address record.",
            ),
        ),
    ),
    Sign(
        fault="mailbox-full",
        text=r"over ?quota|(?<!message )(?<!sending )quota ?(is )?exceeded"
        r"|exceeded (its |the |storage |mailbox )*(quota"
        r"|allocation)"
        r"|(mailbox|inbox|account|user).{0,30} (is )?full|out of storage|not enough storage"
        r"|insufficient (system )?storage",
        causes=(
            other_side(
                "The recipient's mailbox is full, or the server has no room.",
                "Try again in some days, or tell the recipient in another way. If it goes on, take"
                " the"
                " address off your lists.",
            ),
        ),
    ),
    Sign(
        fault="unknown-user",
        codes=("550", "551", "553", "554", "552", "450", "x.1.1", "x.1.10"),
        text=r"user unknown|unknown (user|recipient|mailbox|local)|no such (user|mailbox|recipient|"
        r"person|account)|(user|recipient|mailbox|account|address)\S* .{0,40}(does not|doesn'?t"
        r"|not)"
        r" (exist|found)|mailbox (unavailable|not found)|invalid (recipient|mailbox)|recipient not"
        r" found|unrouteable address|undeliverable|no mailbox|not a valid (user|recipient|mailbox)"
        r"|does not exist|recipient address rejected: access denied|doesn't have a .* account"
        r"|not our customer|address unknown|is no longer valid|mailbox is (disabled|inactive)",
        causes=(_UNKNOWN_USER,),
    ),
    *MESSAGE_SIGNS,
    # -- proofs
    Sign(
        fault="dmarc-failed",
        text=r"dmarc",
        causes=(
            you(
                "Neither SPF nor DKIM passes for the domain in From, and its DMARC policy asks to"
                " refuse such mail.",
                f"{_DOCTOR}, and sign with DKIM for the domain in From. Do not send with a From of"
                " another provider's domain, such as gmail.com.",
            ),
        ),
    ),
    Sign(
        fault="not-authenticated",
        text=r"unauthenticated (e?mail|message)|authentication (information|checks?|level)"
        r"|sender is"
        r" unauthenticated|pass authentication",
        causes=(
            you(
                "The message has neither SPF nor DKIM that passes.",
                f"{_DOCTOR}: publish SPF, sign with DKIM, and publish a DMARC record.",
            ),
        ),
    ),
    Sign(
        fault="spf-failed",
        text=r"\bspf\b|sender policy framework|openspf|not (allowed|authorized|permitted"
        r"|designated) to"
        r" send (mail|email)? ?(for|from)|not permitted by the domain owner",
        causes=(
            you(
                "SPF fails: the SPF record of the sender's domain does not allow the address from"
                " which you send.",
                f"{_DOCTOR}, and add the address or your provider's include to the SPF record. For"
                " forwarded mail, rewrite the sender (SRS).",
            ),
        ),
    ),
    Sign(
        fault="dkim-failed",
        text=r"dkim",
        causes=(
            you(
                "The message has no DKIM signature that passes.",
                f"{_DOCTOR}, and smtpproto check for a message: it tells why the signature fails.",
            ),
        ),
    ),
    Sign(
        fault="no-reverse-name",
        text=r"\bptr\b|reverse (dns|hostname|lookup|name|ip)|\brdns\b|cannot find your (reverse )?"
        r"hostname|no reverse|does not resolve",
        causes=(_PTR,),
    ),
    Sign(
        fault="bad-hello",
        text=r"\b(helo|ehlo)\b",
        codes=("500", "501", "504", "550", "554", "450", "451", "x.7.1", "x.5.2"),
        causes=(
            you(
                "The server does not accept the name in EHLO.",
                "Set hello to the name of this host that the DNS knows, not localhost, and not the"
                " name"
                " of the server.",
            ),
        ),
    ),
    # -- greylisting, rate, reputation
    Sign(
        fault="greylisted",
        codes=("450", "451", "421", "452"),
        text=r"gr[ea]y-?list|come back later|(try|retry)( again)? (in|after) \d+"
        r"|please retry in|^please (try|retry)( again)? later"
        r"|first time|deferred for|not yet authorized",
        causes=(_GREYLISTED,),
    ),
    Sign(
        fault="rate-limited",
        text=r"too many (concurrent |simultaneous |smtp )*(connections|messages|errors"
        r"|sessions)|rate.?limit|rate of|throttl|too (quickly|fast)|(limit|quota) .{0,30}(exceeded"
        r"|reached)|"
        r"exceeded .{0,40}(limit|rate|quota)|unusual (rate|volume)|unexpected volume"
        r"|deferred due to",
        causes=(_RATE,),
    ),
    Sign(
        fault="blocklisted",
        text=r"block(ed)? ?list|black ?list|spamhaus|barracuda|spamcop|sorbs|uceprotect|dnsbl"
        r"|\brbl\b"
        r"|(?<!message was )(?<!message has been )(?<!mail has been )\bblocked\b"
        r"|banned|reputation|listed (at|in|on|by)|on our block"
        r"|not authorized to send (e?mail )?directly",
        causes=(_BLOCKLIST, _PTR),
    ),
    Sign(
        fault="taken-for-spam",
        text=r"\bspam|unsolicited|junk|bulk mail|content (rejected|filter)|message content",
        causes=(
            you(
                "The server takes the message for spam.",
                "Run smtpproto check on the message. Send only to people who asked for it, and look"
                " whether a link in the message is on a blocklist.",
            ),
            _BLOCKLIST,
        ),
    ),
    Sign(
        fault="too-early",
        text=r"pipelining|synchroni[sz]ation|talk(s|ed)? too (soon|early)|before (the )?(greeting|"
        r"banner)|pregreet",
        causes=(
            you(
                "The client spoke before it was its turn.",
                "This library does not. If something else opens the connection, let it send nothing"
                " first; look for a proxy in between.",
            ),
        ),
    ),
    Sign(
        fault="not-available",
        codes=("421", "450", "451", "452"),
        text=r"not available|unavailable|temporar|shutting down|overload|busy|try (again )?later"
        r"|timed? ?out|timeout|internal (server )?error|local error",
        causes=(_PASSING, _GREYLISTED),
    ),
    Sign(
        fault="no-service",
        codes=("521", "554 x.3.2", "556"),
        causes=(
            other_side(
                "The host takes no mail at all.",
                "Look up the MX records of the recipient's domain; the address may be wrong.",
            ),
        ),
    ),
)
