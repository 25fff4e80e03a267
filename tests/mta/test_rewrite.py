"""What aliases make of recipients."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import Mailbox, Notify, OriginalRecipient, RcptParameters, ReversePath
from smtpproto.errors import GrammarError
from smtpproto.grammar.address import ForwardPath
from smtpproto.mta import Aliases, Delivery, Forwarding
from smtpproto.mta.rewrite import Expansion, deliveries_of, expand
from tests.support.queued import message

T = TypeVar("T")
NO_PARAMETERS = RcptParameters()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of *coroutine*, which waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits")


def path(address: str) -> ForwardPath:
    return ForwardPath.of(address)


def texts(paths: Sequence[ForwardPath] | None) -> list[str] | None:
    return None if paths is None else [str(it) for it in paths]


# -- one address ---------------------------------------------------------------------------------

FOUND = Aliases(
    {
        "Info@Example.ORG": "ann@example.org",
        "team@example.org": ["ann@example.org", "bob@example.net", "carol+all@example.org"],
        "team+urgent@example.org": "dave@example.net",
        "nobody@example.org": [],
        "move@example.org": "@example.net",
        "@old.example": "@example.org",
        "@all.example": "postmaster",
        "postmaster": "ann@example.org",
        "ü@bücher.example": "ann@example.org",
    }
)


@pytest.mark.parametrize(
    ("address", "targets"),
    [
        ("info@example.org", ["ann@example.org"]),
        ("INFO@EXAMPLE.org", ["ann@example.org"]),
        ("info+shop@example.org", ["ann+shop@example.org"]),
        ("team+Urgent@example.org", ["dave@example.net"]),
        (
            "Team+a+b@example.org",
            ["ann+a+b@example.org", "bob@example.net", "carol+all+a+b@example.org"],
        ),
        ("nobody@example.org", []),
        ("move+x@example.org", ["move+x@example.net"]),
        ("ü@xn--bcher-kva.example", ["ann@example.org"]),
        ("Postmaster", ["ann@example.org"]),
        ("+info@example.org", None),
        ("ann@example.org", None),
        ('"info"@example.org', ["ann@example.org"]),
        ('"info+a b"@example.org', ['"ann+a b"@example.org']),
    ],
)
def test_an_alias_is_found_by_the_address_and_then_without_its_detail(
    address: str, targets: list[str] | None
) -> None:
    assert texts(run(FOUND.find(path(address)))) == targets


def test_another_separator_or_none_may_begin_the_detail() -> None:
    source = {"info@example.org": "ann@example.org"}
    minus, none = Aliases(source, separator="-"), Aliases(source, separator="")
    assert texts(run(minus.find(path("info-x@example.org")))) == ["ann-x@example.org"]
    assert run(minus.find(path("info+x@example.org"))) is None
    assert run(none.find(path("info+x@example.org"))) is None


def test_a_domain_may_stand_for_another_or_for_one_address() -> None:
    assert texts(run(FOUND.catch_all(path("Ann+x@old.example")))) == ["Ann+x@example.org"]
    assert texts(run(FOUND.catch_all(path("x@ALL.example")))) == ["Postmaster"]
    assert run(FOUND.catch_all(path("x@example.org"))) is None


def test_what_would_be_too_long_for_an_address_is_nobody() -> None:
    long = ForwardPath(Mailbox("x" * 100, "a.test", long=True))
    domain = ".".join(["y" * 59] * 3)
    aliases = Aliases({"@a.test": [f"@{domain}", "@b.test"], "info@b.test": f"z@{domain}"})
    assert texts(run(aliases.catch_all(long))) == [f"{'x' * 100}@b.test"]
    assert texts(run(aliases.catch_all(path("x@a.test")))) == [f"x@{domain}", "x@b.test"]
    same = Aliases({f"info@{domain}": [f"{'z' * 64}@{domain}", "ann@b.test"]})
    detailed = ForwardPath(Mailbox("info+" + "x" * 60, domain, long=True))
    assert texts(run(same.find(detailed))) == ["ann@b.test"]


def test_the_domains_of_a_mapping_are_virtual_domains() -> None:
    assert {
        "example.org", "old.example", "all.example", "xn--bcher-kva.example"
    } == FOUND.domains  # fmt: skip
    assert Aliases(lambda key: None, domains=["EXAMPLE.net"]).domains == {"example.net"}


@pytest.mark.parametrize("is_async", [False, True])
def test_a_function_is_asked_for_addresses_in_lower_case_and_a_labels(is_async: bool) -> None:
    asked = []

    def find(key: str) -> list[str] | None:
        asked.append(key)
        return ["ann@example.org"] if key == "@xn--bcher-kva.example" else None

    async def find_later(key: str) -> list[str] | None:
        return find(key)

    aliases = Aliases(find_later if is_async else find)
    assert run(aliases.find(path("Info+X@BÜCHER.example"))) is None
    assert texts(run(aliases.catch_all(path("Info+X@BÜCHER.example")))) == ["ann@example.org"]
    domain = "@xn--bcher-kva.example"
    assert asked == [f"info+x{domain}", f"info{domain}", domain]


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ({"no address": "ann@example.org"}, GrammarError),
        ({"info": "ann@example.org"}, GrammarError),
        ({"info@example.org": "ann"}, GrammarError),
        ({"info@example.org": ["ann@example.org", ""]}, GrammarError),
        ({"info@example.org": "@not a domain"}, GrammarError),
        ({"info@example.org": 7}, TypeError),
        ({"info@example.org": None}, TypeError),
        ({"info@example.org": "a@b.test", "INFO@example.org": "c@d.test"}, ValueError),
        ("info@example.org", TypeError),
    ],
)
def test_wrong_aliases_are_refused(source: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Aliases(source)


@pytest.mark.parametrize("found", ["ann", ["ann@example.org", 7], 7])
def test_what_a_function_returns_is_checked(found: Any) -> None:
    with pytest.raises((GrammarError, TypeError)):
        run(Aliases(lambda key: found).find(path("info@example.org")))


# -- following them ------------------------------------------------------------------------------

Graph = Mapping[str, Sequence[str]]
NAMES = [f"{name}@a.test" for name in "abcdefg"]
GRAPHS = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=4))


def follow(graph: Graph, start: str, **options: Any) -> Expansion:
    async def find(it: ForwardPath) -> Sequence[ForwardPath] | None:
        found = graph.get(str(it))
        return None if found is None else [path(each) for each in found]

    return run(expand(path(start), find, **{"max_depth": 20, "max_recipients": 1000} | options))


def reachable(graph: Graph, start: str) -> set[str]:
    """Return all addresses to which *start* leads, which are no aliases or stand for themselves."""
    seen, left = {start}, [start]
    while left:
        for it in graph.get(left.pop(), ()):
            if it not in seen:
                seen.add(it)
                left.append(it)
    return {it for it in seen if it in graph.get(it, [it])}


@given(GRAPHS)
def test_any_graph_of_aliases_leads_to_each_mailbox_once_and_never_in_circles(
    graph: Graph,
) -> None:
    expansion = follow(graph, NAMES[0])
    found = [str(it.path) for it in expansion.targets]
    assert len(found) == len({*found})
    assert {*found} == reachable(graph, NAMES[0])
    assert (expansion.refusal is None) == bool(found)
    for target in expansion.targets:
        way = [str(it) for it in (*target.via, target.path)]
        assert way[0] == NAMES[0] and len(way) == len({*way})
        assert all(after in graph[before] for before, after in pairwise(way))


@given(GRAPHS)
def test_each_address_is_asked_for_once(graph: Graph) -> None:
    asked: list[str] = []

    async def find(it: ForwardPath) -> Sequence[ForwardPath] | None:
        asked.append(str(it))
        found = graph.get(str(it))
        return None if found is None else [path(each) for each in found]

    run(expand(path(NAMES[0]), find, max_depth=20, max_recipients=1000))
    assert len(asked) == len({*asked})


@given(GRAPHS, st.sets(st.sampled_from(NAMES)))
def test_no_address_where_the_message_was_before_is_followed_again(
    graph: Graph, before: set[str]
) -> None:
    expansion = follow(graph, NAMES[0], was_at=lambda it: str(it) in before)
    for target in expansion.targets:
        assert target.is_loop == (str(target.path) in before)
        assert not {str(it) for it in target.via} & before


@pytest.mark.parametrize(
    ("graph", "reply"),
    [
        ({"a@a.test": []}, "550 5.1.1 No such mailbox"),
        ({"a@a.test": ["b@a.test"], "b@a.test": []}, "550 5.1.1 No such mailbox"),
        (
            {"a@a.test": ["B@a.test"], "B@a.test": ["A@a.test"]},
            "550 5.4.6 The aliases of this address lead back to it",
        ),
    ],
)
def test_an_address_that_leads_nowhere_is_refused(graph: Graph, reply: str) -> None:
    assert str(follow(graph, "a@a.test").refusal) == reply


@pytest.mark.parametrize("most", [1, 5, 20])
def test_depth_and_number_are_bounded(most: int) -> None:
    chain = {f"{n}@a.test": [f"{n + 1}@a.test"] for n in range(100)}
    assert follow(chain, f"{100 - most}@a.test", max_depth=most).refusal is None
    too_deep = follow(chain, f"{99 - most}@a.test", max_depth=most)
    wide = {"a@a.test": [f"{n}@a.test" for n in range(most)]}
    assert len(follow(wide, "a@a.test", max_recipients=most).targets) == most
    too_many = follow(wide, "a@a.test", max_recipients=most - 1)
    for refused in (too_deep, too_many):
        assert (str(refused.refusal)[:9], refused.targets) == ("451 4.3.5", ())


def test_a_function_that_always_knows_another_alias_is_given_up() -> None:
    async def find(it: ForwardPath) -> Sequence[ForwardPath]:
        return [path(f"x{it}"), path(f"y{it}")]

    found = run(expand(path("a@a.test"), find, max_depth=50, max_recipients=1000))
    assert str(found.refusal)[:9] == "451 4.3.5"


# -- deliveries ----------------------------------------------------------------------------------

GRAPH = {
    "list@a.test": ["ann@a.test", "bob@b.test", "carol@c.test"],
    "info@a.test": ["bob@b.test"],
    "ann@a.test": ["ann@a.test", "ann@c.test"],
    "gone@a.test": [],
    "loop@a.test": ["pool@a.test"],
    "pool@a.test": ["loop@a.test"],
}


def is_ours(it: ForwardPath) -> bool:
    return str(it.domain) == "a.test"


def deliveries(
    *recipients: str,
    sender: str = "eve@x.test",
    parameters: RcptParameters = NO_PARAMETERS,
    was_at: Callable[[ForwardPath], bool] = lambda it: False,
) -> dict[str, Delivery]:
    """Return the deliveries by what they are for."""
    expansions = [
        (path(it), parameters, follow(GRAPH, it, was_at=lambda at: is_ours(at) and was_at(at)))
        for it in recipients
    ]
    keeps = not sender or sender.endswith("@a.test")
    its = message(sender=ReversePath.of(sender))
    made = deliveries_of(its, expansions, lambda it: not (keeps or is_ours(it)))
    assert [it.number for it in made] == [*range(len(made))]
    return {f"{it.recipient} {it.forwarding.value}".strip(): it for it in made}


def test_only_what_leaves_by_an_alias_and_is_not_from_here_is_forwarded() -> None:
    assert [*deliveries("info@a.test")] == ["bob@b.test forwarded"]
    assert [*deliveries("ann@a.test")] == ["ann@a.test", "ann@c.test forwarded"]
    assert [*deliveries("bob@b.test")] == ["bob@b.test"]
    for sender in ("", "eve@a.test"):
        assert [*deliveries("info@a.test", sender=sender)] == ["bob@b.test"]


@pytest.mark.req("RFC5321-3.9-03")
def test_recipients_that_lead_to_one_address_have_one_delivery_that_knows_all_ways() -> None:
    found = deliveries("list@a.test", "info@a.test", "list@a.test")
    assert [*found] == [
        "ann@a.test", "bob@b.test forwarded", "carol@c.test forwarded", "ann@c.test forwarded",
    ]  # fmt: skip
    assert texts(found["bob@b.test forwarded"].via) == ["list@a.test", "info@a.test"]
    assert texts(found["ann@c.test forwarded"].via) == ["list@a.test", "ann@a.test"]


@pytest.mark.parametrize(
    "recipients", [("bob@b.test", "info@a.test"), ("info@a.test", "bob@b.test")]
)
def test_an_address_that_is_also_a_recipient_is_not_forwarded(recipients: tuple[str, str]) -> None:
    assert [*deliveries(*recipients)] == ["bob@b.test"]


def test_what_leads_nowhere_has_a_delivery_that_is_refused() -> None:
    assert [*deliveries("gone@a.test")] == ["gone@a.test unknown"]
    assert [*deliveries("loop@a.test")] == ["loop@a.test loop"]
    again = deliveries("ann@a.test", was_at=lambda it: str(it) == "ann@a.test")
    assert [*again] == ["ann@a.test loop"]


@pytest.mark.req("RFC3461-5.2.7.2-01", "RFC3461-5.2.7.2-02")
def test_the_parameters_of_an_alias_for_one_address_pass_on_and_nothing_is_reported() -> None:
    parameters = RcptParameters(
        notify={Notify.SUCCESS, Notify.DELAY}, orcpt=OriginalRecipient("rfc822", "Eve@x.test")
    )
    found = deliveries("info@a.test", parameters=parameters)
    assert [*found] == ["bob@b.test forwarded"]
    assert found["bob@b.test forwarded"].parameters == parameters


@pytest.mark.req("RFC3461-5.2.7.3-01")
@pytest.mark.parametrize(
    ("notify", "passed_on"),
    [
        ({Notify.SUCCESS, Notify.FAILURE}, {Notify.FAILURE}),
        ({Notify.SUCCESS}, {Notify.NEVER}),
        ({Notify.FAILURE}, {Notify.FAILURE}),
        ({Notify.NEVER}, {Notify.NEVER}),
        (None, None),
    ],
)
def test_an_alias_for_several_reports_that_it_was_expanded_and_they_report_no_success(
    notify: set[Notify] | None, passed_on: set[Notify] | None
) -> None:
    original = OriginalRecipient("rfc822", "list@a.test")
    found = deliveries("list@a.test", parameters=RcptParameters(notify=notify, orcpt=original))
    expanded = found.pop("list@a.test expanded", None)
    assert (expanded is not None) == bool(notify and Notify.SUCCESS in notify)
    assert expanded is None or expanded.parameters.notify == notify
    assert len(found) == 4 and all(
        (it.parameters.notify, it.parameters.orcpt) == (passed_on, original)
        for it in found.values()
    )
    assert all(it.forwarding is not Forwarding.EXPANDED for it in found.values())
