"""Outcomes as values: look-ups by address, the text, and the errors that carry an outcome."""

from __future__ import annotations

import pickle

import pytest

from smtpproto import (
    ConnectionLost,
    Envelope,
    ForwardPath,
    Mailbox,
    Outcome,
    OutcomeUnknown,
    RecipientReplies,
    Reply,
    SendRefused,
    TransportError,
)
from smtpproto.grammar.domain import Domain
from tests.support.envelopes import TO_BOB

OK = Reply(250, "2.0.0", "queued as 4F2A")
NO = Reply(550, "5.1.1", "No such user")
BOB = ForwardPath.of("bob@example.org")
LOST = ConnectionLost("the server closed the connection")


def outcome_of(
    accepted: int = 0, refused: int = 0, unknown: int = 0, error: ConnectionLost | None = None
) -> Outcome:
    """Return an outcome with this many recipients of each kind."""

    def replies(kind: str, number: int, reply: Reply) -> dict[ForwardPath, Reply]:
        return {ForwardPath.of(f"{kind}{n}@example.org"): reply for n in range(number)}

    return Outcome(
        envelope=TO_BOB,
        accepted=replies("yes", accepted, OK),
        refused=replies("no", refused, NO),
        unknown=replies("who", unknown, Reply(250)),
        error=error,
    )


# -- look-ups ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "same", "others"),
    [
        (
            BOB,
            ["bob@example.org", "bob@EXAMPLE.Org", '"bob"@example.org', '"b\\ob"@example.org'],
            ["Bob@example.org", "bob@example.com", "bob", "", "@", "<>"],
        ),
        (
            ForwardPath.of('"a b"@example.org'),
            ['"a b"@example.org', '"a\\ b"@Example.ORG'],
            ["a b@example.org", "ab@example.org"],
        ),
        (ForwardPath(None), ["postmaster", "Postmaster"], ["postmaster@example.org"]),
        (
            ForwardPath.of("bob@b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example"),
            [
                "bob@xn--bcher-kva.example",
                "bob@B\N{LATIN SMALL LETTER U WITH DIAERESIS}CHER.example",
            ],
            ["bob@bucher.example"],
        ),
        (
            ForwardPath(Mailbox("x" * 70, Domain("example.org"), long=True)),
            ["x" * 70 + "@example.org", "x" * 70 + "@EXAMPLE.org"],
            ["x" * 64 + "@example.org"],
        ),
    ],
    ids=["plain", "quoted", "postmaster", "idn", "long"],
)
def test_replies_are_found_by_any_form_of_the_address(
    path: ForwardPath, same: list[str], others: list[str]
) -> None:
    replies = RecipientReplies({path: OK, ForwardPath.of("carl@example.org"): NO})
    keys: list[ForwardPath | Mailbox | str] = [path, *same]
    if path.mailbox is not None:
        keys.append(path.mailbox)
    for key in keys:
        assert key in replies
        assert replies[key] == replies.get(key) == replies.get(key, NO) == OK
    for key in others:
        assert key not in replies
        assert replies.get(key) is None and replies.get(key, NO) is NO
        with pytest.raises(KeyError, match=r".*"):
            replies[key]
    for stranger in (None, 5, b"bob@example.org", object()):
        assert stranger not in replies


def test_replies_are_an_immutable_mapping_of_paths() -> None:
    given = {BOB: OK}
    replies = RecipientReplies(given)
    given[BOB] = NO
    assert dict(replies) == {BOB: OK} == replies
    assert [*replies] == [*replies.keys()] == [BOB] and [*replies.items()] == [(BOB, OK)]
    assert len(replies) == 1 and not RecipientReplies()
    assert repr(replies) == repr({BOB: OK})
    assert pickle.loads(pickle.dumps(replies)) == replies
    with pytest.raises(TypeError):
        replies[BOB] = NO  # type: ignore[index]


def test_outcomes_are_joined_without_asking_for_each_recipient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = outcome_of(accepted=2, refused=1), outcome_of(refused=2, unknown=1)
    with monkeypatch.context() as context:
        context.delattr(RecipientReplies, "__getitem__")
        joint = first | second
    assert [len(it) for it in (joint.accepted, joint.refused, joint.unknown)] == [2, 2, 1]
    assert first.accepted | second.refused == {**first.accepted, **second.refused}


def test_an_outcome_is_asked_by_address() -> None:
    outcome = Outcome(envelope=TO_BOB, accepted={BOB: OK}, rcpt={BOB: Reply(250)})
    assert outcome.accepted["bob@EXAMPLE.org"] is OK
    assert "bob@example.org" in outcome.rcpt and "bob@example.org" not in outcome.refused
    joined = outcome | Outcome(envelope=TO_BOB, refused={ForwardPath.of("a@b.example"): NO})
    assert joined.refused["a@b.example"] is NO and joined.accepted["bob@example.org"] is OK


# -- text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (outcome_of(1), "accepted: yes0@example.org (250 2.0.0 queued as 4F2A)"),
        (
            outcome_of(2, 1),
            "accepted: yes0@example.org, yes1@example.org (250 2.0.0 queued as 4F2A);"
            " refused: no0@example.org (550 5.1.1 No such user)",
        ),
        (
            outcome_of(unknown=5, error=LOST),
            "unknown: who0@example.org, who1@example.org, who2@example.org and 2 more"
            " (the server closed the connection)",
        ),
        (outcome_of(unknown=1), "unknown: who0@example.org"),
        (outcome_of(), "no recipients"),
    ],
)
def test_the_text_of_an_outcome_is_a_short_summary(outcome: Outcome, text: str) -> None:
    assert str(outcome) == text


def test_the_text_of_an_outcome_is_bounded_and_stays_on_one_line() -> None:
    people = [ForwardPath.of(f"{'x' * 40}.{n}@example.org") for n in range(5000)]
    refused = {path: Reply(550, None, [f"no {path}", "y" * 9000]) for path in people[:2500]}
    accepted = dict.fromkeys(people[2500:], Reply(250, None, "z" * 9000))
    text = str(Outcome(envelope=Envelope("", people), accepted=accepted, refused=refused))
    assert len(text) < 3000 and text.isprintable()
    assert "2497 more" in text


# -- errors --------------------------------------------------------------------------------------


def test_an_outcome_with_all_accepted_is_returned() -> None:
    outcome = outcome_of(3)
    assert outcome.raise_unless_all_accepted() is outcome


@pytest.mark.parametrize(("accepted", "unknown"), [(0, 0), (3, 0), (0, 1), (1, 1)])
def test_any_refused_recipient_raises_send_refused(accepted: int, unknown: int) -> None:
    outcome = outcome_of(accepted, 2, unknown, LOST if unknown else None)
    with pytest.raises(SendRefused) as caught:
        outcome.raise_unless_all_accepted()
    error = caught.value
    assert (error.outcome, error.reply, error.phase) == (outcome, NO, "transaction")
    assert error.check == "the addresses of the sender and the recipients"
    some = f"2 of {2 + accepted + unknown} recipients: no0@example.org, no1@example.org"
    whom = some if accepted or unknown else "all recipients"
    assert error.message == f"the server refused the message for {whom}"


@pytest.mark.parametrize("accepted", [0, 3])
def test_an_unknown_recipient_raises_outcome_unknown(accepted: int) -> None:
    """It is no TransportError: programs send again after those."""
    outcome = outcome_of(accepted, unknown=1, error=LOST)
    with pytest.raises(OutcomeUnknown, match=r"for who0@example\.org: the") as caught:
        outcome.raise_unless_all_accepted()
    assert caught.value.outcome is outcome and caught.value.__cause__ is LOST
    assert "twice" in caught.value.check and not isinstance(caught.value, TransportError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
