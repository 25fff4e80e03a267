"""The queue in PostgreSQL keeps the rules of every store."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings

from smtpproto.adapters.postgres_queue import PostgresQueue
from smtpproto.mta.store import QueueStore
from smtpproto.testing.queue_contract import QueueContract
from tests.interop.postgresql import PostgreSQL

pytestmark = pytest.mark.peer("postgresql")


class TestPostgresQueue(QueueContract):
    settings = settings(
        QueueContract.settings,
        max_examples=settings().max_examples // 3,
        phases=[Phase.generate],
    )

    @pytest.fixture(autouse=True)
    def _use(self, postgresql: PostgreSQL) -> None:
        self._server = postgresql

    def make(self) -> PostgresQueue:
        self._server.empty()
        return PostgresQueue(self._server.url)

    async def reopen(self, store: QueueStore) -> PostgresQueue:
        await store.close()
        again = PostgresQueue(self._server.url)
        await again.open(self.runtime)
        return again
