"""Mailboxes and paths (RFC 5321 4.1.2, RFC 6531 3.3)."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from smtpproto.errors import GrammarError
from smtpproto.grammar.address import ForwardPath, Mailbox, ReversePath
from smtpproto.grammar.domain import AddressLiteral, Domain, parse_host
from smtpproto.grammar.local_part import quote
from smtpproto.grammar.reply import Reply
from smtpproto.replies import suggested_path
from smtpproto.testing import strategies

L63 = "d" * 63


@pytest.mark.req("RFC5321-4.1.1-02", "RFC5321-4.1.2-01", "RFC5321-4.1.2-06", "RFC6531-3.2-02")
@pytest.mark.parametrize(
    ("written", "local_part", "canonical"),
    [("a@b", "a", None), ("Smith+X@example.com", "Smith+X", None), ("a.b.c@b", "a.b.c", None),
     ("!#$%&'*+-/=?^_`{|}~@b", "!#$%&'*+-/=?^_`{|}~", None), ("a%b!c@d", "a%b!c", None),
     ('"a b"@b', "a b", None), ('" "@b', " ", None), ('"a..b"@b', "a..b", None),
     ('".a"@b', ".a", None), ('"a."@b', "a.", None), ('"@"@b', "@", None),
     ('"a@b>c,<d"@b', "a@b>c,<d", None), (r'"\""@b', '"', None), ('""@b', "", None),
     (r'"\\"@b', "\\", None),
     (r'"a\\\"b"@b', r'a\"b', None),
     # All quoted forms are equal; the form with the least quoting is written.
     ('"a"@b', "a", "a@b"), (r'"\a"@b', "a", "a@b"), ('"a.b"@b', "a.b", "a.b@b"),
     (r'"a\ b"@b', "a b", '"a b"@b'), (r'"\@"@b', "@", '"@"@b'), (r'"\~"@b', "~", "~@b"),
     (r'"Joe\,Smith"@b', "Joe,Smith", '"Joe,Smith"@b'),
     # RFC 6531 3.3
     ("é@b", "é", None), ("用户@例え.jp", "用户", None), ('"é é"@b', "é é", None),
     ("é.用户@b", "é.用户", None),
     ('"é"@b', "é", "é@b"), (r'"\aé"@b', "aé", "aé@b"), ("e\u0301@b", "e\u0301", None),
     ("\U0010ffff@b", "\U0010ffff", None), ("a\u3002b@c", "a\u3002b", None)],
)  # fmt: skip
def test_a_mailbox_is_read_and_written_with_the_least_quoting(
    written: str, local_part: str, canonical: str | None
) -> None:
    mailbox = Mailbox.parse(written.encode())
    assert mailbox.local_part == local_part
    assert str(mailbox) == (canonical or written)
    assert bytes(mailbox) == str(mailbox).encode()
    assert mailbox.isascii is written.isascii()


@pytest.mark.req(
    "RFC5321-4.1.2-01", "RFC5321-4.1.2-07", "RFC5321-F.4-01", "RFC6531-3.3-01", "RFC5321-4.1.1-02"
)
@pytest.mark.parametrize(
    ("written", "offset"),
    [("", 0), ("a", 1), ("@", 0), ("@b", 0), ("a@", 2), ("a@b@c", 3), ("a b@c", 1), (".a@b", 0),
     ("a.@b", 1), ("a..b@c", 1), ("a@b.", 4), ("a@b..c", 4), ("a@-b", 2), ("a@b_c", 2),
     ('"a@b', 0), ('"a"b@c', 3), ('a"b"@c', 1), (r'"a\"@b', 0), ('"a"."b"@c', 3),
     ('"a\tb"@c', 0), ('"a\x7f"@c', 0), ('"\\\x01"@c', 0), (r'"\é"@c', 0), ("a\\ b@c", 1),
     ("a\x01b@c", 1), ("a\0@b", 1), ("a\x7f@b", 1), ("a@b\0", 2), ("a@b\n", 3), ("a\r\n@b", 1),
     ("a@#123", 2), ("a@[192.0.2.1", 2), ("a@[192.0.2.256]", 3), ("a@[192.0.2.1]x", 13),
     ("a(c)@b", 1), ("(c)a@b", 0), ("a@b(c)", 3), ("a @b", 1), ("a@ b", 2), (" a@b", 0),
     ("a@b ", 3), ("<a@b>", 0), ("a<b@c", 1), ("a@b>", 3), ("a,b@c", 1), ("a@b,c", 3), ("a:b@c", 1),
     ("a;b@c", 1), ("é b@c", 2), ("é@b@c", 4), ("a@é_", 2), ("a@b\u3002c", 2), ("a\ud800@b", 1),
     ("é\ud800@b", 2), ("@a:b@c", 0)],
)  # fmt: skip
def test_a_malformed_mailbox_is_refused_with_501_at_the_bad_octet(
    written: str, offset: int
) -> None:
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
def test_an_address_that_is_not_utf8_is_refused_with_501(octets: bytes) -> None:
    for parse, wrapped in (
        (Mailbox.parse, octets),
        (ReversePath.parse, b"<%b>" % octets),
        (ForwardPath.parse, b"<%b>" % octets),
    ):
        with pytest.raises(GrammarError, match="UTF-8") as caught:
            parse(wrapped)
        assert caught.value.reply is not None
        assert caught.value.reply.code == 501


@pytest.mark.parametrize(
    ("fits", "too_long"),
    [("a" * 64, "a" * 65), ("é" * 32, "é" * 32 + "a"), (f'"{" " * 62}"', f'"{" " * 63}"'),
     (r'"\"' + " " * 60 + '"', r'"\"' + " " * 61 + '"'),
     (r'"' + r"\a" * 31 + '"', r'"' + r"\a" * 31 + 'a"')],
)  # fmt: skip
def test_a_local_part_has_at_most_64_octets_as_written(fits: str, too_long: str) -> None:
    assert len(fits.encode()) == 64
    assert len(too_long.encode()) == 65
    assert str(Mailbox.parse(f"{fits}@b")).endswith("@b")
    with pytest.raises(GrammarError, match="64"):
        Mailbox.parse(f"{too_long}@b")


@pytest.mark.req("RFC5321-4.1.2-07")
def test_a_mailbox_cannot_be_built_with_a_bad_local_part() -> None:
    b = Domain("b")
    assert bytes(Mailbox('"' * 31, b)) == b'"' + rb"\"" * 31 + b'"@b'
    for local_part in ("a" * 65, '"' * 32, "a\n", "a\0b", "\x7f", "\ud800"):
        with pytest.raises(GrammarError):
            Mailbox(local_part, b)


def test_local_parts_are_case_sensitive_and_domains_are_not() -> None:
    assert Mailbox.parse("Ann@EXAMPLE.com") == Mailbox.parse("Ann@example.COM")
    assert hash(Mailbox.parse("Ann@EXAMPLE.com")) == hash(Mailbox.parse("Ann@example.COM"))
    assert Mailbox.parse("Ann@example.com") != Mailbox.parse("ann@example.com")
    assert str(Mailbox.parse("Ann@EXAMPLE.com")) == "Ann@EXAMPLE.com"


def test_quote_adds_quotes_only_if_needed() -> None:
    assert quote("a.b") == "a.b"
    assert quote("a b") == '"a b"'
    assert quote('\\"') == r'"\\\""'


@pytest.mark.parametrize("literal", ["[192.0.2.1]", "[IPv6:2001:db8::1]", "[x:a@b>c]"])
def test_a_mailbox_may_be_at_an_address_literal(literal: str) -> None:
    mailbox = Mailbox.parse(f"a@{literal}")
    assert mailbox.domain == AddressLiteral.parse(literal)
    assert ForwardPath.parse(f"<a@{literal}>").mailbox == mailbox


@pytest.mark.req("RFC5321-3.3-04", "RFC5321-3.6.1-01", "RFC5321-4.1.1.3-01")
@pytest.mark.parametrize(
    "route", ["@a.example:", "@a.example,@b.example:", "@A,@b,@c:", "@é.example:"]
)
def test_a_source_route_is_read_and_never_written(route: str) -> None:
    u = Mailbox.parse("u@c.example")
    assert ReversePath.parse(f"<{route}u@c.example>") == ReversePath(u)
    assert ForwardPath.parse(f"<{route}u@c.example>") == ForwardPath(u)
    assert bytes(ForwardPath.parse(f"<{route}u@c.example>")) == b"<u@c.example>"


@pytest.mark.parametrize(
    ("route", "offset"),
    [("@:", 1), ("@a", 1), ("@a,", 4), ("@a,b:", 4), ("@a:@b:", 4), ("@a_b:", 2), ("@a,@b_:", 5),
     ("@[192.0.2.1]:", 2), ("@a, @b:", 4), ("a:", 2), (":", 1), ("@a;", 1), ("@a..b:", 4)],
)  # fmt: skip
def test_a_malformed_source_route_is_refused_at_the_bad_octet(route: str, offset: int) -> None:
    with pytest.raises(GrammarError) as caught:
        ForwardPath.parse(f"<{route}u@c.example>")
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    "path",
    ["", "<", ">", "a@b", "<a@b", "a@b>", "<<a@b>>", "<a@b>>", "<a@b> ", " <a@b>", "< a@b>",
     "<a@b >", "<a>", "<@>", "< >", "<a@b>x", "<a@b\0>", "<a@b\r\n>", "<a@b><c@d>",
     "\uff1ca@b\uff1e"],
)  # fmt: skip
def test_a_malformed_path_is_refused(path: str) -> None:
    for parse in (ReversePath.parse, ForwardPath.parse):
        with pytest.raises(GrammarError) as caught:
            parse(path.encode())
        assert 0 <= caught.value.offset <= len(path.encode())


def test_the_null_path_is_valid_for_senders_only() -> None:
    assert (
        ReversePath.parse(b"<>") == ReversePath(None) == ReversePath.of("") == ReversePath.of(None)
    )
    assert bytes(ReversePath(None)) == b"<>"
    assert str(ReversePath(None)) == ""
    with pytest.raises(GrammarError):
        ForwardPath.parse(b"<>")
    with pytest.raises(GrammarError):
        ForwardPath.of("")


@pytest.mark.parametrize("name", ["postmaster", "POSTMASTER", "PostMaster", "pOsTmAsTeR"])
def test_the_bare_postmaster_is_valid_for_recipients_only(name: str) -> None:
    path = ForwardPath.parse(f"<{name}>")
    assert path == ForwardPath(None) == ForwardPath.of(name)
    assert bytes(path) == b"<Postmaster>"
    assert path.is_postmaster
    assert path.domain is None
    with pytest.raises(GrammarError):
        ReversePath.parse(f"<{name}>")


@pytest.mark.parametrize(
    ("path", "answer"),
    [("<PostMaster@served.example>", True), ('<"postmaster"@b>', True), ("<postmaster2@b>", False),
     ("<po\u017ftmaster@b>", False), ("<\u017fpostmaster@b>", False)],
)  # fmt: skip
def test_is_postmaster_ignores_the_case_of_ascii_letters(path: str, answer: bool) -> None:
    assert ForwardPath.parse(path).is_postmaster is answer


@pytest.mark.parametrize(
    "path", ["<postmaster", "<po\u017ftmaster>", "<postmasters>", '<"postmaster">']
)
def test_only_the_exact_word_is_the_bare_postmaster(path: str) -> None:
    with pytest.raises(GrammarError):
        ForwardPath.parse(path)


def test_a_path_has_at_most_256_octets_with_brackets_and_route() -> None:
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


def test_a_path_cannot_be_built_from_a_mailbox_that_is_too_long() -> None:
    mailbox = Mailbox("a", Domain(f"{L63}.{L63}.{L63}.{'d' * 60}"))
    assert len(bytes(ReversePath(mailbox))) == len(bytes(ForwardPath(mailbox))) == 256
    longer = Mailbox("aa", mailbox.domain)  # valid as a mailbox
    for path in (ReversePath, ForwardPath, ReversePath.of, ForwardPath.of):
        with pytest.raises(GrammarError, match="256"):
            path(longer)


def test_paths_are_made_from_paths_mailboxes_and_text() -> None:
    mailbox = Mailbox.parse("a@b")
    assert ReversePath.of("a@b") == ReversePath.of(mailbox) == ReversePath(mailbox)
    assert ForwardPath.of("a@b") == ForwardPath.of(mailbox) == ForwardPath(mailbox)
    assert ReversePath.of(ReversePath(mailbox)) == ReversePath(mailbox)
    assert ForwardPath.of(ForwardPath(None)) == ForwardPath(None)
    assert ForwardPath(mailbox).domain == "B"


@pytest.mark.req("RFC5321-4.1.2-06")
@given(strategies.mailboxes(smtputf8=True), st.data())
def test_all_quoted_forms_of_a_local_part_are_equal(mailbox: Mailbox, data: DataObject) -> None:
    meaning = mailbox.local_part
    escapes = data.draw(st.sets(st.sampled_from(range(len(meaning))))) if meaning else set()
    quoted = "".join(
        f"\\{c}" if c in '"\\' or (n in escapes and c.isascii()) else c
        for n, c in enumerate(meaning)
    )
    written = f'"{quoted}"'
    assume(len(written.encode()) <= 64)
    other = Mailbox.parse(f"{written}@{mailbox.domain}")
    assert other == mailbox
    assert hash(other) == hash(mailbox)
    assert len(bytes(mailbox)) <= len(f"{written}@{mailbox.domain}".encode())


@given(strategies.mailboxes())
def test_local_parts_that_differ_in_case_are_not_equal(mailbox: Mailbox) -> None:
    swap_ascii_case = mailbox.local_part.swapcase()
    assert (Mailbox(swap_ascii_case, mailbox.domain) == mailbox) is (
        swap_ascii_case == mailbox.local_part
    )


@given(
    strategies.forward_paths(smtputf8=True), st.lists(strategies.domains(), min_size=1, max_size=2)
)
def test_any_source_route_is_dropped_if_the_path_is_not_too_long(
    path: ForwardPath, route: list[Domain]
) -> None:
    assume(path.mailbox is not None)
    hops = ",".join(f"@{hop}" for hop in route)
    written = f"<{hops}:{path}>".encode()
    if len(written) <= 256:
        assert ForwardPath.parse(written) == path
        assert ReversePath.parse(written) == ReversePath(path.mailbox)
    else:
        with pytest.raises(GrammarError, match="256"):
            ForwardPath.parse(written)


@given(st.text(st.characters(), max_size=300), st.data())
def test_text_and_octets_are_parsed_alike(text: str, data: DataObject) -> None:
    """Lone surrogates, which only text can contain, are refused like other bad characters."""
    parse = data.draw(st.sampled_from([
        Domain.parse, AddressLiteral.parse, parse_host, Mailbox.parse, ReversePath.parse,
        ForwardPath.parse,
    ]))  # fmt: skip
    for wrapped in (text, f"<{text}>", f"a@{text}", f"<@{text}:a@b>", f'"{text}"@b', f"[{text}]"):
        try:
            value = parse(wrapped)
        except GrammarError as error:
            assert 0 <= error.offset <= len(wrapped.encode("utf-8", "replace"))
        else:
            assert parse(wrapped.encode()) == value


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
def test_suggested_path_reads_the_path_in_a_251_or_551_reply(
    reply: Reply, path: str | None
) -> None:
    assert suggested_path(reply) == (None if path is None else ForwardPath.of(path))


@pytest.mark.req("RFC6531-3.7.4.1-01")
def test_suggested_path_may_be_internationalised() -> None:
    address = "\u7528\u6237@\u4f8b\u3048.jp"
    assert suggested_path(Reply.parse(f"551 <{address}>\r\n".encode())) == ForwardPath.of(address)
