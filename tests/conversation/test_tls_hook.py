"""The handler's hook after the handshake."""

from __future__ import annotations

import pytest

from smtpproto import ClientConfig, Handler, Refusal, Session, TLSMode
from tests.support.tls_sessions import (
    SERVER_CONTEXT,
    TRUST,
    converse,
    do_nothing,
    each_mode,
    serving,
)


@each_mode
@pytest.mark.req("RFC3207-4.2-01")
def test_the_tls_hook_sees_a_new_session_without_hello_and_user(mode: TLSMode) -> None:
    seen: list[Session] = []

    class SessionRecorder(Handler):
        def tls(self, session: Session) -> None:
            seen.append(session)

    converse(
        serving(mode, context=SERVER_CONTEXT),
        ClientConfig(tls=mode, verify=TRUST),
        do_nothing,
        handler=SessionRecorder(),
    )
    (session,) = seen
    assert (session.hello, session.extended, session.user) == (None, False, None)
    assert session.tls is not None


@each_mode
@pytest.mark.parametrize("verdict", [True, "no", 0])
def test_a_tls_hook_that_returns_neither_reply_nor_none_ends_the_session(
    mode: TLSMode, verdict: object, caplog: pytest.LogCaptureFixture
) -> None:
    class FixedResult(Handler):
        def tls(self, session: Session) -> None:
            return verdict  # type: ignore[return-value]

    with pytest.raises(Refusal) as caught:
        converse(
            serving(mode, context=SERVER_CONTEXT), ClientConfig(tls=mode, verify=TRUST), do_nothing,
            handler=FixedResult(),
        )  # fmt: skip
    assert caught.value.reply.code in (451, 554)
    assert "must return a Reply or None" in caplog.text
