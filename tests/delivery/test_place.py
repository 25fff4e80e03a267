"""Which mailbox a recipient has, and that no address leads out of the place."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given

from smtpproto import ForwardPath
from smtpproto.delivery import Place, Template
from smtpproto.testing.strategies import forward_paths


@pytest.mark.parametrize(
    ("place", "recipient", "path"),
    [
        ("/mail/{user}", "Ann@example.org", "/mail/ann"),
        ("/mail/{domain}/{user}", "ann@EXAMPLE.org", "/mail/example.org/ann"),
        ("/mail/{user}", "ann+Lists@example.org", "/mail/ann"),
        ("/mail/{user}-{detail}", "ann+Lists@example.org", "/mail/ann-Lists"),
        ("/mail/{user}{detail}", "ann@example.org", "/mail/ann"),
        ("/mail/{{{user}}}", "ann@example.org", "/mail/{ann}"),
        ("/mail/all", '"../x"@example.org', "/mail/all"),
        ("/mail/{user}", "Postmaster", "/mail/postmaster"),
        ("/mail/{user}", "jo\u0308rg@example.org", "/mail/j\u00f6rg"),
        ("/mail/{user}", '".."@example.org', None),
        ("/mail/{user}", '"a/b"@example.org', None),
        ("/mail/{user}", "-rf@example.org", None),
        ("/mail/{user}", "+x@example.org", None),
        ("/mail/{user}", '"a b"@example.org', None),
        ("/mail/{user}/{detail}", '"ann+../bob"@example.org', None),
        ("/mail/{user}", "a\u202eb@example.org", None),
        ("/mail/{domain}", "Postmaster", None),
        ("/mail/{domain}", "ann@[IPv6:2001:db8::1]", None),
        ("/mail/{domain}", "ann@[192.0.2.1]", None),
    ],
)
def test_the_place_of_a_recipient(place: str, recipient: str, path: str | None) -> None:
    assert Place(place).path(ForwardPath.of(recipient)) == path


def test_the_separator_may_be_another_one_or_none() -> None:
    ann = ForwardPath.of("ann+x-y@example.org")
    assert Place("{user}", "-").path(ann) == "ann+x"
    assert Place("{user}", "").path(ann) == "ann+x-y"


@given(forward_paths(smtputf8=True))
def test_no_address_leads_out_of_its_place(recipient: ForwardPath) -> None:
    path = Place("/mail/{domain}/{user}").path(recipient)
    if path is not None:
        root, mail, domain, user = PurePosixPath(path).parts
        assert (root, mail) == ("/", "mail")
        assert not {domain[0], user[0]} & {".", "-"}
        assert path.isprintable()


@pytest.mark.parametrize(
    "place", ["{usr}", "{user", "{user!r}", "{user:>9}", "{}", "{0}", "{user.x}"]
)
def test_other_names_in_braces_are_refused(place: str) -> None:
    with pytest.raises(ValueError, match=r"{user}, {domain}, {detail}"):
        Template(place)
