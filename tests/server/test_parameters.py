"""Parameters of MAIL and RCPT, as hooks see them."""

from __future__ import annotations

import pytest
from attrs import define, field

from smtpproto import (
    ForwardPath,
    Handler,
    MailParameters,
    RcptParameters,
    Reply,
    ReversePath,
    ServerConfig,
    Session,
)
from smtpproto.server.handler import Verdict
from tests.support.accounts import Accounts
from tests.support.scripted_client import LOGIN, keywords, replies
from tests.support.server_dialogue import (
    HELLO,
    HELLO_WITH_AUTH,
    PLAIN_IN_CLEAR,
    QUIT,
    mail_from,
    play,
)


@define(eq=False)
class ParameterRecorder(Handler):
    """Records the parameters of each MAIL; *answers* holds replies to them."""

    answers: dict[str, Reply] = field(factory=dict)
    parameters: list[MailParameters] = field(factory=list)

    def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> Verdict:
        self.parameters.append(parameters)
        return self.answers.get(str(parameters).strip())


@pytest.mark.req(
    "RFC3461-5.1-01", "RFC3461-5.1-03", "RFC3461-5.1-05", "RFC3461-5.1-06", "RFC3461-4.2-06",
    "RFC3461-4.4-03",
)  # fmt: skip
def test_dsn_parameters_do_not_change_the_reply() -> None:
    class Picky(Handler):
        def mail(
            self, session: Session, sender: ReversePath, parameters: MailParameters
        ) -> Verdict:
            return Reply(550, "5.7.1", "Not you") if "evil" in str(sender) else None

        def rcpt(
            self, session: Session, recipient: ForwardPath, parameters: RcptParameters
        ) -> Verdict:
            unknown = recipient.local_part == "nobody"
            return Reply(550, "5.1.1", "No such user") if unknown else None

    def dsn_replies(mail: str, rcpt: str) -> list[str]:
        return replies(
            Picky(), f"MAIL FROM:<evil@example.org>{mail}", f"MAIL FROM:<ann@example.org>{mail}",
            f"RCPT TO:<nobody@example.org>{rcpt}", f"RCPT TO:<bob@example.org>{rcpt}",
            config=ServerConfig(extensions={"DSN": ""}),
        )  # fmt: skip

    plain = dsn_replies("", "")
    assert [line[:3] for line in plain] == ["550", "250", "550", "250"]
    for mail in ("", " RET=FULL", " ENVID=QQ314159", " RET=HDRS ENVID=ann+2Bx"):
        for rcpt in ("", " NOTIFY=NEVER", " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;not+20an+20address"):
            assert dsn_replies(mail, rcpt) == plain


@pytest.mark.req("RFC6710-4.1-02")
def test_a_priority_above_0_is_lowered_to_0_without_a_login() -> None:
    config = ServerConfig(
        extensions={"MT-PRIORITY": ""}, authenticator=Accounts(), auth_in_clear=True
    )
    handler = ParameterRecorder()
    lines = ["MAIL FROM:<> MT-PRIORITY=3", "RSET", "MAIL FROM:<> MT-PRIORITY=-3", "RSET"]
    replies(handler, *lines, LOGIN, lines[0], config=config)
    assert [parameters.mt_priority for parameters in handler.parameters] == [0, -3, 3]


def test_the_auth_parameter_is_replaced_by_the_null_path_without_a_login() -> None:
    """RFC 4954 5."""
    handler = ParameterRecorder()
    mail = "C: MAIL FROM:<> AUTH=boss@example.org\nS: 250 2.1.0 Sender OK\n"
    play(f"{HELLO_WITH_AUTH}{mail}{QUIT}", handler, PLAIN_IN_CLEAR)
    assert handler.parameters == [MailParameters(auth=ReversePath(None))]


@pytest.mark.req("RFC2852-3-01", "RFC2852-4-03")
def test_a_deliver_by_below_the_minimum_is_refused_only_with_mode_r() -> None:
    config = ServerConfig(extensions={"DELIVERBY": "240"})
    lines = [f"MAIL FROM:<> BY={by}" for by in ("239;R", "239;N", "0;N", "-1;N", "240;R")]
    answers = [replies(Handler(), line, config=config)[0][:3] for line in lines]
    assert answers == ["555", "250", "250", "250", "250"]


@pytest.mark.req("RFC8689-2-06")
def test_requiretls_is_not_offered_and_is_refused_with_555_in_clear() -> None:
    config = ServerConfig(extensions={"REQUIRETLS": ""})
    assert "REQUIRETLS" not in keywords(Handler(), config)
    assert replies(Handler(), "MAIL FROM:<> REQUIRETLS", config=config)[0].startswith("555")


@pytest.mark.req("RFC5321-4.1.1.11-02")
def test_the_mail_hook_may_refuse_a_parameter_for_now() -> None:
    """With 455, or with the code of the extension's RFC, if it names one (RFC 1870 6.1: 452)."""
    answers = {
        "BODY=8BITMIME": Reply(455, "4.5.4", "Not now"),
        "SIZE=1000": Reply(452, "4.3.1", "Not enough storage"),
    }
    play(
        f"""{HELLO}
        C: MAIL FROM:<ann@example.org> BODY=8BITMIME
        S: 455 4.5.4 Not now
        C: MAIL FROM:<ann@example.org> SIZE=1000
        S: 452 4.3.1 Not enough storage
        {mail_from("ann@example.org")}{QUIT}""",
        ParameterRecorder(answers),
    )
