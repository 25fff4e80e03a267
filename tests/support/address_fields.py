"""Address fields in every syntax of RFC 5322 and RFC 6854, with the mailboxes that they have."""

from __future__ import annotations

import re

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


@st.composite
def gaps(draw: st.DrawFn) -> str:
    """Blanks, folds and comments, which may stand between any two tokens."""
    pieces = st.sampled_from(["", " ", "\t", "\r\n ", "\n\t"]) | QUOTED.map(commented)
    nested = QUOTED.map(lambda text: f"(a {commented(text)} b)")
    return "".join(draw(st.lists(pieces | nested, max_size=3)))


@st.composite
def written(draw: st.DrawFn, mailbox: Mailbox) -> str:
    """*mailbox* in one of its syntaxes (RFC 5322 3.4, 4.4)."""
    local_part, _, domain = str(mailbox).rpartition("@")
    gap = draw(gaps())
    if local_part.startswith('"') or draw(st.booleans()):
        local_part = quoted(mailbox.local_part)
    spec = f"{local_part}{gap}@{draw(gaps())}{domain.replace('.', f'{gap}.')}"
    if draw(st.booleans()):
        return draw(gaps()) + spec + draw(gaps())
    words = draw(st.lists(ATOMS | QUOTED.map(quoted) | st.just("J."), max_size=3))
    route = draw(st.sampled_from(["", "@relay.test:", "@a.test,@b.test:"]))
    return f"{' '.join(words)} <{draw(gaps())}{route}{spec}{draw(gaps())}>{draw(gaps())}"


def _plain_mailboxes(*, smtputf8: bool) -> st.SearchStrategy[Mailbox]:
    """Those that fit into a path. Literals are left out: their reading is tested with the
    grammar."""

    def build(local_part: str, domain: Domain) -> Mailbox:
        mailbox = Mailbox(local_part, domain)
        fits = len(bytes(mailbox)) + len("<>") <= PATH
        return mailbox if fits else Mailbox(local_part, Domain("long.test"))

    return st.builds(build, local_parts(smtputf8=smtputf8), domains(u_labels=smtputf8))


@st.composite
def address_fields(draw: st.DrawFn, *, smtputf8: bool = True) -> tuple[str, list[Mailbox]]:
    """The body of an address field, and the mailboxes in it. Names and comments may have any
    characters; addresses are ASCII unless *smtputf8*."""
    elements, found = [], list[Mailbox]()
    for _ in range(draw(st.integers(0, 4))):
        members = draw(st.lists(_plain_mailboxes(smtputf8=smtputf8), max_size=3))
        if len(members) == 1 and draw(st.booleans()):
            elements.append(draw(written(members[0])))
        else:
            listed = ",".join(draw(written(member)) for member in members)
            name = draw(ATOMS | QUOTED.map(quoted))
            elements.append(f"{name}{draw(gaps())}:{listed};{draw(gaps())}")
        found += members
        elements += [draw(gaps())] * draw(st.integers(0, 1))  # obsolete: empty elements
    return ",".join(elements), found
