"""The keys for DKIM signatures that a domain publishes (RFC 6376 3.6.1)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from ..diagnosis.receivers import Need, refusals
from ..dns import Answer, Kind, txt_record
from ..errors import GrammarError
from ..policy import Algorithm, DKIMKey, Keys
from .facts import Facts, is_answered
from .finding import Finding, Subject, error, note, ok, warning

__all__ = ["check"]

_LEAST, _GOOD = 1024, 2048  # bits of an RSA key that verifiers accept, and that signers should use
_TYPES = {it.key_type: it for it in Algorithm}
_FORM = "v=DKIM1; k=rsa; p=(the public key in base64)"
_MAKE = "Make a key, publish it, and sign with it (smtpproto.adapters.cryptography_keys)."


async def check(facts: Facts) -> AsyncIterator[Finding]:
    """Look at the keys of the selectors that were given."""
    if not facts.options.selectors:
        text = "no key was looked at: the DNS cannot tell which selectors there are"
        mend = "Give the selectors of your signatures, s= in DKIM-Signature, with --selector."
        yield note(Subject.DKIM, facts.domain, text, mend)
    for selector in facts.options.selectors:
        name = f"{selector}._domainkey.{facts.domain}"
        for finding in judge(name, await facts.ask(name, Kind.TXT), facts.options.keys):
            yield finding


def judge(name: str, answer: Answer, keys: Keys | None) -> Iterator[Finding]:
    """Judge the key records at *name*."""
    if reason := is_answered(answer):
        why = "Receivers cannot verify signatures, and may ask for the mail again later."
        yield error(Subject.DKIM, name, reason, why, "Mend the name servers of the domain.")
        return
    if not answer.octets:
        why = f"Signatures with this selector fail. {refusals(Need.AUTHENTICATION, Need.DKIM)}"
        yield error(Subject.DKIM, name, "there is no key", why, _MAKE).publishing(
            txt_record(name, _FORM)
        )
        return
    octets, *others = answer.octets
    if others:
        text = f"there are {len(answer.octets)} TXT records"
        why = "Which of them receivers take is undefined (RFC 6376 3.6.2.2)."
        yield error(Subject.DKIM, name, text, why, "Remove all but one.")
    try:
        key = DKIMKey.parse(octets)
    except GrammarError as malformed:
        why, mend = "Signatures with this selector fail.", "Correct the record."
        yield error(Subject.DKIM, name, malformed.message, why, mend).publishing(
            txt_record(name, _FORM)
        )
        return
    yield from judge_key(name, key, keys)


def judge_key(name: str, key: DKIMKey, keys: Keys | None) -> Iterator[Finding]:
    """Judge a key record."""
    if key.revoked:
        text, why = "the key is revoked (p= is empty)", "Signatures with this selector fail."
        yield error(
            Subject.DKIM, name, text, why, "Sign with another selector, or remove this one."
        )
        return
    yield _strength(name, key, keys)
    if key.testing:
        why = "Receivers may treat your mail as if it were not signed (RFC 6376 3.6.1)."
        mend = "Remove t=y once signatures verify."
        text = "the key is in testing mode (t=y)"
        yield warning(Subject.DKIM, name, text, why, mend)
    if not key.for_mail:
        mend = "Remove s= from the record."
        yield error(Subject.DKIM, name, "the key is not for mail", "Signatures fail.", mend)
    if key.hashes and "sha256" not in key.hashes:
        why = "Signatures with SHA-1 are not accepted any more (RFC 8301)."
        mend = "Remove h= from the record."
        yield error(Subject.DKIM, name, "the key is not for SHA-256", why, mend)


def _strength(name: str, key: DKIMKey, keys: Keys | None) -> Finding:
    algorithm = _TYPES.get(key.key_type)
    if algorithm is None:
        text = f"k={key.key_type} is not a known type of keys"
        return error(Subject.DKIM, name, text, "Signatures fail.", "Use k=rsa or k=ed25519.")
    if keys is None:
        text = f"the key was not read, because cryptography is not installed ({key.key_type})"
        return note(Subject.DKIM, name, text, 'Install "smtpproto-sansio[auth]".')
    try:
        bits = keys.read(algorithm, key.public_key).bits
    except GrammarError as malformed:
        why, mend = "Signatures with this selector fail.", "Publish the key anew, as one line."
        return error(Subject.DKIM, name, malformed.message, why, mend)
    text = f"{key.key_type}, {bits} bits"
    if algorithm is not Algorithm.RSA_SHA256 or bits >= _GOOD:
        return ok(Subject.DKIM, name, text)
    mend = "Make a key of 2048 bits, with a new selector."
    if bits < _LEAST:
        why = f"Receivers must not accept it (RFC 8301 3.2). {refusals(Need.DKIM)}"
        return error(Subject.DKIM, name, f"{text}: too short", why, mend)
    why = "Such keys can be broken with effort; signers should use 2048 bits (RFC 8301 3.2)."
    return warning(Subject.DKIM, name, f"{text}: short", why, mend)
