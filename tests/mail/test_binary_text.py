"""Text under BODY=BINARYMIME is canonical all the same (RFC 3030 3)."""

from __future__ import annotations

from email.message import EmailMessage

import pytest

from smtpproto import Body, Envelope, Extensions, MailParameters, NotOffered, plan

OFFERED = Extensions({"CHUNKING": "", "BINARYMIME": "", "SIZE": ""})


@pytest.mark.req("RFC3030-3-08")
def test_text_parts_have_crlf() -> None:
    message = EmailMessage()
    message["From"], message["To"] = "ann@example.org", "bob@example.org"
    message.set_content("one\ntwo\n")
    message.add_attachment(bytes(range(256)), maintype="application", subtype="octet-stream")
    envelope = Envelope("ann@example.org", "bob@example.org", MailParameters(body=Body.BINARY_MIME))
    planned = plan(message, envelope, OFFERED)
    sent = planned.content.source
    assert isinstance(sent, bytes)
    assert b"one\r\ntwo\r\n" in sent
    assert b"\n" not in sent.replace(b"\r\n", b"")
    (transaction,) = planned.transactions
    assert transaction.mail.parameters.size == planned.content.size == len(sent)
    with pytest.raises(NotOffered):
        plan(message, envelope, Extensions({"CHUNKING": ""}))
