"""A mailing list: members write to everybody on it; people join and leave it by mail.

The content stays as it is, so that the author's DKIM signature does. What comes back for a member
who is gone ends the membership. ``LIST_SECRET=... python mailing_list.py DIRECTORY`` runs it.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import sys
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from pathlib import Path

from smtpproto import Envelope, ForwardPath, Reply, ReversePath
from smtpproto.adapters.asyncio import MTA
from smtpproto.adapters.sqlite_queue import SQLiteQueue
from smtpproto.mta import Delivery, Direct, Local, Message, Route

NAME, DOMAIN = "gardeners", "lists.example.org"
ADDRESS, JOIN = f"{NAME}@{DOMAIN}", f"{NAME}-join@{DOMAIN}"
FIELDS = (
    f"List-Id: <{NAME}.{DOMAIN}>\r\nList-Post: <mailto:{ADDRESS}>\r\n"
    f"List-Unsubscribe: <mailto:{NAME}-leave@{DOMAIN}>\r\nPrecedence: list\r\n"
).encode()


class MailingList:
    """The list, with its members in a file."""

    def __init__(self, directory: Path, secret: str) -> None:
        self._file, self._secret = directory / "members.json", secret.encode()
        self.members = set[str](json.loads(self._file.read_text()) if self._file.exists() else [])
        self.mail: MTA

    def knows(self, recipient: ForwardPath) -> bool:
        return _task(recipient)[0] in ("", "-join", "-leave", "-confirm", "-bounce")

    async def deliver(
        self, message: Message, deliveries: Sequence[Delivery], content: bytes | Sequence[bytes]
    ) -> Mapping[ForwardPath, Reply]:
        octets = content if isinstance(content, bytes) else b"".join(content)
        return {it.recipient: await self._take(message, it.recipient, octets) for it in deliveries}

    async def _take(self, message: Message, recipient: ForwardPath, octets: bytes) -> Reply:
        sender, (task, token) = str(message.sender.mailbox or ""), _task(recipient)
        header = BytesHeaderParser().parsebytes(octets)
        if task == "-bounce":
            if b"\naction: failed" in octets.lower():  # and not: delayed
                self._change(
                    {it for it in self.members if not _is_same(token, self._token(task, it))}
                )
        elif not sender or "List-Id" in header or header.get("Auto-Submitted", "no") != "no":
            pass  # two programs that answer each other would never end
        elif task == "-join":
            await self._ask(sender)
        elif task == "-confirm" and _is_same(token, self._token(task, sender)):
            self._change(self.members | {sender})
        elif task == "-leave":
            self._change(self.members - {sender})
        elif not task and sender in self.members:
            await self._distribute(FIELDS + octets)
        else:
            return Reply(550, "5.7.1", f"Only for members; to become one, write to {JOIN}")
        return Reply(250, "2.1.5", "Done")

    def _token(self, task: str, member: str) -> str:
        return hmac.digest(self._secret, f"{task} {member}".encode(), "sha256").hex()[:20]

    def _change(self, members: set[str]) -> None:
        self.members = members
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(sorted(members)))
        new.replace(self._file)

    async def _ask(self, sender: str) -> None:
        """Ask *sender*: anybody can write in somebody's name."""
        question = EmailMessage()
        question["From"] = f"{NAME}-confirm+{self._token('-confirm', sender)}@{DOMAIN}"
        question["To"], question["Subject"] = sender, f"Do you want to join {ADDRESS}?"
        question["Auto-Submitted"] = "auto-replied"
        question.set_content("Answer this message, and you are a member.\n")
        await self.mail.send(question, Envelope(ReversePath(None), sender))

    async def _distribute(self, octets: bytes) -> None:
        for member in sorted(self.members):  # a sender for each, which tells whose mail comes back
            bounces = f"{NAME}-bounce+{self._token('-bounce', member)}@{DOMAIN}"
            await self.mail.send(octets, Envelope(bounces, member))


def _is_same(token: str, other: str) -> bool:
    return hmac.compare_digest(token.encode(), other.encode())  # text must be ASCII for it


def _task(recipient: ForwardPath) -> tuple[str, str]:
    """Return what an address is for, such as ``-join``, and its token."""
    name, _, token = recipient.local_part.partition("+")
    return (name.removeprefix(NAME), token) if name.startswith(NAME) else ("unknown", "")


async def main(directory: str, secret: str, route: Route | None = None, port: int = 25) -> None:
    gardeners = MailingList(Path(directory), secret)
    routes = {DOMAIN: Local(gardeners.deliver, gardeners.knows), "*": route or Direct()}
    gardeners.mail = MTA(DOMAIN, SQLiteQueue(Path(directory) / "queue.db"), routes)
    async with gardeners.mail as mail, mail.serve("127.0.0.1", port) as server:
        print(f"listening on port {server.port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], os.environ["LIST_SECRET"]))
