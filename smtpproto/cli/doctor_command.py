"""``smtpproto doctor``: what is wrong with the mail of a domain, and how to mend it."""

from __future__ import annotations

import argparse
from ipaddress import ip_address

from ..adapters.blocking import Runtime
from ..adapters.blocking import run as run_blocking
from ..adapters.https import HTTPSFetch
from ..dns import Resolver
from ..doctor import DoctorOptions, examine_domain
from ..policy import Certificates, Keys
from ..tls import TLSVerify
from .command_errors import CommandError, UsageError
from .findings import report
from .options import add_json_option, address, port, read_ca

STATUSES = "The exit status is 1 if there are errors, or warnings and --strict is given."
DESCRIPTION = f"""Examine the records of DOMAIN in the DNS and the hosts that take its mail. No mail
is sent. {STATUSES}"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add("domain", metavar="DOMAIN", help="the domain, as in ann@DOMAIN")
    help_ = "selector of a DKIM key, s= in a signature; may be repeated"
    add("--selector", action="append", default=[], metavar="NAME", help=help_)
    help_ = "IP address of a host that sends mail of DOMAIN; may be repeated"
    add("--sender", type=address, action="append", default=[], metavar="ADDRESS", help=help_)
    help_ = "only ask the DNS, and connect to no host"
    add("--no-connect", dest="connects", action="store_false", help=help_)
    help_ = "IP address of this machine from which to connect"
    add("--source", type=address, metavar="ADDRESS", help=help_)
    add("--hello", metavar="NAME", help="name for EHLO (default: the IP address of this machine)")
    help_ = "trust the CAs in this PEM file, instead of the system's"
    add("--ca", metavar="FILE", help=help_)
    add_report_options(parser)


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that the commands with findings share."""
    add = parser.add_argument
    help_ = "IP address of the name server to ask (default: those of the system)"
    add("--resolver", metavar="HOST[:PORT]", help=help_)
    add_json_option(parser)
    add("--strict", action="store_true", help="let warnings set the exit status, too")


def run(args: argparse.Namespace) -> int:
    """Examine a domain. Return the exit status."""
    try:
        verify = read_ca(args.ca) if args.ca else TLSVerify.by_name()
        options = DoctorOptions(
            selectors=args.selector,
            senders=args.sender,
            connects=args.connects,
            hello=args.hello,
            source=args.source,
            verify=verify,
            keys=keys(),
            fetch=HTTPSFetch(verify=verify) if args.connects else None,
            certificates=_certificates(),
        )
    except ValueError as error:
        raise UsageError(f"{error}; check: --selector and --hello") from None
    resolver = resolver_of(args.resolver)
    return report(run_blocking(examine_domain(args.domain, resolver, Runtime(), options)), args)


def resolver_of(text: str | None) -> Resolver:
    """Return what asks the name server *text*, an address with or without a port."""
    try:
        from ..adapters.dnspython import DNSResolver  # noqa: PLC0415 - it is an extra
    except ImportError as error:
        raise CommandError(str(error)) from None
    try:
        if text is None:
            return DNSResolver()
        server, number = _address_and_port(text)
        return DNSResolver([server], port=number)
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise UsageError(f"{error}; check: --resolver") from None


def _address_and_port(text: str) -> tuple[str, int]:
    """Read ``192.0.2.1``, ``192.0.2.1:53``, ``2001:db8::1`` or ``[2001:db8::1]:53``."""
    host, colon, number = text.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        return str(ip_address(text.strip("[]"))), 53
    return str(ip_address(host.strip("[]"))), port(number)


def keys() -> Keys | None:
    """Return what reads public keys, or None if the extra for it is not installed."""
    try:
        from ..adapters.cryptography_keys import CryptographyKeys  # noqa: PLC0415
    except ImportError:
        return None
    return CryptographyKeys()


def _certificates() -> Certificates | None:
    try:
        from ..adapters.cryptography_certificates import (  # noqa: PLC0415
            CryptographyCertificates,
        )
    except ImportError:
        return None
    return CryptographyCertificates()
