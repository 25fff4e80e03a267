"""Routes: which one a recipient gets."""

from __future__ import annotations

from typing import Any

import pytest

from smtpproto import ForwardPath, GrammarError, ReversePath
from smtpproto.mta.route import Direct, Local, Route, Routes, SmartHost

DIRECT, HOST, OTHER, HERE = Direct(), SmartHost("relay.test"), SmartHost("other.test"), Local(print)


def route(routes: Routes, to: str, sender: str = "ann@example.com") -> Route | None:
    return routes.route(ReversePath.parse(f"<{sender}>"), ForwardPath.parse(f"<{to}>"))


ROUTES = Routes(
    {
        "example.org": HERE,
        ".example.org": HOST,
        "sub.example.org": OTHER,
        "müller.example": OTHER,
        "[192.0.2.1]": HERE,
        "": HERE,
        "*": DIRECT,
    }
)


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("bob@example.org", HERE),
        ("bob@EXAMPLE.org", HERE),
        ("bob@a.example.org", HOST),
        ("bob@a.b.example.org", HOST),
        ("bob@sub.example.org", OTHER),
        ("bob@x.sub.example.org", HOST),
        ("bob@notexample.org", DIRECT),
        ("bob@xn--mller-kva.example", OTHER),
        ("bob@MÜLLER.example", OTHER),
        ("bob@[192.0.2.1]", HERE),
        ("bob@[192.0.2.2]", DIRECT),
        ("bob@org", DIRECT),
        ("Postmaster", HERE),
    ],
)
def test_the_most_specific_pattern_of_a_domain_decides(to: str, expected: Route) -> None:
    assert route(ROUTES, to) is expected


def test_without_a_pattern_that_fits_there_is_no_route() -> None:
    assert route(Routes({"example.org": HERE}), "bob@example.net") is None


BY_SENDER = Routes(
    {"example.org": HERE, "*": DIRECT},
    {"ann@Example.com": HOST, "example.com": OTHER, ".example.net": OTHER},
)


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ("ann@example.com", HOST),
        ("ann@EXAMPLE.COM", HOST),
        ('"ann"@example.com', HOST),
        ("Ann@example.com", OTHER),
        ("bob@example.com", OTHER),
        ("bob@a.example.net", OTHER),
        ("bob@example.net", DIRECT),
        ("", DIRECT),
    ],
)
def test_the_sender_decides_where_no_domain_of_the_recipient_does(
    sender: str, expected: Route
) -> None:
    assert route(BY_SENDER, "bob@example.info", sender) is expected
    assert route(BY_SENDER, "bob@example.org", sender) is HERE


def test_postmaster_without_a_domain_is_never_looked_up_in_the_dns() -> None:
    assert route(Routes({"*": DIRECT}), "Postmaster") is None
    assert route(Routes({"*": HOST}), "Postmaster") is HOST


@pytest.mark.parametrize("pattern", ["exa mple.org", "..", "[1.2.3]"])
def test_a_pattern_that_is_no_domain_is_an_error_that_quotes_it(pattern: str) -> None:
    with pytest.raises(GrammarError, match="not a host"):
        Routes({pattern: DIRECT})


def test_a_sender_that_is_no_address_is_an_error() -> None:
    with pytest.raises(GrammarError):
        Routes({}, {"@example.org": DIRECT})


@pytest.mark.parametrize("value", ["smtp.example.org", None, 25])
@pytest.mark.parametrize(
    "by", [{"by_sender": "ann@a.test"}, {"by_sender": "a.test"}, {"by_recipient": "*"}]
)
def test_a_value_that_is_no_route_is_a_type_error_that_says_what_to_pass(
    by: dict[str, str], value: Any
) -> None:
    values: dict[str, Any] = {"by_recipient": {}} | {name: {key: value} for name, key in by.items()}
    with pytest.raises(TypeError, match=r"the route of '.*' cannot be .*; pass Direct\(\)"):
        Routes(**values)


def test_the_destination_of_a_direct_route_is_the_domain() -> None:
    assert DIRECT.key("example.org") == "example.org"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (SmartHost("relay.test"), "relay.test"),
        (SmartHost("relay.test", 587), "relay.test:587"),
        (SmartHost(["relay.test", "second.test"]), "relay.test"),
        (SmartHost("smtps://ann:s3cret@relay.test:4465"), "smtps://relay.test:4465"),
        (SmartHost("smtp://ann:s3/cr@t@relay.test?tls=none"), "smtp://relay.test"),
        (SmartHost("/run/dovecot/lmtp"), "/run/dovecot/lmtp"),
    ],
)
def test_the_destination_of_a_smart_host_is_its_first_host_without_a_login(
    host: SmartHost, expected: str
) -> None:
    assert host.key("example.org") == expected
    assert "cr" not in repr(host)


def test_a_smart_host_keeps_the_options_of_the_client_and_does_not_show_them() -> None:
    host = SmartHost("relay.test", login=("ann", "s3cret"), tls="implicit")
    assert host.options == {"login": ("ann", "s3cret"), "tls": "implicit"}
    assert "s3cret" not in repr(host)


@pytest.mark.parametrize("hosts", [None, 25])
def test_hosts_of_another_type_are_a_type_error(hosts: Any) -> None:
    with pytest.raises(TypeError, match="hosts cannot be"):
        SmartHost(hosts)


def test_a_smart_host_without_hosts_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one host"):
        SmartHost([])


RELAY = SmartHost("relay.test", login=("ann", "s3cret"))


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        (Routes({"*": DIRECT}), "x.test"),
        (Routes({"*": DIRECT}, {"a.test": Direct(source="192.0.2.1")}), "x.test"),
        (Routes({"*": SmartHost("relay.test")}, {"a.test": RELAY}), "relay.test"),
        (Routes({"*": DIRECT}, {"a.test": RELAY}), None),
        (Routes({"*": DIRECT, "x.test": RELAY}, {"a.test": HOST}), "relay.test"),
        (Routes({}, {"a.test": RELAY}), None),
        (Routes({}), None),
    ],
)
def test_a_domain_has_a_destination_unless_that_depends_on_the_sender(
    routes: Routes, expected: str | None
) -> None:
    assert routes.destination("x.test") == expected


def test_local_mail_has_a_destination_for_each_domain() -> None:
    assert HERE.key("example.org") == "local:example.org"


@pytest.mark.parametrize(
    "names",
    [("example.org", "Example.ORG"), (".a.test", ".A.test"), ("xn--mller-kva.de", "müller.de")],
)
@pytest.mark.parametrize("by", ["by_recipient", "by_sender"])
def test_two_names_of_the_same_domain_are_an_error_that_quotes_both(
    by: str, names: tuple[str, str]
) -> None:
    values: dict[str, Any] = {"by_recipient": {}, by: dict.fromkeys(names, DIRECT)}
    with pytest.raises(ValueError, match=f"the routes '{names[0]}' and '{names[1]}' are for the"):
        Routes(**values)


def test_senders_whose_addresses_differ_in_their_local_parts_have_routes_of_their_own() -> None:
    assert len(Routes({}, {"ann@a.test": HOST, "Ann@a.test": OTHER}).by_sender) == 2
    with pytest.raises(ValueError, match="keep one"):
        Routes({}, {"ann@a.test": HOST, "ann@A.test": OTHER})


def test_what_a_smart_host_knows_is_a_function() -> None:
    with pytest.raises(TypeError, match="knows cannot be of the type str; pass a function"):
        SmartHost("relay.test", knows="users")  # type: ignore[arg-type]
