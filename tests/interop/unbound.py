"""Unbound, a resolver that validates DNSSEC, before NSD with a signed zone."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import dns.dnssec
import dns.zone
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_der_x509_certificate

from tests.interop.nsd import name_server
from tests.interop.programs import (
    Certificate,
    configuration,
    find_program,
    first_certificate,
    require_root,
    running,
    shared_directory,
)

_ZONE = "box.test"
# The records whose signatures are to fail, up to their first number and after it.
_FORGED = re.compile(r"(?m)^(\S*forged\S* \d+ IN (?:MX|TLSA)) \d+ (.*)")
_LIFETIME = 86400  # seconds for which signatures are valid


@contextlib.contextmanager
def resolver(certificate: Certificate) -> Iterator[str]:
    """Run Unbound on port 53 of an address of the loopback while the block runs; return the
    address.

    It knows the zone ``etc/signed.box.test.zone``, whose TLSA records fit *certificate*, and
    no other. Postfix can be told an address, but no other port.
    """
    binary = find_program("unbound")
    require_root("a server on port 53")
    zone, anchor = _signed(certificate)
    address = f"127.53.{os.getpid() // 256 % 256}.{os.getpid() % 256}"
    with name_server(zones={_ZONE: zone}) as port, shared_directory() as directory:
        file, log = directory / "unbound.conf", directory / "log"
        values = {"address": address, "directory": directory, "anchor": anchor, "port": port}
        file.write_text(configuration(file.name, values))
        command: list[str | Path] = [binary, "-d", "-c", file]
        with running("Unbound", command, log, port=53, host=address):
            yield address


def _signed(certificate: Certificate) -> tuple[str, str]:
    """Return the zone, signed and then forged in part, and its key as the trust anchor."""
    leaf = load_der_x509_certificate(first_certificate(certificate.chain))
    key = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    values = {"key": sha256(key).hexdigest(), "ca": first_certificate(certificate.ca).hex()}
    text = configuration(f"signed.{_ZONE}.zone", values)
    zone = dns.zone.from_text(text, _ZONE, relativize=False)
    private = ec.generate_private_key(ec.SECP256R1())
    public = dns.dnssec.make_dnskey(private.public_key(), "ECDSAP256SHA256", 257)
    dns.dnssec.sign_zone(zone, keys=[(private, public)], lifetime=_LIFETIME)
    signed = zone.to_text(relativize=False)
    forged, changed = _FORGED.subn(r"\1 2 \2", signed)
    assert changed == 2
    return forged, f"{_ZONE}. DNSKEY {public}"
