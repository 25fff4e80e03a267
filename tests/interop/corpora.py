"""Real messages, from the test data of projects that read mail."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

from tests.interop.sources import Sources

CORPORA = {
    "flufl.bounce==6.0.0": ["tests/data/*.txt"],
    "HyperKitty==1.3.12": ["hyperkitty/tests/testdata/*.txt"],
    "mail-parser==4.8.0": ["tests/mails/*"],
    "django-mailbox==4.10.1": ["django_mailbox/tests/messages/*.eml"],
    "salmon-mail==3.3.0": ["tests/data/*"],
    "perceval==1.6.1": ["tests/data/**/*.mbox", "tests/data/nntp/*.txt"],
    "talon==1.4.4": ["tests/fixtures/**/*.eml"],
    "mailman==3.3.10": ["src/**/*.eml"],
    "authheaders==0.16.3": ["authheaders/test/*.message*"],
    "dkimpy==1.1.8": ["dkim/tests/data/*.m*"],
}
"""By package of the index: where its messages are. Their text is never part of this repository."""

_FIELD = re.compile(rb"[!-9;-~]+:")
_MBOX_LINE = re.compile(rb"(?:\A|(?<=\n\n))From .*\n")


def read_corpora(sources: Sources) -> dict[str, bytes]:
    """Return the messages of all corpora and of CPython's own tests, each once, by name."""
    messages: dict[str, bytes] = {}
    known = set()
    for project, file in _files(sources):
        for number, message in enumerate(_messages(file.read_bytes())):
            digest = hashlib.sha256(message).digest()
            if _FIELD.match(message) and digest not in known:
                known.add(digest)
                messages[f"{project}: {file.name}, {number}"] = message
    return messages


def _files(sources: Sources) -> Iterator[tuple[str, Path]]:
    for requirement, patterns in CORPORA.items():
        root = sources.fetch(requirement)
        for pattern in patterns:
            yield from (
                (requirement, file) for file in sorted(root.glob(pattern)) if file.is_file()
            )
    spec = importlib.util.find_spec("test.test_email")
    if spec is not None and spec.origin is not None:
        data = Path(spec.origin).parent / "data"
        yield from (("CPython", file) for file in sorted(data.glob("msg_*.txt")))


def _messages(data: bytes) -> list[bytes]:
    """Return the messages in *data*, which is one, or a mailbox in the format mbox."""
    if not data.startswith(b"From "):
        return [data]
    return [part for part in _MBOX_LINE.split(data.replace(b"\r\n", b"\n")) if part]
