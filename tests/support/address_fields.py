"""Address fields in every syntax of RFC 5322 and RFC 6854, with the mailboxes that they have."""

from __future__ import annotations

import re
from functools import cache

from hypothesis import strategies as st

from smtpproto import Domain, Mailbox
from smtpproto.limits import PATH
from smtpproto.testing.strategies import domains, local_parts

ATOMS = st.from_regex(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,8}", fullmatch=True)
QUOTED = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x17F, exclude_characters="\x7f"))


def quoted(text: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def commented(text: str) -> str:
    return "(" + re.sub(r"([()\\])", r"\\\1", text) + ")"


COMMENTS = QUOTED.map(commented)
PIECES = st.sampled_from(["", " ", "\t", "\r\n ", "\n\t"]) | COMMENTS
NESTED = COMMENTS.map(lambda comment: f"(a {comment} b)")
GAPS = st.lists(PIECES | NESTED, max_size=3).map("".join)
"""Blanks, folds and comments, which may stand between any two tokens."""
NAMES = ATOMS | QUOTED.map(quoted)
WORDS = st.lists(NAMES | st.just("J."), max_size=3)
ROUTES = st.sampled_from(["", "@relay.test:", "@a.test,@b.test:"])


@st.composite
def written(draw: st.DrawFn, mailbox: Mailbox) -> str:
    """*mailbox* in one of its syntaxes (RFC 5322 3.4, 4.4)."""
    local_part, _, domain = str(mailbox).rpartition("@")
    gap = draw(GAPS)
    if local_part.startswith('"') or draw(st.booleans()):
        local_part = quoted(mailbox.local_part)
    spec = f"{local_part}{gap}@{draw(GAPS)}{domain.replace('.', f'{gap}.')}"
    if draw(st.booleans()):
        return draw(GAPS) + spec + draw(GAPS)
    words = draw(WORDS)
    route = draw(ROUTES)
    return f"{' '.join(words)} <{draw(GAPS)}{route}{spec}{draw(GAPS)}>{draw(GAPS)}"


@cache
def _member_lists(*, smtputf8: bool) -> st.SearchStrategy[list[Mailbox]]:
    """Mailboxes that fit into a path. Literals are left out: their reading is tested with the
    grammar."""

    def build(local_part: str, domain: Domain) -> Mailbox:
        mailbox = Mailbox(local_part, domain)
        fits = len(bytes(mailbox)) + len("<>") <= PATH
        return mailbox if fits else Mailbox(local_part, Domain("long.test"))

    parts = local_parts(smtputf8=smtputf8), domains(u_labels=smtputf8)
    return st.lists(st.builds(build, *parts), max_size=3)


@st.composite
def address_fields(draw: st.DrawFn, *, smtputf8: bool = True) -> tuple[str, list[Mailbox]]:
    """The body of an address field, and the mailboxes in it. Names and comments may have any
    characters; addresses are ASCII unless *smtputf8*."""
    elements, found = [], list[Mailbox]()
    for _ in range(draw(st.integers(0, 4))):
        members = draw(_member_lists(smtputf8=smtputf8))
        if len(members) == 1 and draw(st.booleans()):
            elements.append(draw(written(members[0])))
        else:
            listed = ",".join(draw(written(member)) for member in members)
            name = draw(NAMES)
            elements.append(f"{name}{draw(GAPS)}:{listed};{draw(GAPS)}")
        found += members
        elements += [draw(GAPS)] * draw(st.integers(0, 1))  # obsolete: empty elements
    return ",".join(elements), found
