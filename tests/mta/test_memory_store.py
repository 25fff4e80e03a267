"""The queue in memory keeps the rules of every store, and its own bounds."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from attrs import evolve
from hypothesis import settings

from smtpproto.errors import QueueFull
from smtpproto.mta.memory_store import MemoryQueue
from smtpproto.mta.queue import Delivery
from smtpproto.mta.store import Body, QueueStore, Selection
from smtpproto.testing.queue_contract import NOW, QueueContract, make_queued

EVERYTHING = Selection()


class TestMemoryQueue(QueueContract):
    settings = settings(QueueContract.settings, max_examples=settings().max_examples // 2)

    def make(self) -> MemoryQueue:
        return MemoryQueue()


class SmallQueue(QueueContract):
    def make(self) -> MemoryQueue:
        return MemoryQueue(capacity=3_000_000, remember=10)


SMALL = SmallQueue()


def test_contents_beyond_the_capacity_are_refused_and_room_that_is_freed_is_used() -> None:
    half = make_queued("a", content=b"x" * 2_000_000)

    async def use(store: QueueStore) -> None:
        await store.put([half])
        other = make_queued("b", content=b"x" * 2_000_000)
        with pytest.raises(QueueFull, match="3000000 octets"):
            await store.put([other])
        body = store.body()
        await body.write(bytes(3_000_000))
        with pytest.raises(QueueFull):
            await body.write(b"x")
        assert await store.drop(EVERYTHING, NOW) == 1
        await store.put([other])

    SMALL.with_store(use)


def test_a_message_that_has_left_is_forgotten_after_its_time() -> None:
    async def use(store: QueueStore) -> None:
        await store.put([make_queued("a"), make_queued("b")])
        await store.drop(Selection(id="a"), NOW)
        assert len(await store.find(Selection(id="a"))) == 1
        await store.drop(Selection(id="b"), NOW + 11)
        assert await store.find(Selection(id="a")) == []

    SMALL.with_store(use)


def test_a_claim_whose_callback_raises_leases_nothing() -> None:
    def fail(delivery: Delivery) -> float:
        raise LookupError

    async def use(store: QueueStore) -> None:
        await store.put([make_queued("a")])
        with pytest.raises(LookupError):
            await store.claim(NOW, 1, fail)
        assert len(await store.claim(NOW, 1, lambda it: it.due)) == 1

    SMALL.with_store(use)


def test_the_body_of_another_kind_of_store_is_refused() -> None:
    async def use(store: QueueStore) -> None:
        queued, foreign = make_queued("a", content=b""), cast(Body, SimpleNamespace(size=0))
        with pytest.raises(TypeError, match=r"body\(\) of this queue"):
            await store.put([make_queued("b"), evolve(queued, content=foreign)])
        assert await store.find(EVERYTHING) == []

    SMALL.with_store(use)
