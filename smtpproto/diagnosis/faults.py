"""The causes of failures that no reply explains: connecting, TLS, the protocol, and unknown ends.

Each error of the library has a :attr:`.SMTPError.fault`, which is a key of :data:`FAULTS`.
"""

from __future__ import annotations

from collections.abc import Mapping

from .cause import Cause, Who

__all__ = ["FAULTS"]

YOU, PROVIDER, OTHER_SIDE = Who.YOU, Who.PROVIDER, Who.OTHER_SIDE

_PORTS = (
    "Programs send mail to port 587 (STARTTLS) or 465 (TLS from the first octet) of their own"
    " provider, after a login. Port 25 is for mail between servers."
)
_PORT_25 = Cause(
    "The network from which you connect blocks outgoing connections to port 25, as most clouds and"
    " home connections do.",
    PROVIDER,
    "Send through your provider's server on port 587 or 465 instead. For a mail server, ask the"
    " provider of the machine to open port 25.",
)
_FIREWALL = Cause(
    "A firewall on the way drops the connection.",
    PROVIDER,
    "Connect from another network. If that works, ask the one that does not to open the port.",
)
_WRONG_PLACE = Cause("The host name or the port is wrong.", YOU, f"Check both. {_PORTS}")
_SERVER_DOWN = Cause(
    "The server is down, or overloaded.",
    OTHER_SIDE,
    "Try again in some minutes. If it is your own server, look whether it runs and listens there.",
)
_NOT_RUNNING = Cause(
    "No program listens on this port of the host.",
    OTHER_SIDE,
    "If it is your own server, start it, and look on which address and port it listens: a server on"
    " 127.0.0.1 is not reached from other machines.",
)
_LOG = "Look into the server's log for the time of the connection."
_OTHER_SERVICE = "The host has another service on this port, or a proxy in between answers."
_IMPLICIT_TLS = Cause(
    "The port expects TLS from the first octet, as port 465 does, and you speak in clear.",
    YOU,
    'Connect with tls="implicit" (smtps:// in a URL).',
)
_CLOCK = Cause(
    "The clock of this machine is wrong.",
    YOU,
    "Compare it with another clock, and let it be set by NTP.",
)
_INTERCEPTED = Cause(
    "Something in between, such as a virus scanner or a firewall, breaks TLS open and shows a"
    " certificate of its own.",
    PROVIDER,
    "Look who issued the certificate: smtpproto probe HOST tells. Switch the inspection of mail"
    " off.",
)
_PRIVATE_CA = Cause(
    "The certificate comes from a CA that this machine does not know, for example one of an"
    " organisation.",
    YOU,
    "If you trust that CA, pass its file: TLSVerify.by_ca.",
)
_NO_CAS = Cause(
    "This machine has no CA certificates, as small containers do.",
    YOU,
    "Install the package ca-certificates.",
)
_OLD_TLS = Cause(
    "One side has only versions of TLS or ciphers that the other does not allow. This library needs"
    " TLS 1.2 or later (RFC 8996).",
    OTHER_SIDE,
    "Update the server, or let it allow TLS 1.2 and 1.3. If you passed a context of your own, check"
    " what it allows.",
)
_PEER_CLOSED = Cause(
    "The server closes connections that it does not want: from this address, too many at once, or"
    " because its own program failed.",
    OTHER_SIDE,
    f"Try again later and with fewer connections. {_LOG}",
)
_LOST_ON_THE_WAY = Cause(
    "The network or a firewall in between cut the connection.",
    PROVIDER,
    "Try again. If it happens after a fixed time, look for a limit on idle connections; if it"
    " happens with large messages only, for the MTU of a tunnel.",
)
_STRIPPED = Cause(
    "Something in between hides the offer of STARTTLS: some firewalls inspect mail that way.",
    PROVIDER,
    'Connect from another network, or use port 465 with tls="implicit". Do not send a password'
    " over this connection.",
)
_OTHER_TRANSPORT = Cause(
    "The server has no certificate, or STARTTLS is switched off on this port.",
    OTHER_SIDE,
    "If it is your own server, give it a certificate and switch STARTTLS on.",
)
_PROTOCOL_ERROR = Cause(
    "The server, or a filter in front of it, does not keep to SMTP.",
    OTHER_SIDE,
    "Record the session with trace, and show it to whoever runs the server.",
)
_NOT_SMTP = Cause(f"This is not a mail server. {_OTHER_SERVICE}", YOU, f"Check the port. {_PORTS}")
_YOUR_CALL = Cause(
    "The program calls the library in an order or with a value that SMTP does not allow.",
    YOU,
    "Read the text of the error: it says which. Nothing was sent.",
)
_DISK = Cause(
    "The disk is full or broken, or the files belong to another user.",
    YOU,
    "Check the free space and the permissions of the directory, and the system's log.",
)


def _not_smtp(protocol: str, ports: str) -> tuple[Cause, ...]:
    text = f"The server speaks {protocol}, not SMTP. {_OTHER_SERVICE}"
    return (Cause(text, YOU, f"Check host and port: {protocol} uses {ports}. {_PORTS}"),)


FAULTS: Mapping[str, tuple[Cause, ...]] = {
    # -- connecting
    "connection-refused": (_NOT_RUNNING, _WRONG_PLACE, _FIREWALL),
    "connect-timeout": (_FIREWALL, _SERVER_DOWN, _WRONG_PLACE),
    "port-25-timeout": (_PORT_25, _SERVER_DOWN, _WRONG_PLACE),
    "name-not-found": (
        Cause(
            "The name of the server does not exist.",
            YOU,
            "Check the spelling. The domain of an address is not the name of its server: look for"
            " its MX record, or for the server that your provider names.",
        ),
        Cause(
            "The DNS of this machine does not work.",
            PROVIDER,
            "Look up another name. In a container, check its DNS settings.",
        ),
    ),
    "no-route": (
        Cause(
            "This machine has no way to that address, for example no IPv6.",
            PROVIDER,
            "Check the network of this machine. If only IPv6 fails, connect to the IPv4 address.",
        ),
        _FIREWALL,
    ),
    "source-address": (
        Cause(
            "This machine does not have the address that source names, or its port is in use.",
            YOU,
            "Use an address of this machine, and port 0.",
        ),
    ),
    "unix-socket": (
        Cause(
            "The socket does not exist, its server does not run, or you may not write to it.",
            YOU,
            "Check the path, the permissions of the file and of its directory, and the server.",
        ),
    ),
    "connect-failed": (_WRONG_PLACE, _SERVER_DOWN, _FIREWALL),
    "silent": (
        _IMPLICIT_TLS,
        Cause(
            "The server waits before it greets, to make spammers give up, or is overloaded.",
            OTHER_SIDE,
            "Wait longer: RFC 5321 asks clients to wait 5 minutes for the greeting.",
        ),
        Cause(
            "Another service is there, such as HTTP, which waits for the client to speak first.",
            YOU,
            f"Check the port. {_PORTS}",
        ),
    ),
    "timed-out": (
        _SERVER_DOWN,
        Cause(
            "The server checks the message or the recipient for long.",
            OTHER_SIDE,
            "Wait longer: set timeouts. RFC 5321 4.5.3.2 asks for 10 minutes after the message.",
        ),
        _LOST_ON_THE_WAY,
    ),
    # -- TLS
    "certificate-expired": (
        Cause(
            "The server's certificate has expired, or is not valid yet.",
            OTHER_SIDE,
            "Renew it, let a program renew it from now on (ACME), and let the server load it"
            " again.",
        ),
        _CLOCK,
    ),
    "certificate-name": (
        Cause(
            "You connect by a name that the certificate does not have.",
            YOU,
            "Connect by a name in the certificate, or set server_name to it. smtpproto probe HOST"
            " shows its names.",
        ),
        Cause(
            "The server shows the certificate of another host.",
            OTHER_SIDE,
            "Add the name to the certificate, or let the server choose it by SNI.",
        ),
    ),
    "certificate-self-signed": (
        Cause(
            "The server's certificate is self-signed, so nobody else vouches for it.",
            OTHER_SIDE,
            "Use a certificate of a public CA: they are free of charge by ACME.",
        ),
        Cause(
            "You know this server, and trust its certificate as it is.",
            YOU,
            "Trust only this certificate: TLSVerify.by_fingerprint, or TLSVerify.by_ca with its"
            " file.",
        ),
        _INTERCEPTED,
    ),
    "certificate-unknown-ca": (_PRIVATE_CA, _NO_CAS, _INTERCEPTED),
    "certificate-issuer-unknown": (
        Cause(
            "The server does not send the intermediate certificates of its CA.",
            OTHER_SIDE,
            "Let the server send the whole chain: the file of the certificate must contain the"
            " intermediate certificates after it (fullchain.pem).",
        ),
        _PRIVATE_CA,
        _NO_CAS,
    ),
    "certificate-untrusted": (
        Cause(
            "The certificate is not one that you said to trust.",
            YOU,
            "Ask whoever runs the server whether the certificate is new, and compare the"
            " fingerprint in another way.",
        ),
        _INTERCEPTED,
    ),
    "tls-version": (_OLD_TLS,),
    "tls-on-clear-port": (_IMPLICIT_TLS,),
    "clear-on-tls-port": (
        Cause(
            "You begin with TLS, and the server greets in clear.",
            YOU,
            'Connect with tls="required", which uses STARTTLS (port 587), or to port 465.',
        ),
    ),
    "client-certificate": (
        Cause(
            "The server wants a certificate from you, or does not trust the one you show.",
            YOU,
            "Set certificate to one that the server's administrator accepts.",
        ),
    ),
    "tls-closed": (
        Cause(
            "The server has no usable certificate, or its TLS is broken.",
            OTHER_SIDE,
            _LOG,
        ),
        _OLD_TLS,
        _LOST_ON_THE_WAY,
    ),
    "tls-garbage": (
        Cause(
            "The server does not speak TLS where it should.",
            OTHER_SIDE,
            f"Check the port and the TLS option that you use. {_LOG}",
        ),
        _STRIPPED,
    ),
    "tls-failed": (
        Cause("The two sides do not agree on TLS.", OTHER_SIDE, _LOG),
        _OLD_TLS,
    ),
    "starttls-not-offered": (
        _OTHER_TRANSPORT,
        Cause(
            "The port is not for clients: some servers offer STARTTLS on port 587 only.",
            YOU,
            f"Check the port. {_PORTS}",
        ),
        _STRIPPED,
    ),
    "starttls-injection": (
        Cause(
            "Octets in clear follow the reply to STARTTLS: an attacker in between put them there,"
            " or"
            " the server is broken (RFC 3207 6).",
            OTHER_SIDE,
            "Do not use this connection. Try from another network; if it is your own server, update"
            " it.",
        ),
    ),
    # -- login
    "login-in-clear": (
        Cause(
            "The password would travel without TLS to a verified server, so it was not sent.",
            YOU,
            "Let TLS be required and verified (the defaults of a login). Only on a network that you"
            " trust, set login_in_clear=True.",
        ),
    ),
    "no-mechanism": (
        Cause(
            "The server offers logins only after TLS, or not on this port.",
            YOU,
            'Use tls="required" or "implicit", and port 587 or 465.',
        ),
        Cause(
            "The server wants a kind of login that you have not given, for example a token of OAuth"
            " instead of a password.",
            YOU,
            "Compare what it offers with your login: smtpproto probe HOST shows the mechanisms.",
        ),
    ),
    # -- the conversation
    "closed-at-once": (_IMPLICIT_TLS, _PEER_CLOSED),
    "closed-after-hello": (
        Cause(
            "The server does not accept the name in EHLO, or no client from this address.",
            OTHER_SIDE,
            "Set hello to a name of this machine that the DNS knows.",
        ),
        _PEER_CLOSED,
    ),
    "connection-lost": (_PEER_CLOSED, _LOST_ON_THE_WAY),
    "http": _not_smtp("HTTP", "ports 80, 443 and 8080"),
    "imap": _not_smtp("IMAP", "ports 143 and 993"),
    "pop3": _not_smtp("POP3", "ports 110 and 995"),
    "ssh": _not_smtp("SSH", "port 22"),
    "not-smtp": (_NOT_SMTP, _PROTOCOL_ERROR),
    "reply-too-long": (_PROTOCOL_ERROR, _NOT_SMTP),
    "unfinished-reply": (
        Cause(
            "The server sends its reply very slowly, or does not end it: to hold clients up"
            " (a tarpit), or because its program hangs.",
            OTHER_SIDE,
            f"Wait longer, or use another server. {_LOG}",
        ),
        _LOST_ON_THE_WAY,
    ),
    "bare-newline": (
        Cause(
            "The server ends its lines with LF alone. Only CRLF ends a line in SMTP (RFC 5321"
            " 2.3.8), so its reply never ends.",
            OTHER_SIDE,
            "Let the server send CRLF. Scripts and test servers have this fault most often.",
        ),
    ),
    "protocol-error": (_PROTOCOL_ERROR,),
    "outcome-unknown": (
        Cause(
            "The connection was lost after the end of the message, before the reply. The server may"
            " have accepted the message or not (RFC 5321 4.5.3.2.6).",
            YOU,
            "Ask a recipient, or look into the server's log for the Message-ID, before you send it"
            " again: they may get it twice.",
        ),
    ),
    "not-offered": (
        Cause(
            "The message needs an extension that this server does not offer, for example SMTPUTF8"
            " for an address with other letters than a to z, or a larger SIZE.",
            YOU,
            "Send the message without it, or through another server. Some servers offer more after"
            " TLS or a login.",
        ),
    ),
    "misuse": (_YOUR_CALL,),
    "grammar": (
        Cause(
            "A value does not follow the grammar of SMTP.",
            YOU,
            "Read the text of the error: it says what is wrong and at which octet.",
        ),
    ),
    # -- a mail agent
    "no-mail-host": (
        Cause(
            "The domain of the address is misspelt, or takes no mail.",
            YOU,
            "Check the address.",
        ),
        Cause(
            "The DNS of the domain does not work.",
            OTHER_SIDE,
            "Look at its MX and address records: smtpproto doctor DOMAIN does.",
        ),
    ),
    "queue-failed": (_DISK,),
    "queue-full": (_DISK,),
    "content-lost": (
        Cause(
            "The file with the content of the message was removed or damaged.",
            YOU,
            "Put back a copy of the file and release the message, or drop it.",
        ),
    ),
    "states-failed": (_DISK,),
}
"""The causes of each fault, the most likely one first."""
