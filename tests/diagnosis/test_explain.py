"""``explain``: what codes and whole replies mean, who must act, and what to try."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.diagnosis import Who, explain
from smtpproto.diagnosis.reply_codes import CODES, LIKELY
from smtpproto.diagnosis.reply_text import read_reply_text

# -- laws ------------------------------------------------------------------------------------------


@given(code=st.integers(200, 599))
def test_every_reply_code_has_a_meaning_and_every_refusal_a_cause(code: int) -> None:
    diagnosis = explain(str(code))
    assert diagnosis.what.endswith(".") and diagnosis.reply == str(code)
    assert bool(diagnosis.causes) == (code >= 400)


@given(st.sampled_from("245"), st.integers(0, 999), st.integers(0, 999))
def test_every_enhanced_code_has_a_meaning(class_: str, subject: int, detail: int) -> None:
    diagnosis = explain(f"{class_}.{subject}.{detail}")
    assert diagnosis.what.endswith(".")
    assert bool(diagnosis.causes) == (class_ != "2")


@given(st.text())
def test_any_text_is_explained_in_printable_lines_or_refused(text: str) -> None:
    try:
        diagnosis = explain(f"550 5.7.1 {text}")
    except ValueError:
        return
    assert all(line.isprintable() for line in diagnosis.lines())
    json.dumps(diagnosis.as_dict())
    assert 1 <= len(diagnosis.causes) <= 5


@given(st.text(alphabet=st.characters(exclude_categories=["Nd"])))
def test_a_text_without_a_code_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="there is no reply code in the text; pass for example"):
        explain(text)


# -- replies as people paste them ------------------------------------------------------------------

POSTFIX_LOG = """Sep 16 00:07:41 mx postfix/smtp[31868]: 0D59F4165A: to=<bob@yahoo.example>,
 relay=mta.am0.yahoodns.net[192.0.2.7]:25, delay=421, dsn=4.7.0, status=deferred (host
 mta.am0.yahoodns.net[192.0.2.7] said: 421 4.7.0 [TSS04] Messages from 198.51.100.1 temporarily
 deferred due to unexpected volume or user complaints (in reply to MAIL FROM command))"""
POSTFIX_LOG_WITHOUT_STATUS = (
    "postfix/smtp[1]: 565D0: to=<a@b.example>, relay=mx[192.0.2.7]:250, delay=1.4, dsn=5.0.0,"
    " status=bounced (host mx[192.0.2.7] said: 554 Message rejected: Email address is not verified."
    " (in reply to end of DATA command))"
)
EXIM_LOG = (
    "2017-04-22 21:09:20 1d1viw-0000dF-5h ** tom@gmail.example R=lookuphost T=remote_smtp"
    " H=mx.example [192.0.2.26] X=TLSv1.2:ECDHE-RSA-AES128-GCM-SHA256:128 CV=yes: SMTP error from"
    r" remote mail server after end of data: 550-5.7.26 This mail is unauthenticated\n550-5.7.26"
    r" and has been blocked.\n550 5.7.26 u6si355 - gsmtp"
)
REPORT = """<bob@example.org>: host mx.example.org[192.0.2.1] said: 550 5.1.1
    <bob@example.org>: Recipient address rejected: User unknown in virtual
    mailbox table (in reply to RCPT TO command)

Reporting-MTA: dns; mail.example.net
Status: 5.1.1"""
DIAGNOSTIC_CODE = (
    "Status: 5.7.1\nDiagnostic-Code: smtp; 550 5.7.1 Unfortunately, messages"
    " from [192.0.2.1]\n weren't sent. Please contact your Internet service provider since"
    " part of their network is on our block list (S3140)."
)
EXCHANGE = "#<mx.example.org #5.7.1 smtp;530 5.7.57 Client not authenticated to send mail> #SMTP#"
PASTED = [
    (POSTFIX_LOG, 421, "4.7.0", "MAIL FROM", "rate-limited"),
    (POSTFIX_LOG_WITHOUT_STATUS, 554, "5.0.0", "end of data", "sender-not-owned"),
    (EXIM_LOG, 550, "5.7.26", "end of data", "not-authenticated"),
    (REPORT, 550, "5.1.1", "RCPT TO", "unknown-user"),
    (DIAGNOSTIC_CODE, 550, "5.7.1", "", "blocklisted"),
    (EXCHANGE, 530, "5.7.57", "", "login-required"),
    ("550-No such user\n550 here", 550, "", "", "unknown-user"),
    ("(535, b'5.7.8 Username and Password not accepted. gsmtp')", 535, "5.7.8", "", ""),
]


@pytest.mark.parametrize(("text", "code", "enhanced", "command", "fault"), PASTED)
def test_the_reply_is_found_in_reports_and_logs(
    text: str, code: int, enhanced: str, command: str, fault: str
) -> None:
    facts = read_reply_text(text)
    assert (facts.code, facts.enhanced, facts.command) == (code, enhanced, command)
    diagnosis = explain(text)
    assert not fault or diagnosis.fault == fault, str(diagnosis)


def test_the_text_of_a_reply_is_joined_without_the_codes_of_its_lines() -> None:
    assert read_reply_text(EXIM_LOG).text == (
        "This mail is unauthenticated and has been blocked. u6si355 - gsmtp"
    )
    assert read_reply_text(REPORT).text == (
        "<bob@example.org>: Recipient address rejected: User unknown in virtual mailbox table"
    )


def test_addresses_dates_and_versions_are_not_codes() -> None:
    for text in ("192.0.2.550 said nothing", "5.7.1.2", "Postfix 3.5.6", "1234550"):
        with pytest.raises(ValueError, match="no reply code"):
            explain(text)


# -- what replies mean -----------------------------------------------------------------------------

YOU, PROVIDER, OTHER_SIDE = Who
REPLIES = [
    # login
    ("535 5.7.8 Error: authentication failed: UGFzc3dvcmQ6", "wrong-password", YOU),
    ("535 Incorrect authentication data", "wrong-password", YOU),
    ("535-5.7.8 Username and Password not accepted.\n535 5.7.8 x - gsmtp", "wrong-password", YOU),
    ("534-5.7.9 Application-specific password required.\n534 5.7.9 x - gsmtp",
     "application-password-required", YOU),
    ("535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant."
     " Visit https://aka.ms/smtp_auth_disabled", "login-disabled", PROVIDER),
    ("535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the"
     " Mailbox.", "login-disabled", PROVIDER),
    ("535 5.7.139 Authentication unsuccessful, basic authentication is disabled. [BM1]",
     "login-disabled", YOU),
    ("535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.",
     "wrong-password", YOU),
    ("535 5.7.3 Authentication unsuccessful [DB6P18901CA0015.EURP189.PROD.OUTLOOK.COM]",
     "wrong-password", YOU),
    ("535 5.7.0 (#AUTH005) Too many bad auth attempts.", "application-password-required", YOU),
    ("454 4.7.0 Too many login attempts, please try again later. x - gsmtp", "login-later", YOU),
    ("454 4.7.0 Temporary authentication failure: Connection lost", "login-later", YOU),
    ("530 5.7.0 Must issue a STARTTLS command first", "tls-required", YOU),
    ("538 5.7.11 Encryption required for requested authentication mechanism", "tls-required", YOU),
    ("530 5.7.1 Authentication required", "login-required", YOU),
    ("530 5.7.57 Client not authenticated to send mail.", "login-required", YOU),
    ("454 4.7.0 TLS not available due to local problem", "tls-not-available", OTHER_SIDE),
    # relaying, addresses, mailboxes
    ("554 5.7.1 <bob@example.org>: Relay access denied", "relaying-denied", YOU),
    ("550 relay not permitted", "relaying-denied", YOU),
    ("550 5.7.64 TenantAttribution; Relay Access Denied", "relaying-denied", YOU),
    ("553 5.7.1 <ann@example.org>: Sender address rejected: not owned by user tom",
     "sender-not-owned", YOU),
    ("554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException", "sender-not-owned", YOU),
    ("554 Message rejected: Email address is not verified. The following identities failed",
     "sender-not-owned", YOU),
    ("450 4.1.8 <ann@x.example>: Sender address rejected: Domain not found", "sender-refused", YOU),
    ("550 Sender verify failed", "sender-refused", YOU),
    ("550 5.1.1 <bob@example.org>: Recipient address rejected: User unknown", "unknown-user", YOU),
    ("550 Unrouteable address", "unknown-user", YOU),
    ("550 5.4.1 Recipient address rejected: Access denied. [X.outlook.com]", "unknown-user", YOU),
    ("554 delivery error: dd This user doesn't have a yahoo.com account", "unknown-user", YOU),
    ("552 5.2.2 <bob@example.org>: Mailbox is full", "mailbox-full", OTHER_SIDE),
    ("452 4.2.2 The email account that you tried to reach is over quota. gsmtp", "mailbox-full",
     OTHER_SIDE),
    ("552 5.3.4 Message size exceeds fixed limit", "message-too-large", YOU),
    ("523 the message exceeds the size limit", "message-too-large", YOU),
    ("550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; not authenticated",
     "not-for-outsiders", OTHER_SIDE),
    # content
    ("552-5.7.0 This message was blocked because its content presents a potential security issue:"
     " the attachment", "attachment-refused", YOU),
    ("521 5.5.2 Error: bare <LF> received", "bare-newline", YOU),
    ("550 5.7.1 This message violates example.com email policy. - gcdp x - gsmtp", "content-rule",
     OTHER_SIDE),
    # proofs
    ("550 5.7.26 This mail is unauthenticated, which poses a security risk. x - gsmtp",
     "not-authenticated", YOU),
    ("550 5.7.25 The IP address sending this message does not have a PTR record setup. x - gsmtp",
     "no-reverse-name", YOU),
    ("421 4.7.27 Your email has been rate limited because SPF did not pass. x - gsmtp",
     "not-authenticated", YOU),
    ("550 5.7.515 Access denied, sending domain example.org does not meet the required level.",
     "not-authenticated", YOU),
    ("550 5.7.509 Access denied, sending domain [x] does not pass DMARC verification",
     "dmarc-failed", YOU),
    ("554 5.7.9 Message not accepted for policy reasons. See https://postmaster.yahooinc.com",
     "not-authenticated", YOU),
    ("550 5.7.1 Your message was rejected due to example.com's DMARC policy.", "dmarc-failed", YOU),
    ("550 5.7.23 The message was rejected because of Sender Policy Framework violation",
     "spf-failed", YOU),
    ("550 Reject due to SPF policy", "spf-failed", YOU),
    ("450 4.7.1 Client host rejected: cannot find your reverse hostname", "no-reverse-name", YOU),
    ("504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname", "bad-hello",
     YOU),
    # reputation and rate
    ("450 4.2.0 <bob@example.org>: Recipient address rejected: Greylisted", "greylisted", YOU),
    ("451 4.7.1 Please try again later", "greylisted", YOU),
    ("421 4.7.28 Our system has detected an unusual rate of unsolicited mail. x - gsmtp",
     "rate-limited", YOU),
    ("451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited (S775)",
     "rate-limited", YOU),
    ("421 RP-001 (SNT004-MC1F43) Unfortunately, some messages from 192.0.2.1 weren't sent.",
     "rate-limited", YOU),
    ("421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred", "rate-limited", YOU),
    ("553 5.7.2 [TSS09] All messages from 192.0.2.1 will be permanently deferred", "blocklisted",
     YOU),
    ("553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1", "blocklisted", YOU),
    ("550 SC-001 (BAY004-MC4F49) Unfortunately, messages from 192.0.2.1 weren't sent.",
     "blocklisted", YOU),
    ("550 DY-001 Mail rejected by Windows Live Hotmail for policy reasons.", "blocklisted", YOU),
    ("550 5.7.606 Access denied, banned sending IP [192.0.2.1].", "blocklisted", YOU),
    ("550 5.7.511 Access denied, banned sender[192.0.2.1].", "blocklisted", YOU),
    ("550 5.7.708 Access denied, traffic not accepted from this IP", "account-blocked", PROVIDER),
    ("554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
     "blocklisted", YOU),
    ("554-gmx.net (mxgmx104) Nemesis ESMTP Service not available\n554 IP address is block listed.",
     "blocklisted", YOU),
    ("421 4.7.0 mx Error: too many connections from 192.0.2.1", "rate-limited", YOU),
    ("550 5.4.5 Daily sending quota exceeded. x - gsmtp", "rate-limited", YOU),
    ("554 5.7.1 This message was classified as SPAM and may not be delivered", "taken-for-spam",
     YOU),
    ("421 Too many concurrent SMTP connections; please try again later.", "rate-limited", YOU),
    ("454 Throttling failure: Daily message quota exceeded.", "rate-limited", YOU),
    ("550 5.7.1 [192.0.2.1] The IP you're using to send mail is not authorized to send email"
     " directly to our servers.", "blocklisted", YOU),
    ("421 4.3.2 Service shutting down", "not-available", OTHER_SIDE),
    ("451 Temporary local problem - please try later", "not-available", OTHER_SIDE),
    ("535 5.7.8 Error: authentication failed: Connection lost to authentication server",
     "login-later", YOU),
    ("503 5.5.1 Error: authentication not enabled", "login-disabled", YOU),
    ("450 4.7.1 <mail.x.org>: Helo command rejected: Host not found", "bad-hello", YOU),
    ("550 Verification failed for <ann@example.org>", "sender-refused", YOU),
    ("550 The from address does not match a verified Sender Identity.", "sender-not-owned", YOU),
    ("553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", "relaying-denied",
     YOU),
    ("550-5.7.26 This mail has been blocked because the sender is unauthenticated. Gmail requires"
     " all senders to authenticate with either SPF or DKIM.", "not-authenticated", YOU),
    # the message and its recipients
    ("554 5.4.0 Error: too many hops", "mail-loop", OTHER_SIDE),
    ("554 5.4.14 Hop count exceeded - possible mail loop", "mail-loop", OTHER_SIDE),
    ("452 4.5.3 Too many recipients", "too-many-recipients", YOU),
    ("550 5.5.3 Too many recipients", "too-many-recipients", YOU),
    ("554 5.5.1 Error: no valid recipients", "no-recipient", YOU),
    ("550-5.7.1 Messages missing a valid messageId header are not accepted", "bad-header", YOU),
    ("550 5.7.1 This message is not RFC 5322 compliant", "bad-header", YOU),
    ("550 maximum allowed line length is 998 octets, got 1200", "long-line", YOU),
    ("552-5.7.0 This message was blocked because its content presents a potential security issue",
     "attachment-refused", YOU),
    ("451 See http://pobox.com/~djb/docs/smtplf.html.", "bare-newline", YOU),
    ("554 5.2.0 STOREDRV.Deliver.Exception:QuotaExceededException", "mailbox-full", OTHER_SIDE),
    ("521 5.3.2 mx.example.org does not accept mail", "no-service", OTHER_SIDE),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "fault", "who"), REPLIES, ids=[it[0][:40] for it in REPLIES])
def test_the_first_cause_fits_the_reply(reply: str, fault: str, who: Who) -> None:
    diagnosis = explain(reply)
    assert diagnosis.fault == fault, str(diagnosis)
    assert diagnosis.causes[0].who is who
    assert all(it.what.endswith(".") and it.mend.endswith((".", ")")) for it in diagnosis.causes)


@pytest.mark.parametrize("code", ["5.7.27", "5.7.29", "5.7.30", "550 5.7.26", "554 5.7.9"])
def test_a_bare_code_has_its_registered_meaning_first_and_then_that_of_receivers(code: str) -> None:
    first, *others = explain(code).causes
    assert not first.what.startswith("From ")
    assert any(it.what.startswith(("From Gmail: ", "From Yahoo: ")) for it in others)


def test_the_text_tells_which_receiver_it_was() -> None:
    assert "Gmail" in explain("550 5.7.27 SPF did not pass. x - gsmtp").causes[0].what
    assert "Gmail" not in str(explain("550 5.7.27 Sender domain has a null MX"))


def test_unknown_codes_are_read_by_their_digits() -> None:
    assert explain("577").what == (
        "The command failed for good: to send it again unchanged fails again."
    )
    assert explain("4.3.99").what == (
        "The attempt failed, but a later one may succeed. It is about the mail system of the"
        " server. The detail 99 is not registered."
    )


def test_success_has_no_causes() -> None:
    for text in ("250 2.0.0 OK", "354 Go on", "2.1.5"):
        assert not explain(text).causes
    assert explain("250 2.0.0 OK").what == CODES[250]


@pytest.mark.parametrize("code", sorted(LIKELY))
@pytest.mark.parametrize("subject", range(8))
def test_a_guess_from_the_code_does_not_contradict_the_enhanced_code(
    code: int, subject: int
) -> None:
    """5.7.z is about a rule: the mailbox may well exist. 5.1.z is about an address, not spam."""
    for detail in (0, 999):
        causes = explain(f"{code} {code // 100}.{subject}.{detail} Computer says no").causes
        told = " ".join(it.what for it in causes)
        assert causes
        assert "no mailbox" not in told or subject in (0, 1, 2)
        assert "blocklist" not in told or subject in (0, 7)
        assert "takes the message for spam" not in told or subject in (0, 6, 7)
