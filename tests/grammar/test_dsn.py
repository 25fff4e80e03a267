"""The parameters RET, ENVID, NOTIFY and ORCPT (RFC 3461 4, RFC 6533 3)."""

from __future__ import annotations

import pytest

from smtpproto.errors import GrammarError
from smtpproto.grammar.address import ForwardPath
from smtpproto.grammar.dsn import Notify, OriginalRecipient, Ret
from smtpproto.grammar.parameters import MailParameters, RcptParameters
from smtpproto.grammar.unitext import decode_unitext, encode_unitext, is_unitext
from tests.support.parameters import assert_refused, parse_mail, parse_rcpt


@pytest.mark.req("RFC3461-4.3-01")
@pytest.mark.parametrize(
    ("text", "ret"),
    [("RET=FULL", Ret.FULL), ("RET=full", Ret.FULL), ("ret=HDRS", Ret.HDRS),
     ("RET=hDrS", Ret.HDRS)],
)  # fmt: skip
def test_ret_is_read_in_any_case(text: str, ret: Ret) -> None:
    assert parse_mail(text) == MailParameters(ret=ret)
    assert str(parse_mail(text)) == f"RET={ret.value}"


@pytest.mark.req("RFC3461-4.3-01", "RFC3461-4.3-02", "RFC3461-4.5-02", "RFC3461-5.1-02")
@pytest.mark.parametrize(
    "text", ["RET", "RET=", "RET=BODY", "RET=FULL,HDRS", "RET=FULL RET=HDRS", "RET=HDRS ret=hdrs"]
)
def test_a_bad_ret_is_refused_with_501(text: str) -> None:
    assert_refused(f"MAIL FROM:<a@b> {text}")


@pytest.mark.req("RFC3461-4.4-01", "RFC3461-4.4-02")
@pytest.mark.parametrize(
    ("text", "envid"),
    [("x", "x"), ("QQ314159", "QQ314159"), ("a+20b", "a b"), ("+2B+3D", "+="), ("+41", "A"),
     ("x" * 100, "x" * 100), ("+20" * 33 + "x", " " * 33 + "x"), ("~!<>", "~!<>")],
)  # fmt: skip
def test_envid_is_decoded_from_xtext(text: str, envid: str) -> None:
    parameters = parse_mail(f"ENVID={text}")
    assert parameters == MailParameters(envid=envid)
    assert parse_mail(str(parameters)) == parameters


@pytest.mark.req("RFC3461-4.4-01", "RFC3461-4.4-02", "RFC3461-4.5-02", "RFC3461-5.1-02")
@pytest.mark.parametrize(
    "text",
    ["ENVID", "ENVID=", "ENVID=a+zz", "ENVID=a+2b", "ENVID=+", "ENVID=" + "x" * 101,
     "ENVID=" + "+20" * 34, "ENVID=" + "+41" * 34, "ENVID=+00", "ENVID=+0D+0A", "ENVID=+09",
     "ENVID=+7F", "ENVID=+C3+A9",
     "ENVID=+FF", "ENVID=é", "ENVID=a=b", "ENVID=a ENVID=a"],
)  # fmt: skip
def test_a_bad_envid_is_refused_with_501(text: str) -> None:
    assert_refused(f"MAIL FROM:<a@b> {text}")


@pytest.mark.parametrize("envid", ["", "\r\n", "é", "\x7f", "\t", " " * 34, "x" * 101, "\ud800"])
def test_an_invalid_envid_cannot_be_built(envid: str) -> None:
    with pytest.raises(GrammarError):
        MailParameters(envid=envid)


@pytest.mark.req("RFC3461-4.1-01")
@pytest.mark.parametrize(
    ("text", "notify", "written"),
    [("NEVER", {Notify.NEVER}, "NEVER"), ("never", {Notify.NEVER}, "NEVER"),
     ("Success", {Notify.SUCCESS}, "SUCCESS"), ("NEVER,NEVER", {Notify.NEVER}, "NEVER"),
     ("FAILURE,FAILURE", {Notify.FAILURE}, "FAILURE"),
     ("delay,failure", {Notify.DELAY, Notify.FAILURE}, "FAILURE,DELAY"),
     ("DELAY,FAILURE,SUCCESS", {Notify.SUCCESS, Notify.FAILURE, Notify.DELAY},
      "SUCCESS,FAILURE,DELAY"),
     # a list in RFC 822 may have empty elements
     (",SUCCESS,,", {Notify.SUCCESS}, "SUCCESS")],
)  # fmt: skip
def test_notify_is_read_as_a_set_and_written_in_order(
    text: str, notify: set[Notify], written: str
) -> None:
    parameters = parse_rcpt(f"NOTIFY={text}")
    assert parameters == RcptParameters(notify=frozenset(notify))
    assert str(parameters) == f"NOTIFY={written}"


@pytest.mark.req("RFC3461-4.1-01", "RFC3461-4.1-03", "RFC3461-4.5-02", "RFC3461-5.1-04")
@pytest.mark.parametrize(
    "text",
    ["NOTIFY", "NOTIFY=", "NOTIFY=,", "NOTIFY=NEVER,SUCCESS", "NOTIFY=DELAY,NEVER",
     "NOTIFY=SOMETIMES", "NOTIFY=SUCCESS;DELAY", "NOTIFY=\u017fuccess", "NOTIFY=FAILURE+2CDELAY",
     "NOTIFY=NEVER NOTIFY=NEVER", "NOTIFY=DELAY notify=SUCCESS"],
)  # fmt: skip
def test_a_bad_notify_is_refused_with_501(text: str) -> None:
    assert_refused(f"RCPT TO:<a@b> {text}")


def test_notify_takes_any_collection_but_not_none_or_never_with_others() -> None:
    words = [Notify.DELAY, Notify.SUCCESS, Notify.DELAY]
    assert str(RcptParameters(notify=words)) == "NOTIFY=SUCCESS,DELAY"
    for contradiction in ([], [Notify.NEVER, Notify.FAILURE]):
        with pytest.raises(GrammarError):
            RcptParameters(notify=contradiction)


@pytest.mark.req("RFC3461-4.2-01")
@pytest.mark.parametrize(
    ("text", "addr_type", "address"),
    [("rfc822;a+2Bb@c", "rfc822", "a+b@c"), ("rfc822;Bob@Example.com", "rfc822", "Bob@Example.com"),
     ("RFC822;Joe@X", "RFC822", "Joe@X"), ("x400;/C+3DUS/", "x400", "/C=US/"),
     ("rfc822;not+20an+20address", "rfc822", "not an address"), ("rfc822;", "rfc822", ""),
     ("rfc822;;;", "rfc822", ";;"), ("a-type+;x", "a-type+", "x"), ("rfc822;+41", "rfc822", "A"),
     ("rfc822;" + "x" * 493, "rfc822", "x" * 493)],
)  # fmt: skip
def test_orcpt_is_read_as_a_type_and_a_decoded_address(
    text: str, addr_type: str, address: str
) -> None:
    parameters = parse_rcpt(f"ORCPT={text}")
    assert parameters == RcptParameters(orcpt=OriginalRecipient(addr_type, address))
    assert parameters.orcpt is not None
    assert parameters.orcpt.isascii
    assert not parameters.orcpt.is_utf8
    assert parse_rcpt(str(parameters)) == parameters
    assert "+41" in text or str(parameters) == f"ORCPT={text}"  # in the same case


@pytest.mark.req(
    "RFC3461-4.2-01",
    "RFC3461-4.2-03/client",
    "RFC3461-4.2-03/server",
    "RFC3461-4.5-02",
    "RFC3461-5.1-04",
)
@pytest.mark.parametrize(
    "text",
    ["ORCPT", "ORCPT=", "ORCPT=a@b", "ORCPT=;x", "ORCPT=;", "ORCPT=rfc822", "ORCPT=a.b;x",
     "ORCPT=rfc822;+00", "ORCPT=rfc822;+0D+0A", "ORCPT=rfc822;+09", "ORCPT=rfc822;+7F",
     "ORCPT=rfc822;+C3+A9", "ORCPT=rfc822;é", "ORCPT=é;x", "ORCPT=rfc822;a+2bb@c",
     "ORCPT=rfc822;a+b@c", "ORCPT=rfc822;a=b", "ORCPT=rfc822;" + "x" * 494,
     "ORCPT=rfc822;a ORCPT=rfc822;a"],
)  # fmt: skip
def test_a_bad_orcpt_is_refused_with_501(text: str) -> None:
    assert_refused(f"RCPT TO:<a@b> {text}")


@pytest.mark.req("RFC6533-3-03")
@pytest.mark.parametrize(
    ("encoded", "address"),
    [("a@b", "a@b"), (r"\x{7528}\x{6237}@\x{4F8B}\x{3048}.jp", "用户@例え.jp"),
     (r"a\x{2B}b\x{3D}\x{20}\x{5C}", "a+b= \\"),
     (r"\x{01}\x{09}\x{10}\x{19}\x{7F}", "\x01\x09\x10\x19\x7f"),
     (r"\x{80}\x{FF}\x{100}\x{FFF}\x{1000}", "\x80\xff\u0100\u0fff\u1000"),
     (r"\x{D7FF}\x{E000}\x{FFFF}", "\ud7ff\ue000\uffff"),
     (r"\x{10000}\x{FFFFF}\x{100000}\x{10FFFF}", "\U00010000\U000fffff\U00100000\U0010ffff")],
)  # fmt: skip
def test_an_orcpt_of_type_utf8_is_written_in_ascii(encoded: str, address: str) -> None:
    assert encode_unitext(address) == encoded
    assert decode_unitext(encoded) == address
    raw = encode_unitext(address, seven_bit=False)
    assert decode_unitext(raw) == address
    assert raw.isascii() == address.isascii()
    assert str(OriginalRecipient("utf-8", address)) == f"utf-8;{encoded}"
    for text in (encoded, raw):
        assert parse_rcpt(f"ORCPT=utf-8;{text}").orcpt == OriginalRecipient("utf-8", address)


@pytest.mark.parametrize(
    ("text", "address"),
    [("用户@例え.jp", "用户@例え.jp"), (r"用\x{6237}@b", "用户@b"),
     (r"\x{7f}\x{d7ff}", "\x7f\ud7ff"), ("é" * 247, "é" * 247)],
)  # fmt: skip
def test_all_three_forms_of_an_orcpt_of_type_utf8_are_read(text: str, address: str) -> None:
    orcpt = parse_rcpt(f"ORCPT=UTF-8;{text}").orcpt
    assert orcpt == OriginalRecipient("UTF-8", address)
    assert orcpt.is_utf8
    assert OriginalRecipient.parse(str(orcpt)) == orcpt


def test_an_orcpt_of_type_utf8_is_written_in_utf8_if_ascii_is_too_long() -> None:
    fits = OriginalRecipient("utf-8", "é" * 82 + "xx")
    assert len(str(fits)) == 500
    assert fits.isascii
    longer = OriginalRecipient("utf-8", "é" * 83 + " ")
    assert not longer.isascii
    assert str(longer) == "utf-8;" + "é" * 83 + r"\x{20}"
    with pytest.raises(GrammarError, match="500"):
        OriginalRecipient("utf-8", "é" * 247 + "x")


@pytest.mark.req("RFC6533-3-03")
@pytest.mark.parametrize(
    ("text", "offset"),
    [("", 0), ("a b", 1), ("a+b", 1), ("a+2Bb", 1), ("a=b", 1), ("é\\", 2), (r"\x{}", 0),
     (r"\x{1}", 0), (r"a\x{1234567}", 1), (r"\x41", 0), (r"\X{7F}", 0), (r"\x{7F", 0),
     # not a HEXPOINT: leading zeros, a character that needs no escape, not a character
     (r"\x{07F}", 0), (r"\x{00E9}", 0), (r"é\x{0001}", 2), (r"\x{41}", 0), (r"\x{00}", 0),
     (r"\x{0A}", 0), (r"\x{0D}", 0), (r"\x{1F}", 0), (r"\x{D800}", 0), (r"\x{DFFF}", 0),
     (r"\x{110000}", 0), (r"\x{FFFFFF}", 0), ("\r", 0), ("\x00", 0), ("\ud800", 0)],
)  # fmt: skip
def test_a_bad_orcpt_of_type_utf8_is_refused_at_the_bad_octet(text: str, offset: int) -> None:
    with pytest.raises(GrammarError) as caught:
        decode_unitext(text)
    assert caught.value.offset == offset
    with pytest.raises(GrammarError) as caught:
        OriginalRecipient.parse(f"utf-8;{text}")
    assert caught.value.offset == offset + len("utf-8;")


@pytest.mark.parametrize(
    ("addr_type", "address"),
    [("", "x"), ("a;b", "x"), ("a b", "x"), ("é", "x"), ("a=b", "x"), ("rfc822\n", "x"),
     ("rfc822", "\r\n"), ("rfc822", "é"), ("rfc822", "\x7f"), ("rfc822", "\t"), ("utf-8", ""),
     ("utf-8", "\r"), ("utf-8", "\n"), ("utf-8", "\0"), ("utf-8", "\ud800"), ("utf-8", "\x1f"),
     ("rfc822", "x" * 494), ("rfc822", "=" * 165)],
)  # fmt: skip
def test_an_invalid_original_recipient_cannot_be_built(addr_type: str, address: str) -> None:
    with pytest.raises(GrammarError):
        OriginalRecipient(addr_type, address)
    assert addr_type != "utf-8" or not is_unitext(address)


def test_the_original_recipient_of_a_path_has_its_address() -> None:
    for path, written in (
        ("a+b@c", "rfc822;a+2Bb@c"), ('"a b"@c', 'rfc822;"a+20b"@c'),
        ("postmaster", "rfc822;Postmaster"), ("é@c", r"utf-8;\x{E9}@c"),
    ):  # fmt: skip
        orcpt = OriginalRecipient.of(ForwardPath.of(path))
        assert str(orcpt) == written
        assert orcpt.address == str(ForwardPath.of(path))


@pytest.mark.req("RFC3461-5.4-01")
def test_the_lengths_that_rfc_3461_requires_are_accepted() -> None:
    for line, length in (
        ("ENVID=" + "x" * 100, 106), ("ENVID=" + "x" * 94, 100), ("RET=FULL", 8),
    ):  # fmt: skip
        assert len(line) == length
        assert str(parse_mail(line)) == line
    for line, length in (
        ("NOTIFY=SUCCESS,FAILURE,DELAY", 28), ("NOTIFY=SUCCESS,FAILURE,DELAY,FAILURE", 36),
        ("ORCPT=rfc822;" + "x" * 493, 506), ("ORCPT=rfc822;" + "x" * 487, 500),
    ):  # fmt: skip
        assert len(line) == length
        assert parse_rcpt(str(parse_rcpt(line))) == parse_rcpt(line)


@pytest.mark.req("RFC3461-4.2-04")
def test_an_unregistered_address_type_is_accepted_and_marked() -> None:
    for known in ("rfc822", "RFC822", "utf-8", "x400"):
        assert OriginalRecipient(known, "a@b").is_registered
    for bad in ("ORCPT", "ORCPT=", "ORCPT=rfc822"):
        assert_refused(f"RCPT TO:<a@b> {bad}")
    orcpt = parse_rcpt("ORCPT=pigeon;a@b").orcpt
    assert orcpt is not None and not orcpt.is_registered
    assert str(orcpt) == "pigeon;a@b"
