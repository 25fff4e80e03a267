"""Names with letters beyond ASCII, where only ASCII may stand (RFC 6531 3.7.1), and paths told."""

from __future__ import annotations

import pytest
from hypothesis import example, given

from smtpproto import ClientConfig, Domain, ForwardPath, GrammarError, Reply
from smtpproto.grammar.address import suggested_path
from smtpproto.grammar.domain import to_ascii_host
from smtpproto.testing import strategies as our


@pytest.mark.parametrize(
    ("name", "ascii_name"),
    [
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("B\u00fccher.example", "xn--bcher-kva.example"),
        ("\u4f8b\u3048.jp", "xn--r8jz45g.jp"),
        ("mx.example", "mx.example"),
        ("MX.Example", "MX.Example"),
    ],
)
def test_a_labels(name: str, ascii_name: str) -> None:
    assert str(Domain(name).a_labels()) == ascii_name
    assert str(to_ascii_host(name)) == ascii_name


@pytest.mark.parametrize("name", ["stra\u00dfe.example", "\u03c2.example", "a\u200db.example"])
def test_names_that_idna_s_editions_read_differently(name: str) -> None:
    with pytest.raises(GrammarError, match="A-labels"):
        Domain(name).a_labels()


@given(our.domains(u_labels=True))
@example(Domain("\u00bc\u2488"))  # what this becomes cannot be read back
def test_a_labels_are_ascii_or_our_error(domain: Domain) -> None:
    try:
        assert domain.a_labels().isascii
    except GrammarError:
        assert not domain.isascii


@pytest.mark.req("RFC6531-3.7.1-01")
def test_a_client_names_itself_in_ascii() -> None:
    assert str(ClientConfig(hello="b\u00fccher.example").hello) == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("reply", "path"),
    [
        (Reply(551, "5.1.6", "User not local; please try <bob@example.org>"), "bob@example.org"),
        (Reply(251, None, "User not local; will forward to <bob@example.org>"), "bob@example.org"),
        (Reply(551, None, ["no <b@d or> here", "but <bob@example.org>"]), "bob@example.org"),
        (Reply(551, None, "please try bob@example.org"), None),
        (Reply(550, None, "no <bob@example.org> here"), None),
    ],
)
def test_the_path_that_a_reply_tells(reply: Reply, path: str | None) -> None:
    assert suggested_path(reply) == (None if path is None else ForwardPath.of(path))


@pytest.mark.req("RFC6531-3.7.4.1-01")
def test_a_path_in_utf8() -> None:
    told = "\u7528\u6237@\u4f8b\u3048.jp"
    assert suggested_path(Reply.parse(f"551 <{told}>\r\n".encode())) == ForwardPath.of(told)
