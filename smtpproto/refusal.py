"""Ring 1: the error for a refusal, and what it advises to check."""

from __future__ import annotations

from .grammar.reply import Reply, SMTPError

CHECKS = (
    ("530", "whether the server requires TLS or a login first: set tls or login"),
    ("534", "what the reply says: the server may require another kind of login"),
    ("4", "what the reply says, and try again later"),
    ("5.1.", "the addresses of the sender and the recipients"),
    ("5.2.", "the recipient's mailbox, and the size of the message"),
    ("5.3.4", "the size of the message"),
    ("5.5.", "the commands and replies of the session: set trace to see them"),
    ("5.6.", "the content of the message"),
    ("5.7.", "what the reply says about login, TLS, addresses or content: the server's policy"),
    ("552", "the size of the message, and the recipient's mailbox"),
    ("553", "the addresses of the sender and the recipients"),
    ("5", "what the reply says, and the server's log"),
)
"""What to check after a refusal. The first row applies whose text begins the reply code or
the enhanced status code."""


class Refusal(SMTPError):
    """The peer refused with 4yz or 5yz. ``reply`` is never None here."""

    reply: Reply  # pyright: ignore[reportIncompatibleVariableOverride] - never None here

    def __init__(
        self, message: str, reply: Reply, *, phase: str = "", command: str = "", check: str = ""
    ) -> None:
        super().__init__(message, phase=phase, command=command, reply=reply, check=check)

    def _advice(self) -> str:
        codes = str(self.reply.code), str(self.reply.enhanced)
        return self.default_check or next(
            (check for start, check in CHECKS if any(code.startswith(start) for code in codes)), ""
        )
