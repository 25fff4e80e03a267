"""Mailboxes and paths, by example (RFC 5321 4.1.2, RFC 6531 3.3)."""

from __future__ import annotations

import pytest

from smtpproto.errors import GrammarError
from smtpproto.grammar.address import ForwardPath, Mailbox, ReversePath, quote
from smtpproto.grammar.domain import AddressLiteral, Domain

L63 = "d" * 63
D254, D255 = f"{L63}.{L63}.{L63}.{'d' * 62}", f"{L63}.{L63}.{L63}.{L63}"
P255 = f"{L63}.{L63}.{L63}"  # 64 + "@" + 189 = 254, in brackets 256 with two octets less


@pytest.mark.req("RFC5321-4.1.1-02", "RFC5321-4.1.2-01", "RFC5321-2.3.11-01", "RFC5321-4.1.2-06",
                 "RFC5321-4.1.2-10", "RFC6531-3.2-02")  # fmt: skip
@pytest.mark.parametrize(
    ("written", "local_part", "canonical"),
    [("a@b", "a", None), ("Smith+X@example.com", "Smith+X", None), ("a.b.c@b", "a.b.c", None),
     ("!#$%&'*+-/=?^_`{|}~@b", "!#$%&'*+-/=?^_`{|}~", None), ("a%b!c@d", "a%b!c", None),
     ('"a b"@b', "a b", None), ('" "@b', " ", None), ('"a..b"@b', "a..b", None),
     ('".a"@b', ".a", None), ('"a."@b', "a.", None), ('"@"@b', "@", None),
     ('"a@b>c,<d"@b', "a@b>c,<d", None), (r'"\""@b', '"', None), (r'"\\"@b', "\\", None),
     (r'"a\\\"b"@b', r'a\"b', None),
     # all quoted forms are equal; the one with the least quoting is written
     ('"a"@b', "a", "a@b"), (r'"\a"@b', "a", "a@b"), ('"a.b"@b', "a.b", "a.b@b"),
     (r'"a\ b"@b', "a b", '"a b"@b'), (r'"\@"@b', "@", '"@"@b'), (r'"\~"@b', "~", "~@b"),
     (r'"Joe\,Smith"@b', "Joe,Smith", '"Joe,Smith"@b'),
     # RFC 6531
     ("é@b", "é", None), ("用户@例え.jp", "用户", None), ('"é é"@b', "é é", None),
     ("é.用户@b", "é.用户", None),
     ('"é"@b', "é", "é@b"), (r'"\aé"@b', "aé", "aé@b"), ("e\u0301@b", "e\u0301", None),
     ("\U0010ffff@b", "\U0010ffff", None), ("a\u3002b@c", "a\u3002b", None)],
)  # fmt: skip
def test_mailbox(written: str, local_part: str, canonical: str | None) -> None:
    mailbox = Mailbox.parse(written.encode())
    assert mailbox.local_part == local_part
    assert str(mailbox) == (canonical or written)
    assert bytes(mailbox) == str(mailbox).encode()
    assert mailbox.isascii is written.isascii()


@pytest.mark.req("RFC5321-4.1.2-01", "RFC5321-4.1.2-07", "RFC5321-F.4-01", "RFC6531-3.3-01")
@pytest.mark.parametrize(
    ("written", "offset"),
    [("", 0), ("a", 1), ("@", 0), ("@b", 0), ("a@", 2), ("a@b@c", 3), ("a b@c", 1), (".a@b", 0),
     ("a.@b", 1), ("a..b@c", 1), ("a@b.", 4), ("a@b..c", 4), ("a@-b", 2), ("a@b_c", 2),
     ('""@b', 0), ('"a@b', 0), ('"a"b@c', 3), ('a"b"@c', 1), (r'"a\"@b', 0), ('"a"."b"@c', 3),
     ('"a\tb"@c', 0), ('"a\x7f"@c', 0), ('"\\\x01"@c', 0), (r'"\é"@c', 0), ("a\\ b@c", 1),
     ("a\x01b@c", 1), ("a\0@b", 1), ("a\x7f@b", 1), ("a@b\0", 2), ("a@b\n", 3), ("a\r\n@b", 1),
     ("a@#123", 2), ("a@[192.0.2.1", 2), ("a@[192.0.2.256]", 3), ("a@[192.0.2.1]x", 13),
     ("a(c)@b", 1), ("(c)a@b", 0), ("a@b(c)", 3), ("a @b", 1), ("a@ b", 2), (" a@b", 0),
     ("a@b ", 3), ("<a@b>", 0), ("a<b@c", 1), ("a@b>", 3), ("a,b@c", 1), ("a@b,c", 3), ("a:b@c", 1),
     ("a;b@c", 1), ("é b@c", 2), ("é@b@c", 4), ("a@é_", 2), ("a@b\u3002c", 2), ("a\ud800@b", 1),
     ("é\ud800@b", 2), ("@a:b@c", 0)],
)  # fmt: skip
def test_not_a_mailbox(written: str, offset: int) -> None:
    with pytest.raises(GrammarError) as caught:
        Mailbox.parse(written)
    assert caught.value.offset == offset
    assert caught.value.reply is not None
    assert caught.value.reply.code == 501


@pytest.mark.req("RFC6531-3.3-03")
@pytest.mark.parametrize(
    "octets",
    [b"\xc0\xae@b", b"a\xc1\x80b@c", b"\xe0\x80\xae@b", b"\xed\xa0\x80@b", b"\xf4\x90\x80\x80@b",
     b"\xe9@b", b'"\xff"@b', b"a@\xc0\xae"],
)  # fmt: skip
def test_a_mailbox_is_well_formed_utf8(octets: bytes) -> None:
    for parse, wrapped in (
        (Mailbox.parse, octets),
        (ReversePath.parse, b"<%b>" % octets),
        (ForwardPath.parse, b"<%b>" % octets),
    ):
        with pytest.raises(GrammarError, match="UTF-8") as caught:
            parse(wrapped)
        assert caught.value.reply is not None
        assert caught.value.reply.code == 501


@pytest.mark.req("RFC5321-4.5.3.1.1-01")
@pytest.mark.parametrize(
    ("fits", "too_long"),
    [("a" * 64, "a" * 65), ("é" * 32, "é" * 32 + "a"), (f'"{" " * 62}"', f'"{" " * 63}"'),
     (r'"\"' + " " * 60 + '"', r'"\"' + " " * 61 + '"'),
     (r'"' + r"\a" * 31 + '"', r'"' + r"\a" * 31 + 'a"')],
)  # fmt: skip
def test_local_parts_have_64_octets_as_written(fits: str, too_long: str) -> None:
    assert len(fits.encode()) == 64
    assert len(too_long.encode()) == 65
    assert str(Mailbox.parse(f"{fits}@b")).endswith("@b")
    with pytest.raises(GrammarError, match="64"):
        Mailbox.parse(f"{too_long}@b")


def test_a_mailbox_cannot_be_built_with_a_bad_local_part() -> None:
    b = Domain("b")
    assert bytes(Mailbox('"' * 31, b)) == b'"' + rb"\"" * 31 + b'"@b'
    for local_part in ("", "a" * 65, '"' * 32, "a\n", "a\0b", "\x7f", "\ud800"):
        with pytest.raises(GrammarError):
            Mailbox(local_part, b)


@pytest.mark.req("RFC5321-2.4-02")
def test_local_parts_differ_by_case_domains_do_not() -> None:
    assert Mailbox.parse("Ann@EXAMPLE.com") == Mailbox.parse("Ann@example.COM")
    assert hash(Mailbox.parse("Ann@EXAMPLE.com")) == hash(Mailbox.parse("Ann@example.COM"))
    assert Mailbox.parse("Ann@example.com") != Mailbox.parse("ann@example.com")
    assert str(Mailbox.parse("Ann@EXAMPLE.com")) == "Ann@EXAMPLE.com"


def test_quote() -> None:
    assert quote("a.b") == "a.b"
    assert quote("a b") == '"a b"'
    assert quote('\\"') == r'"\\\""'


@pytest.mark.parametrize("literal", ["[192.0.2.1]", "[IPv6:2001:db8::1]", "[x:a@b>c]"])
def test_a_mailbox_at_an_address_literal(literal: str) -> None:
    mailbox = Mailbox.parse(f"a@{literal}")
    assert mailbox.domain == AddressLiteral.parse(literal)
    assert ForwardPath.parse(f"<a@{literal}>").mailbox == mailbox


@pytest.mark.req("RFC5321-3.3-05", "RFC5321-4.1.1.3-02", "RFC5321-F.2-01", "RFC5321-4.1.2-02",
                 "RFC5321-3.3-04", "RFC5321-3.6.1-01", "RFC5321-3.6.1-02", "RFC5321-4.1.1.3-01",
                 )  # fmt: skip
@pytest.mark.parametrize(
    "route", ["@a.example:", "@a.example,@b.example:", "@A,@b,@c:", "@é.example:"]
)
def test_source_routes_are_read_and_never_written(route: str) -> None:
    u = Mailbox.parse("u@c.example")
    assert ReversePath.parse(f"<{route}u@c.example>") == ReversePath(u)
    assert ForwardPath.parse(f"<{route}u@c.example>") == ForwardPath(u)
    assert bytes(ForwardPath.parse(f"<{route}u@c.example>")) == b"<u@c.example>"


@pytest.mark.req("RFC5321-C-04")
@pytest.mark.parametrize(
    ("route", "offset"),
    [("@:", 1), ("@a", 1), ("@a,", 4), ("@a,b:", 4), ("@a:@b:", 4), ("@a_b:", 2), ("@a,@b_:", 5),
     ("@[192.0.2.1]:", 2), ("@a, @b:", 4), ("a:", 2), (":", 1), ("@a;", 1), ("@a..b:", 4)],
)  # fmt: skip
def test_not_a_source_route(route: str, offset: int) -> None:
    with pytest.raises(GrammarError) as caught:
        ForwardPath.parse(f"<{route}u@c.example>")
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    "path",
    ["", "<", ">", "a@b", "<a@b", "a@b>", "<<a@b>>", "<a@b>>", "<a@b> ", " <a@b>", "< a@b>",
     "<a@b >", "<a>", "<@>", "< >", "<a@b>x", "<a@b\0>", "<a@b\r\n>", "<a@b><c@d>",
     "\uff1ca@b\uff1e"],
)  # fmt: skip
def test_not_a_path(path: str) -> None:
    for parse in (ReversePath.parse, ForwardPath.parse):
        with pytest.raises(GrammarError) as caught:
            parse(path.encode())
        assert 0 <= caught.value.offset <= len(path.encode())


def test_the_null_path_is_a_sender_only() -> None:
    assert (
        ReversePath.parse(b"<>") == ReversePath(None) == ReversePath.of("") == ReversePath.of(None)
    )
    assert bytes(ReversePath(None)) == b"<>"
    assert str(ReversePath(None)) == ""
    with pytest.raises(GrammarError):
        ForwardPath.parse(b"<>")
    with pytest.raises(GrammarError):
        ForwardPath.of("")


@pytest.mark.req("RFC5321-4.1.1.3-07", "RFC5321-2.3.5-05")
@pytest.mark.parametrize("name", ["postmaster", "POSTMASTER", "PostMaster", "pOsTmAsTeR"])
def test_the_bare_postmaster_is_a_recipient_only(name: str) -> None:
    path = ForwardPath.parse(f"<{name}>")
    assert path == ForwardPath(None) == ForwardPath.of(name)
    assert bytes(path) == b"<Postmaster>"
    assert path.is_postmaster
    assert path.domain is None
    with pytest.raises(GrammarError):
        ReversePath.parse(f"<{name}>")


@pytest.mark.req("RFC5321-4.5.1-04")
@pytest.mark.parametrize(
    ("path", "answer"),
    [("<PostMaster@served.example>", True), ('<"postmaster"@b>', True), ("<postmaster2@b>", False),
     ("<po\u017ftmaster@b>", False), ("<\u017fpostmaster@b>", False)],
)  # fmt: skip
def test_is_postmaster(path: str, answer: bool) -> None:
    assert ForwardPath.parse(path).is_postmaster is answer


@pytest.mark.parametrize(
    "path", ["<postmaster", "<po\u017ftmaster>", "<postmasters>", '<"postmaster">']
)
def test_what_is_no_bare_postmaster(path: str) -> None:
    with pytest.raises(GrammarError):
        ForwardPath.parse(path)


@pytest.mark.req("RFC5321-4.5.3.1.3-01")
def test_paths_have_256_octets_brackets_and_route_included() -> None:
    local_part = "a" * 64
    exact = f"<{local_part}@{L63}.{L63}.{'d' * 61}>"
    assert len(exact) == 256
    assert len(bytes(ForwardPath.parse(exact))) == len(bytes(ReversePath.parse(exact))) == 256
    routed = f"<@r:{local_part}@{L63}.{L63}.{'d' * 58}>"
    assert len(routed) == 256
    assert ForwardPath.parse(routed).local_part == local_part
    for longer in (exact.replace(">", "d>"), routed.replace(">", "d>")):
        for parse in (ForwardPath.parse, ReversePath.parse):
            with pytest.raises(GrammarError, match="256"):
                parse(longer)


def test_a_path_cannot_be_built_of_a_longer_mailbox() -> None:
    mailbox = Mailbox("a", Domain(f"{L63}.{L63}.{L63}.{'d' * 60}"))
    assert len(bytes(ReversePath(mailbox))) == len(bytes(ForwardPath(mailbox))) == 256
    longer = Mailbox("aa", mailbox.domain)  # a mailbox all the same
    for path in (ReversePath, ForwardPath, ReversePath.of, ForwardPath.of):
        with pytest.raises(GrammarError, match="256"):
            path(longer)


def test_paths_are_made_of_what_is_at_hand() -> None:
    mailbox = Mailbox.parse("a@b")
    assert ReversePath.of("a@b") == ReversePath.of(mailbox) == ReversePath(mailbox)
    assert ForwardPath.of("a@b") == ForwardPath.of(mailbox) == ForwardPath(mailbox)
    assert ReversePath.of(ReversePath(mailbox)) == ReversePath(mailbox)
    assert ForwardPath.of(ForwardPath(None)) == ForwardPath(None)
    assert ForwardPath(mailbox).domain == "B"
