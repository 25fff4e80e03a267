"""The tree of errors, as it is drawn in two places, is what the classes are."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from pathlib import Path

from smtpproto import GrammarError, Outcome, Refusal, Reply, SendRefused, TimedOut, errors
from smtpproto.errors import CHECKS, SMTPError
from tests.support.envelopes import TO_BOB

PAGE = (Path(__file__).parent.parent / "docs" / "errors.md").read_text()
BUILTIN = (ValueError, ConnectionError, TimeoutError)


def drawn(kind: type[SMTPError], first: str = "", others: str = "") -> Iterator[tuple[str, str]]:
    """A line for each class: its name in the tree, and the built-in that it also is."""
    also = [base.__name__ for base in kind.__bases__ if base in BUILTIN]
    yield first + kind.__name__, "".join(also)
    subclasses = [one for one in kind.__subclasses__() if one.__name__ in errors.__all__]
    for one in subclasses:
        last = one is subclasses[-1]
        mark, rest = ("└── ", "    ") if last else ("├── ", "│   ")
        yield from drawn(one, others + mark, others + rest)


def read(text: str) -> list[tuple[str, str]]:
    """The same, as it stands in *text*."""
    lines = re.findall(r"^ *([ │├└─]*\b[A-Z]\w+) .*?(?:\(also (\w+)\))?$", text, re.MULTILINE)
    return [(name.strip(), also) for name, also in lines]


def test_the_tree_is_drawn_as_it_is() -> None:
    tree = [(name.strip(), also) for name, also in drawn(SMTPError)]
    docstring = errors.__doc__ or ""
    assert read(docstring.partition("::")[2].partition("Each error")[0]) == tree
    assert read(PAGE.split("```")[1]) == tree


def test_the_page_has_what_errors_say() -> None:
    rows = re.findall(r"^\| `(.*?)` \|.*?([^|]*) \|$", PAGE, re.MULTILINE)
    told = {name: check.strip() for name, check in rows}
    kinds = [name.lstrip(" │├└─") for name, _ in drawn(SMTPError)]
    usual = {name: getattr(errors, name).default_check for name in kinds}
    assert told == {**{name: check for name, check in usual.items() if check}, **dict(CHECKS)}


def test_errors_can_be_pickled() -> None:
    refusal = SendRefused(Reply(550, "5.1.1", "No"), Outcome(envelope=TO_BOB), command="RCPT")
    for error in (
        refusal,
        Refusal("x", Reply(450)),
        TimedOut("x", phase="mail"),
        GrammarError("x"),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and str(again) == str(error)
