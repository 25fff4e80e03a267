"""Attributes of XCLIENT and XFORWARD (Postfix's XCLIENT_README and XFORWARD_README)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, DrawFn, SearchStrategy

from smtpproto.errors import GrammarError
from smtpproto.grammar.ascii_case import lower
from smtpproto.grammar.reply import Reply
from smtpproto.grammar.xclient import Unavailable, XClientAttributes, XForwardAttributes

UNAVAILABLE, TEMPUNAVAIL = Unavailable.UNAVAILABLE, Unavailable.TEMPUNAVAIL
MARKERS = {"[UNAVAILABLE]", "[TEMPUNAVAIL]"}
Attributes = XClientAttributes | XForwardAttributes
KINDS: list[type[Attributes]] = [XClientAttributes, XForwardAttributes]
SPECIAL_IN_HEADERS = ' "();<>@\\'  # "special" in Postfix's README files


def words(longest: int = 255) -> SearchStrategy[str]:
    visible = st.characters(
        min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=SPECIAL_IN_HEADERS
    )
    texts = st.text(visible, min_size=1, max_size=longest)
    return (texts | texts.map(lambda text: (text * longest)[:longest])).filter(
        lambda text: text.upper() not in MARKERS
    )


def texts() -> SearchStrategy[str]:
    printable = st.characters(exclude_categories=["C", "Z"], include_characters=" ")
    return st.text(printable, min_size=1).filter(lambda text: text.upper() not in MARKERS)


ADDRESSES = st.ip_addresses() | st.just(UNAVAILABLE)
PORTS = st.integers(0, 65535) | st.just(UNAVAILABLE)
WORDS = words() | st.just(UNAVAILABLE)
FIELDS: dict[type[Attributes], dict[str, SearchStrategy[Any]]] = {
    XClientAttributes: {
        "name": words() | st.sampled_from(Unavailable),
        "addr": ADDRESSES,
        "port": PORTS,
        "proto": st.sampled_from(["SMTP", "ESMTP"]),
        "helo": WORDS,
        "login": texts() | st.just(UNAVAILABLE),
        "destaddr": ADDRESSES,
        "destport": PORTS,
    },
    XForwardAttributes: {
        "name": WORDS,
        "addr": ADDRESSES,
        "port": PORTS,
        "proto": words(64) | st.just(UNAVAILABLE),
        "helo": WORDS,
        "ident": WORDS,
        "source": st.sampled_from(["LOCAL", "REMOTE", UNAVAILABLE]),
    },
}


@st.composite
def attributes(draw: DrawFn) -> Attributes:
    """Draw attributes of XCLIENT or XFORWARD, at least one."""
    kind = draw(st.sampled_from(KINDS))
    given = st.fixed_dictionaries({}, optional=FIELDS[kind]).filter(bool)
    return kind(**draw(given))


both_commands = pytest.mark.parametrize("kind", KINDS)


@given(attributes())
def test_written_attributes_are_read_back(value: Attributes) -> None:
    assert type(value).read(str(value)) == value


@given(attributes())
def test_attributes_are_written_in_the_order_of_the_table(value: Attributes) -> None:
    assert str(value).isascii()
    assert str(value).isprintable()
    parts = str(value).split(" ")
    names = [part.split("=")[0] for part in parts]
    assert names == [name for name in value.attributes if name in names]
    assert all(part.count("=") == 1 for part in parts)


@st.composite
def respelled(draw: DrawFn, part: str) -> str:
    """Draw *part*, ``name=value``, with its name in another case and a needless escape."""
    name, _, text = part.partition("=")
    name = draw(st.sampled_from([name, name.lower(), name.title()]))
    if "+" in text:
        return f"{name}={text}"
    at = draw(st.integers(0, len(text) - 1))
    return f"{name}={text[:at]}+{ord(text[at]):02X}{text[at + 1 :]}"


@given(attributes(), st.data())
def test_attributes_are_read_in_any_order_case_and_escaping(
    value: Attributes, data: DataObject
) -> None:
    parts = data.draw(st.permutations(str(value).split(" ")))
    assert type(value).read(" ".join(data.draw(respelled(part)) for part in parts)) == value


XTEXT = r"([!#$%&'*,\-./0-9:?A-Z_a-z`{|}~]|\+2B|\+3D){1,40}"
PORT = r"(0|[1-9][0-9]{0,3}|6553[0-5])"
IPV4 = r"(0|[1-9][0-9]?|1[0-9][0-9]|25[0-5])(\.(0|[1-9][0-9]?|2[0-4][0-9])){3}"


@pytest.mark.parametrize(
    ("kind", "regex"),
    [(XClientAttributes,
      rf"NAME={XTEXT}( ADDR={IPV4})?( PORT={PORT})?( PROTO=E?SMTP)?( HELO={XTEXT})?"),
     (XClientAttributes, rf"LOGIN=({XTEXT}|\+20|@|\+C3\+A9)( DESTADDR={IPV4} DESTPORT={PORT})?"),
     (XClientAttributes, r"NAME=\[(UNAVAILABLE|TEMPUNAVAIL)\] ADDR=\[UNAVAILABLE\]"),
     (XForwardAttributes,
      rf"NAME={XTEXT}( ADDR={IPV4})?( PORT={PORT})?( PROTO={XTEXT})?( HELO={XTEXT})?"),
     (XForwardAttributes, rf"IDENT={XTEXT}( SOURCE=(LOCAL|REMOTE|\[UNAVAILABLE\]))?")],
)  # fmt: skip
@given(data=st.data())
def test_canonical_text_is_written_as_it_was_read(
    kind: type[Attributes], regex: str, data: DataObject
) -> None:
    text = data.draw(st.from_regex(regex, fullmatch=True))
    assert str(kind.read(text)) == text


FRAGMENTS = [
    "\0", "\n", "\r\n", "\t", " ", "  ", "=", "+", "+0D+0A", "+00", "+7F", "+2b", "+FF",
    "+E2+80+A8", "+20", "+22", "+28", "é", "\ud800", "\u0661", "\u017f", "[UNAVAILABLE]",
    "[TEMPUNAVAIL]", "IPV6:", "IPv6:::1", "NAME=x", " NAME=x", " LOGIN=a", " PORT=1",
    " SOURCE=LOCAL", "0", "65536", "%eth0",
]  # fmt: skip


@st.composite
def damaged(draw: DrawFn) -> str:
    """Draw attributes with one to three small changes, some of which keep them legal."""
    text = str(draw(attributes()))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        end = at + draw(st.integers(0, 3))
        text = text[:at] + draw(st.sampled_from(FRAGMENTS) | st.just("")) + text[end:]
    return text


NAMES = st.sampled_from([*XClientAttributes.attributes, *XForwardAttributes.attributes])
VALUES = st.text() | st.sampled_from(FRAGMENTS) | st.lists(st.sampled_from(FRAGMENTS)).map("".join)


@both_commands
@given(text=damaged() | st.text() | st.builds("{}={}".format, NAMES, VALUES))
def test_damaged_attributes_raise_only_grammar_error(kind: type[Attributes], text: str) -> None:
    try:
        value = kind.read(text)
    except GrammarError as error:
        assert 0 <= error.offset <= len(text.encode("utf-8", "replace"))
        assert str(error).isprintable()
        assert error.reply is not None
        assert (error.reply.code, str(error.reply.enhanced)) == (501, "5.5.4")
        return
    assert kind.read(str(value)) == value
    for name in kind.attributes:
        assert not isinstance(known := getattr(value, lower(name)), str) or known.isprintable()


ANYTHING: SearchStrategy[Any] = st.one_of(
    st.none(), st.text(), st.integers(-2, 65537), st.booleans(), st.floats(), st.binary(),
    st.ip_addresses(), st.sampled_from(Unavailable), words(300),
    st.sampled_from([*FRAGMENTS, "SMTP", "LOCAL"]),
)  # fmt: skip


@pytest.mark.req("XCLIENT-04/client")
@both_commands
@given(data=st.data())
def test_attributes_that_can_be_built_can_be_written_and_read(
    kind: type[Attributes], data: DataObject
) -> None:
    names = st.sampled_from([lower(name) for name in kind.attributes])
    try:
        value = kind(**data.draw(st.dictionaries(names, ANYTHING, max_size=3)))
    except (GrammarError, TypeError):
        return
    assert kind.read(str(value)) == value


@given(attributes(), st.data())
@example(XClientAttributes(port=1), None)
def test_updated_prefers_the_later_values(value: Attributes, data: DataObject | None) -> None:
    kind = type(value)
    fields = st.fixed_dictionaries({}, optional=FIELDS[kind]).filter(bool)
    later = kind(**(data.draw(fields) if data else {"port": 0}))
    updated = value.updated(later)  # type: ignore[arg-type]
    for name in map(lower, kind.attributes):
        new = getattr(later, name)
        assert getattr(updated, name) == (getattr(value, name) if new is None else new)


def test_the_examples_of_postfix_are_read() -> None:
    read = XClientAttributes.read("NAME=spike.porcupine.org ADDR=168.100.189.2")
    address = IPv4Address("168.100.189.2")
    assert read == XClientAttributes(name="spike.porcupine.org", addr=address)
    text = "NAME=spike.porcupine.org ADDR=168.100.189.2 PROTO=ESMTP"
    first = XForwardAttributes.read(text)
    assert first == XForwardAttributes(name="spike.porcupine.org", addr=address, proto="ESMTP")
    second = XForwardAttributes.read("HELO=spike.porcupine.org")
    assert str(first.updated(second)) == f"{text} HELO=spike.porcupine.org"


def test_the_attribute_names_are_those_of_postfix() -> None:
    assert " ".join(XClientAttributes.attributes) == (
        "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"
    )
    assert " ".join(XForwardAttributes.attributes) == "NAME ADDR PORT PROTO HELO IDENT SOURCE"


@pytest.mark.parametrize(
    ("text", "value"),
    [("name=[unavailable]", XClientAttributes(name=UNAVAILABLE)),
     ("name=[TempUnavail]", XClientAttributes(name=TEMPUNAVAIL)),
     ("NAME=+5BUNAVAILABLE+5D", XClientAttributes(name=UNAVAILABLE)),
     ("ADDR=ipv6:2001:DB8:0::1", XClientAttributes(addr=IPv6Address("2001:db8::1"))),
     ("ADDR=+49PV6+3A::1", XClientAttributes(addr=IPv6Address("::1"))),
     ("ADDR=[Unavailable] port=[UNAVAILABLE]",
      XClientAttributes(addr=UNAVAILABLE, port=UNAVAILABLE)),
     ("PORT=0", XClientAttributes(port=0)), ("PORT=65535", XClientAttributes(port=65535)),
     ("PROTO=smtp", XClientAttributes(proto="SMTP")),
     ("PROTO=eSMTP", XClientAttributes(proto="ESMTP")),
     ("HELO=[IPv6:2001:db8::1]", XClientAttributes(helo="[IPv6:2001:db8::1]")),
     ("LOGIN=ann@example.org", XClientAttributes(login="ann@example.org")),
     ("LOGIN=Ann+20Example+2B+3D+C3+A9", XClientAttributes(login="Ann Example+=é")),
     ("DESTADDR=IPV6:::1 DESTPORT=25", XClientAttributes(destaddr=IPv6Address("::1"), destport=25)),
     ("PROTO=lmtp SOURCE=local", XForwardAttributes(proto="lmtp", source="LOCAL")),
     ("SOURCE=Remote IDENT=3CF6B2AAE8", XForwardAttributes(source="REMOTE", ident="3CF6B2AAE8")),
     ("SOURCE=[UNAVAILABLE] PROTO=[UNAVAILABLE]",
      XForwardAttributes(source=UNAVAILABLE, proto=UNAVAILABLE))],
)  # fmt: skip
def test_attribute_values_are_read(text: str, value: Attributes) -> None:
    assert type(value).read(text) == value
    assert type(value).read(str(value)) == value


BAD_IN_BOTH = [
    "", " ", "NAME", "NAME=", "=x", "NAME=a NAME=b", "NAME=a name=a", "NAME=a  PORT=1", " NAME=a",
    "NAME=a ", "NAME=a\tPORT=1", "FOO=a", "NAME=a FOO=b", "NAME =a", "NAME= a", "NAME=a=b",
    "NAME=a\r\n", "NAME=+0D+0AMAIL", "NAME=a+00", "NAME=a+7F", "NAME=+0A", "NAME=+09", "NAME=a+20b",
    "NAME=a+40b", "NAME=+28x+29", "NAME=+3Cx+3E", "NAME=x+3By", "NAME=+22x", "NAME=x+5C", "NAME=é",
    "NAME=+C3+A9", "NAME=+C2+85", "NAME=+E2+80+A8", "NAME=+FF", "NAME=a+2bb", "NAME=a+",
    "NAME=\ud800",
    "NAME=" + "x" * 256, "N\u0251ME=x", "NAME=x\0", "ADDR=2001:db8::1", "ADDR=IPV6:192.0.2.1",
    "ADDR=[192.0.2.1]", "ADDR=192.0.2", "ADDR=192.0.2.01", "ADDR=3232235777", "ADDR=192.0.2.1/32",
    "ADDR=IPV6:", "ADDR=IPV6:fe80::1%eth0", "ADDR=IPV6:+20::1", "ADDR=IPV6:IPV6:::1",
    "ADDR=[TEMPUNAVAIL]", "ADDR=x", "ADDR=192.0.2.1+0A", "PORT=65536", "PORT=-1", "PORT=+2B1",
    "PORT=01", "PORT=1_0", "PORT=+20", "PORT=99999999999999999999", "PORT=x", "PORT=+D9+A1",
    "PORT=[TEMPUNAVAIL]", "PORT=25+0A", "HELO=[TEMPUNAVAIL]", "HELO=[tempunavail]", "HELO=a+20b",
]  # fmt: skip


@pytest.mark.req("XCLIENT-04/server")
@both_commands
@pytest.mark.parametrize("text", BAD_IN_BOTH)
def test_bad_attributes_are_refused_with_501(kind: type[Attributes], text: str) -> None:
    with pytest.raises(GrammarError) as caught:
        kind.read(text)
    reply = caught.value.reply
    assert isinstance(reply, Reply)
    assert (reply.code, str(reply.enhanced)) == (501, "5.5.4")


@pytest.mark.parametrize(
    "text",
    ["IDENT=x", "SOURCE=LOCAL", "PROTO=LMTP", "PROTO=[UNAVAILABLE]", "PROTO=\u017fmtp",
     "PROTO=E+53MTP+0A", "LOGIN=", "LOGIN=a+0Ab", "LOGIN=a+00", "LOGIN=+E2+80+AE", "LOGIN=+1B",
     "LOGIN=[TEMPUNAVAIL]", "LOGIN=" + "x" * 256, "DESTPORT=x", "DESTADDR=x", "DESTADDR=::1"],
)  # fmt: skip
def test_xclient_refuses_bad_values_and_the_attributes_of_xforward(text: str) -> None:
    with pytest.raises(GrammarError):
        XClientAttributes.read(text)


@pytest.mark.parametrize(
    "text",
    ["LOGIN=x", "DESTADDR=192.0.2.1", "DESTPORT=1", "NAME=[TEMPUNAVAIL]", "SOURCE=x", "SOURCE=",
     "SOURCE=[TEMPUNAVAIL]", "PROTO=" + "x" * 65, "PROTO=a+20b", "IDENT=a+0A", "IDENT=+3Cx+3E"],
)  # fmt: skip
def test_xforward_refuses_bad_values_and_the_attributes_of_xclient(text: str) -> None:
    with pytest.raises(GrammarError):
        XForwardAttributes.read(text)


@pytest.mark.parametrize(
    ("text", "offset"),
    [("NAME=a PORT=x", 7), ("NAME=a PORT=1 FOO=b", 14), ("HELO=+41 PORT=x", 9),
     ("PORT=x NAME=a", 0), ("NAME=a NAME=b", 7)],
)  # fmt: skip
def test_an_error_reports_the_offset_of_the_bad_attribute(text: str, offset: int) -> None:
    with pytest.raises(GrammarError) as caught:
        XClientAttributes.read(text)
    assert caught.value.offset == offset


def test_the_longest_values_are_accepted() -> None:
    value = XClientAttributes(name="x" * 255, helo="x" * 255, login="é" * 255)
    assert XClientAttributes.read(str(value)) == value
    assert XForwardAttributes.read("PROTO=" + "x" * 64) == XForwardAttributes(proto="x" * 64)


@pytest.mark.parametrize(
    "values",
    [{}, {"name": ""}, {"name": "a b"}, {"name": "a\r\nb"}, {"name": b"a"}, {"name": 1},
     {"name": IPv6Address("::1")}, {"name": "[UNAVAILABLE]"}, {"name": "[tempunavail]"},
     {"addr": "192.0.2.1"}, {"addr": 1}, {"addr": IPv6Address("fe80::1%eth0")},
     {"addr": TEMPUNAVAIL}, {"port": -1}, {"port": 65536}, {"port": "25"}, {"port": True},
     {"port": 25.0}, {"proto": "smtp"}, {"proto": "LMTP"}, {"proto": UNAVAILABLE},
     {"login": ""}, {"login": "a\nb"}, {"login": "\ud800"}, {"login": b"a"}, {"helo": TEMPUNAVAIL}],
)  # fmt: skip
def test_invalid_xclient_attributes_cannot_be_built(values: Any) -> None:
    with pytest.raises((GrammarError, TypeError)):
        XClientAttributes(**values)
