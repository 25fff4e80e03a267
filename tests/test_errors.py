"""The tree of errors: its drawings and the tables of docs/reference/errors.md match the classes."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from pathlib import Path

from smtpproto import GrammarError, Outcome, Refusal, Reply, SendRefused, TimedOut, errors
from smtpproto.errors import CHECKS, SMTPError
from tests.support.envelopes import TO_BOB

PAGE = (Path(__file__).parent.parent / "docs" / "reference" / "errors.md").read_text()
BUILTIN = (ValueError, ConnectionError, TimeoutError)


def drawn(kind: type[SMTPError], first: str = "", others: str = "") -> Iterator[tuple[str, str]]:
    """Yield for each class its line in the tree, and the name of its built-in base if any."""
    also = [base.__name__ for base in kind.__bases__ if base in BUILTIN]
    yield first + kind.__name__, "".join(also)
    subclasses = [one for one in kind.__subclasses__() if one.__name__ in errors.__all__]
    for one in subclasses:
        last = one is subclasses[-1]
        mark, rest = ("└── ", "    ") if last else ("├── ", "│   ")
        yield from drawn(one, others + mark, others + rest)


def tree_in(text: str) -> list[tuple[str, str]]:
    """Return the same, read from the drawing in *text*."""
    lines = re.findall(r"^ *([ │├└─]*\b[A-Z]\w+) .*?(?:\(also (\w+)\))?$", text, re.MULTILINE)
    return [(name.strip(), also) for name, also in lines]


def test_both_drawings_of_the_error_tree_match_the_classes() -> None:
    tree = [(name.strip(), also) for name, also in drawn(SMTPError)]
    docstring = errors.__doc__ or ""
    assert tree_in(docstring.partition("::")[2].partition("Each error")[0]) == tree
    assert tree_in(PAGE.split("```")[1]) == tree


def test_the_tables_in_errors_md_match_the_advice_of_errors() -> None:
    rows = re.findall(r"^\| `(.*?)` \|.*?([^|]*) \|$", PAGE, re.MULTILINE)
    documented = {name: check.strip() for name, check in rows}
    kinds = [name.lstrip(" │├└─") for name, _ in drawn(SMTPError)]
    defaults = {name: getattr(errors, name).default_check for name in kinds}
    assert documented == {
        **{name: check for name, check in defaults.items() if check},
        **dict(CHECKS),
    }


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
