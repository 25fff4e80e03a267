"""OpenSSL and this library judge certificates by TLSA records alike (RFC 7672, RFC 7671)."""

from __future__ import annotations

import ssl
from itertools import product
from pathlib import Path

import pytest
import trustme

from smtpproto.dns import TLSA
from tests.interop.openssl import s_client, s_server
from tests.policy.test_dane import fault, record
from tests.support.certificates import expired, self_signed

pytestmark = pytest.mark.peer("openssl")

NAME = "mx.example.org"
CA = trustme.CA()
MIDDLE = CA.create_child_ca()
STRANGER = trustme.CA()
LEAVES = {
    "direct": CA.issue_cert(NAME),
    "through another": MIDDLE.issue_cert(NAME),
    "wildcard": MIDDLE.issue_cert("*.example.org"),
    "other name": MIDDLE.issue_cert("other.example.org"),
    "expired": expired(CA, NAME),
    "self-signed": self_signed(NAME),
}
# RFC 7672 3.1.1: for DANE-EE, names do not count.
DANE = ("-brief", "-dane_tlsa_domain", NAME, "-dane_ee_no_namechecks")
KINDS = [*product((0, 1), (0, 1, 2))]


def octets(pem: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem)


ROOT = octets(CA.cert_pem.bytes().decode())
OTHER = octets(STRANGER.cert_pem.bytes().decode())


def chain_of(leaf: trustme.LeafCert, *, with_root: bool) -> list[bytes]:
    own = [octets(it.bytes().decode()) for it in leaf.cert_chain_pems]
    return [*own, ROOT] if with_root else own


def records_for(chain: list[bytes]) -> list[TLSA]:
    candidates = {*chain, OTHER}
    found = [record(3, *kind, chain[0]) for kind in KINDS]
    found += [record(2, *kind, it) for it in sorted(candidates) for kind in KINDS]
    # OpenSSL looks for bare keys beyond the chain, which this library does not (see the page).
    return [it for it in found if (it.usage, it.selector, it.matching) != (2, 1, 0)]


@pytest.mark.parametrize("with_root", [False, True])
@pytest.mark.parametrize("kind", LEAVES)
def test_openssl_accepts_what_this_library_accepts(
    kind: str, with_root: bool, tmp_path: Path
) -> None:
    leaf = LEAVES[kind]
    chain = chain_of(leaf, with_root=with_root)
    pem = tmp_path / "chain.pem"
    pem.write_bytes(
        leaf.private_key_and_cert_chain_pem.bytes()
        + b"".join(ssl.DER_cert_to_PEM_cert(it).encode() for it in chain[1:])
    )
    (tmp_path / "others.pem").write_text("".join(map(ssl.DER_cert_to_PEM_cert, chain)))
    with s_server(tmp_path / "log", pem, "-cert_chain", tmp_path / "others.pem") as port:
        for it in records_for(chain):
            text = f"{it.usage} {it.selector} {it.matching} {it.data.hex()}"
            output = s_client(port, *DANE, "-dane_tlsa_rrdata", text, check=False)
            theirs = "Verification: OK" in output
            assert (fault(chain, it, names=[NAME]) == "") is theirs, (text[:12], output)
