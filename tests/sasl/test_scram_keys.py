"""The keys that a server stores for SCRAM (RFC 5803)."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError, ScramKeys, Secret, StoredKeys
from smtpproto.limits import SCRAM_ITERATIONS
from smtpproto.sasl.scram import ScramServer

from .scram_exchanges import HASHES, SALT, UNBOUND, challenge_after

KEYS = ScramKeys.derive("secret", salt=SALT, iterations=4096)
KEYS_TEXT = str(KEYS)


@pytest.mark.parametrize(
    ("hash_name", "salt", "text"),
    [
        (  # the keys in the example of RFC 5802 5
            "SHA-1",
            "4125c247e43ab1e93c6dff76",
            "SCRAM-SHA-1$4096:QSXCR+Q6sek8bf92"
            "$6dlGYMOdZcOPutkcNY8U2g7vK9Y=:D+CSWLOshSulAsxiupA+qs2/fTE=",
        ),
        (  # the keys in the example of RFC 7677 3
            "SHA-256",
            "5b6d99689d12358eeca04b141236fa81",
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=="
            "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        ),
    ],
)
def test_keys_are_written_and_read_in_the_format_of_rfc_5803(
    hash_name: str, salt: str, text: str
) -> None:
    keys = ScramKeys.derive(
        "pencil", salt=bytes.fromhex(salt), iterations=4096, hash_name=hash_name
    )
    assert str(keys) == text
    assert ScramKeys.parse(text) == keys
    assert ScramKeys.parse(text.replace("$", " $  ")) == keys  # RFC 3112 allows blanks there
    assert keys.matches("pencil") and keys.matches(Secret("pencil"))
    assert not keys.matches("pencils")
    assert text.partition("$")[2][5:] not in repr(keys)


@pytest.mark.req("RFC5802-5.1-07", "RFC7677-3-01")
@pytest.mark.parametrize("hash_name", HASHES)
def test_at_least_4096_iterations_are_used_and_fewer_are_refused(hash_name: str) -> None:
    """The iterations of the keys are the ones that the server announces."""
    keys = ScramKeys.derive("secret", salt=SALT, hash_name=hash_name)
    assert keys.iterations >= 4096
    server = ScramServer(StoredKeys({"ann": keys}), UNBOUND, hash_name)
    assert int(challenge_after(server, "n,,n=ann,r=n").partition(",i=")[2]) >= 4096
    for iterations in (1, 4095, SCRAM_ITERATIONS[1] + 1):
        with pytest.raises(GrammarError, match="iterations"):
            ScramKeys.derive("secret", salt=SALT, iterations=iterations, hash_name=hash_name)


@given(
    st.sampled_from(HASHES),
    st.integers(*SCRAM_ITERATIONS),
    st.binary(min_size=1, max_size=40),
    st.data(),
)
def test_parse_reads_what_str_writes(
    hash_name: str, iterations: int, salt: bytes, data: st.DataObject
) -> None:
    size = hashlib.new(hash_name.replace("-", "")).digest_size
    stored, server = (data.draw(st.binary(min_size=size, max_size=size)) for _ in range(2))
    keys = ScramKeys(hash_name, iterations, salt, stored, server)
    assert ScramKeys.parse(str(keys)) == keys


@given(st.one_of(st.text(), st.text("SCRAM-SHA-256$4096:AAAA=", max_size=40)))
def test_text_that_is_not_keys_raises_a_grammar_error_that_hides_it(text: str) -> None:
    with pytest.raises(GrammarError):
        ScramKeys.parse(text)
    with pytest.raises(GrammarError) as caught:
        ScramKeys.parse(f"{text}hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        KEYS_TEXT.replace("SHA-256", "SHA-1"),
        KEYS_TEXT.replace("SHA-256", "SHA-512"),
        KEYS_TEXT.replace("SCRAM", "scram"),
        KEYS_TEXT.replace("$4096", "$4095"),
        KEYS_TEXT.replace("$4096", "$04096"),
        KEYS_TEXT.replace("$4096", "$1000001"),
        KEYS_TEXT.replace("$4096", "$\u0664\u0660\u0669\u0666"),
        KEYS_TEXT[:-1],
        KEYS_TEXT + "$",
        KEYS_TEXT + "\n",
        KEYS_TEXT.replace("=", ""),
        KEYS_TEXT.replace("=", "\u00fc"),
        KEYS_TEXT.replace("$4096:AAEC", "$4096:****"),
    ],
)
def test_malformed_keys_are_refused_and_not_shown(text: str) -> None:
    with pytest.raises(GrammarError) as caught:
        ScramKeys.parse(text)
    assert KEYS_TEXT[-20:-2] not in str(caught.value)


def test_invalid_passwords_salts_hashes_and_sizes_are_refused() -> None:
    for password in ("", "\u00ad", "a\x07", Secret(b"\xff")):
        with pytest.raises(GrammarError):
            ScramKeys.derive(password, salt=SALT)
    with pytest.raises(GrammarError, match="SHA-512"):
        ScramKeys.derive("secret", salt=SALT, hash_name="SHA-512")
    with pytest.raises(GrammarError, match="salt"):
        ScramKeys.derive("secret", salt=b"")
    with pytest.raises(GrammarError, match="keys"):
        ScramKeys("SHA-1", 4096, SALT, bytes(32), bytes(32))
