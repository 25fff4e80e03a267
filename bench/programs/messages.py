"""The messages that all programs send."""

from __future__ import annotations

SENDER, RECIPIENT = "ann@client.example", "bob@example.org"
BODY = b"Subject: hello\r\n\r\n" + b"x" * 70 + b"\r\n" + (b"y" * 74 + b"\r\n") * 19  # 1.6 KB
MEBIBYTE = 1024 * 1024
LINE = b"z" * 74 + b"\r\n"


def big_body(octets: int) -> bytes:
    """Return content of about *octets* in lines of 76 octets."""
    return b"Subject: big\r\n\r\n" + LINE * (octets // len(LINE))


CONTENT = big_body(MEBIBYTE)
CHUNKS = [CONTENT[at : at + 65536] for at in range(0, len(CONTENT), 65536)]
COMMANDS = [
    f"MAIL FROM:<{SENDER}>\r\n".encode(),
    f"RCPT TO:<{RECIPIENT}>\r\n".encode(),
    b"DATA\r\n",
    BODY + b".\r\n",
]
