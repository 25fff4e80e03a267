"""Send many messages over one connection, with an outcome for each recipient."""

from __future__ import annotations

import sys
from email.message import EmailMessage

from smtpproto import SendRefused
from smtpproto.adapters.blocking import connect

RECIPIENTS = ["bob@example.org", "carol@example.org", "dave@elsewhere.test"]


def compose(recipient: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "ann@example.org"
    message["To"] = recipient
    message["Subject"] = "News"
    message.set_content(f"Dear {recipient.partition('@')[0]},\n\nthere is news.\n")
    return message


def main(host: str = "localhost", port: int = 2525) -> None:
    with connect(host, port) as client:
        for recipient in RECIPIENTS:
            try:
                outcome = client.send(compose(recipient))
            except SendRefused as refusal:
                later = "try again later" if refusal.reply.transient else "give up"
                print(f"{recipient}: {refusal.reply} ({later})")
            else:
                print(f"{recipient}: {outcome.reply or 'unknown: the message may have arrived'}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "localhost")
