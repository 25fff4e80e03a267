"""The queue in SQLite keeps the rules of every store, also after a restart and a crash."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from smtpproto.adapters.sqlite_queue import SQLiteQueue
from smtpproto.mta.queue_limits import QueueLimits
from smtpproto.mta.store import QueueStore
from smtpproto.testing.queue_contract import QueueContract

SMALL = QueueLimits(reserve=0)


class TestSQLiteQueue(QueueContract):
    settings = settings(
        QueueContract.settings,
        max_examples=settings().max_examples // 3,
        phases=[Phase.generate],
    )

    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self._paths = (tmp_path / f"{number}.db" for number in itertools.count())

    def make(self) -> SQLiteQueue:
        self._path = next(self._paths)
        return SQLiteQueue(self._path, SMALL)

    async def reopen(self, store: QueueStore) -> SQLiteQueue:
        await store.close()
        again = SQLiteQueue(self._path, SMALL)
        await again.open(self.runtime)
        return again
