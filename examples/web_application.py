"""A web application that takes mail: who writes to ticket-7@example.org adds to ticket 7.

The mail server runs in threads of the same process. ``python web_application.py`` starts both.
"""

from __future__ import annotations

import email
import email.policy
import re
from collections import defaultdict

from flask import Flask, Response, abort

from smtpproto import Envelope, ForwardPath, Handler, RcptParameters, Reply, Session
from smtpproto.adapters.blocking import serve

Tickets = dict[int, list[str]]


def ticket_of(recipient: ForwardPath) -> int | None:
    """Return the ticket that an address stands for."""
    found = re.fullmatch(r"ticket-([0-9]{1,9})", recipient.local_part)
    return int(found[1]) if found and recipient.domain == "example.org" else None


def text_of(message: bytes) -> str:
    """Return the plain text of a message. Strangers write it: its charset may be unknown."""
    parsed = email.message_from_bytes(message, policy=email.policy.default)
    part = parsed.get_body(("plain",))
    octets = None if part is None else part.get_payload(decode=True)
    if part is None or not isinstance(octets, bytes):
        return "(no text)"
    try:
        text = octets.decode(part.get_content_charset("utf-8"), "replace")
    except (LookupError, UnicodeError):
        text = octets.decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode()  # UTF-7 can name half a character


class TicketInbox(Handler):
    """Adds the text of each message to its tickets."""

    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        return None if ticket_of(recipient) else Reply(550, "5.1.1", "No such ticket")

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        said = text_of(body)
        for recipient in envelope.recipients:
            if ticket := ticket_of(recipient):
                self._tickets[ticket].append(f"{envelope.sender}: {said}")


def create_app(tickets: Tickets) -> Flask:
    app = Flask(__name__)

    @app.get("/tickets/<int:number>")
    def ticket(number: int) -> Response:
        if number not in tickets:
            abort(404)
        text = "\n".join(tickets[number])
        return Response(text, mimetype="text/plain")  # not as HTML: strangers have written it

    return app


def main(port: int = 2525, web_port: int = 8000) -> None:
    tickets: Tickets = defaultdict(list)
    with serve(TicketInbox(tickets), "127.0.0.1", port) as server:
        print(f"listening on port {server.port}", flush=True)
        create_app(tickets).run(port=web_port)


if __name__ == "__main__":
    main()
