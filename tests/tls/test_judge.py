"""A judge decides which certificates a client trusts."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

import pytest
from attrs import field, frozen

from smtpproto import TLSFailed, TLSVerify
from smtpproto.tls.context import client_context
from tests.support.certificates import CA, NAME, der
from tests.support.tls_libraries import (
    LIBRARIES,
    Library,
    PyOpenSSL,
    client_of,
    move,
    server_of,
    shake_hands,
)

MIDDLE = CA.create_child_ca()
LEAF = MIDDLE.issue_cert(NAME)
CHAIN = [
    der(LEAF),
    *(ssl.PEM_cert_to_DER_cert(it.bytes().decode()) for it in LEAF.cert_chain_pems[1:]),
]


@frozen
class Judge:
    why: str = ""
    seen: list[Sequence[bytes]] = field(factory=list, eq=False)

    def fault(self, chain: Sequence[bytes]) -> str:
        self.seen.append(chain)
        return self.why


def test_a_verification_by_judge_has_no_other_rule() -> None:
    verify = TLSVerify.by_judge(Judge())
    assert verify == TLSVerify.by_judge(Judge())
    context = client_context(verify)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)
    with pytest.raises(ValueError, match="set only one of"):
        TLSVerify(judge=Judge(), enabled=False)
    with pytest.raises(TypeError):
        TLSVerify(judge="x")  # type: ignore[arg-type]


def contexts(library: Library) -> tuple[object, object]:
    client = client_context(TLSVerify.by_judge(Judge()))
    return (library.client(CA) if library is PyOpenSSL else client), library.server(LEAF)


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda it: it.name)
@pytest.mark.parametrize("why", ["", "it is\nforged"])
def test_a_judge_sees_all_that_the_server_shows(library: Library, why: str) -> None:
    judge = Judge(why)
    client_side, server_side = contexts(library)
    client = client_of(client_side, verify=TLSVerify.by_judge(judge))  # type: ignore[arg-type]
    server = server_of(server_side)  # type: ignore[arg-type]
    if not why:
        shake_hands(client, server)
        assert client.info.verified
    else:
        assert not client.handshake()
        move(client, server)
        server.handshake()
        move(server, client)
        with pytest.raises(TLSFailed, match=r"it is\\nforged"):
            client.handshake()
    assert [*judge.seen[0]] == CHAIN
