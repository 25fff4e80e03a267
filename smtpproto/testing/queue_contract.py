"""The rules that every store of a queue keeps, as tests. Run them on a store of your own.

::

    class TestMyQueue(QueueContract):
        def make(self) -> MyQueue:
            return MyQueue(":memory:")

pytest finds the tests in the class. They need Hypothesis. The store runs under a
:class:`.Simulation`; override :meth:`QueueContract.run` for a store that needs an event loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ClassVar, TypeVar

from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import run_state_machine_as_test

from ..errors import GrammarError, QueueFailed
from ..mta.destination_stats import DestinationStats
from ..mta.queue import Attempt, Result, State
from ..mta.settlement import Done, Fate, Later, Settlement
from ..mta.store import Entry, Queued, QueueStore, Selection
from ..ports import Runtime
from .queue_machine import QueueMachine
from .queue_samples import NOW, WAIT, due_if_lost, make_queued, queued_messages, read
from .simulation import Simulation

__all__ = ["NOW", "QueueContract", "make_queued", "queued_messages"]

T = TypeVar("T")

ALL = Selection()


def _fails(kind: type[Exception], awaitable: Coroutine[Any, Any, object]) -> Awaitable[str]:
    """Await *awaitable*, which must raise *kind*; return the text of the error."""

    async def call() -> str:
        try:
            await awaitable
        except kind as error:
            return str(error)
        raise AssertionError(f"did not raise {kind.__name__}")

    return call()


def _with_store(
    test: Callable[[QueueContract, QueueStore], Coroutine[Any, Any, None]],
) -> Callable[[QueueContract], None]:
    """Run *test* with an open store that is empty."""

    def run(self: QueueContract) -> None:
        self.with_store(lambda store: test(self, store))

    run.__name__, run.__qualname__, run.__doc__ = test.__name__, test.__qualname__, test.__doc__
    return run


class QueueContract:
    """Inherit from this, and define :meth:`make`. Each test begins with a queue of its own."""

    settings: ClassVar[settings] = settings(
        max_examples=50,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
    )
    """How Hypothesis looks for failures; reduce *max_examples* for a slow store."""
    runtime: Runtime
    """What the stores are opened with."""

    def make(self) -> QueueStore:
        """Return a store with an empty queue, not open yet."""
        raise NotImplementedError("define make() to return an empty store")

    async def reopen(self, store: QueueStore) -> QueueStore:
        """Close *store*, and return an open store of the same queue. For a durable store, return a
        new object here."""
        await store.close()
        await store.open(self.runtime)
        return store

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run *coroutine* to its end; return its result. Set :attr:`runtime` before."""
        simulation = Simulation(0)
        self.runtime = simulation
        result: T = simulation.run(coroutine)[0]
        return result

    def with_store(self, use: Callable[[QueueStore], Coroutine[Any, Any, object]]) -> None:
        """Run *use* with an open store that is empty, and close it."""

        async def run() -> None:
            store = self.make()
            await store.open(self.runtime)
            try:
                await use(store)
            finally:
                await store.close()

        self.run(run())

    # -- entering the queue ------------------------------------------------------------------

    def test_what_was_put_is_found_as_it_was_also_after_a_restart(self) -> None:
        @self.settings
        @given(queued_messages())
        def check_one(queued: Queued) -> None:
            async def use(store: QueueStore) -> None:
                async def check(store: QueueStore) -> None:
                    (entry,) = await store.find(Selection(id=queued.message.id))
                    assert str(entry.message.sender) == str(queued.message.sender)
                    assert entry == Entry(message=queued.message, deliveries=queued.deliveries)
                    assert await read(await store.content(entry.message)) == queued.content

                await store.put([queued])
                await check(store)
                again = await self.reopen(store)
                await check(again)
                await again.close()

            self.with_store(use)

        check_one()

    @_with_store
    async def test_content_can_be_read_again_and_again(self, store: QueueStore) -> None:
        for size in (0, 10, 40_000, 300_000, 2_500_000):
            queued = make_queued(f"m{size}", content=b"0123456789" * (size // 10))
            await store.put([queued])
            for _ in range(2):
                assert await read(await store.content(queued.message)) == queued.content
            source = await store.content(queued.message)
            assert await read(source) == await read(source) == queued.content

    @_with_store
    async def test_content_may_arrive_in_pieces(self, store: QueueStore) -> None:
        for pieces in ([], [b"a\r\n"], [b"b" * 70_000] * 3, [b"c" * 100_000] * 30):
            body = store.body()
            for piece in pieces:
                await body.write(piece)
            content = b"".join(pieces)
            assert body.size == len(content)
            queued = make_queued(f"m{len(content)}", content=content)
            await store.put([evolve(queued, content=body)])
            await body.discard()
            assert await read(await store.content(queued.message)) == content
            store = await self.reopen(store)
            assert await read(await store.content(queued.message)) == content
        await store.close()

    @_with_store
    async def test_octets_may_be_put_before_a_content(self, store: QueueStore) -> None:
        for number in (0, 1, 3, 60):
            body, content = store.body(), b""
            for step in range(number):
                await body.write(piece := bytes([65 + step % 26]) * 70_000)
                content += piece
            for octets in (b"first\r\n", b"before\r\n" * 7000):
                await body.prepend(octets)
                content = octets + content
            await body.write(b"last\r\n")
            content += b"last\r\n"
            assert "64 KiB" in await _fails(ValueError, body.prepend(bytes(10_000)))
            assert b"".join([it async for it in body.slices()]) == content
            queued = make_queued(f"m{number}", content=content)
            await store.put([evolve(queued, content=body)])
            assert await read(await store.content(queued.message)) == content
            store = await self.reopen(store)
            assert await read(await store.content(queued.message)) == content
        await store.close()

    @_with_store
    async def test_content_that_is_discarded_is_not_in_the_queue(self, store: QueueStore) -> None:
        for size in (10, 3_000_000):
            body = store.body()
            await body.write(b"x" * size)
            await body.discard()
            await body.discard()
            queued = evolve(make_queued(content=b"x" * size), content=body)
            assert "discarded" in await _fails(ValueError, store.put([queued]))
        assert await store.find(ALL) == []
        assert (await store.stats()).octets == 0

    @_with_store
    async def test_a_message_that_contradicts_itself_is_refused_and_so_are_those_beside_it(
        self, store: QueueStore
    ) -> None:
        good, wrong = make_queued("good"), make_queued("wrong")
        (delivery,) = wrong.deliveries
        for queued in (
            evolve(wrong, content=b"other"),
            evolve(wrong, deliveries=()),
            evolve(wrong, deliveries=(delivery, delivery)),
            evolve(wrong, deliveries=(evolve(delivery, message="other"),)),
            evolve(wrong, deliveries=(evolve(delivery, state=State.LEASED),)),
        ):
            text = await _fails(ValueError, store.put([good, queued]))
            assert "message wrong cannot enter the queue" in text
            assert await store.find(ALL) == []

    @_with_store
    async def test_a_message_with_a_known_id_is_refused(self, store: QueueStore) -> None:
        await _fails(ValueError, store.put([make_queued("a"), make_queued("a")]))
        await store.put([make_queued("a")])
        await _fails(ValueError, store.put([make_queued("b"), make_queued("a", content=b"x")]))
        assert [entry.message.id for entry in await store.find(ALL)] == ["a"]
        first = make_queued("a")
        assert await read(await store.content(first.message)) == first.content

    # -- claims and settlements --------------------------------------------------------------

    @_with_store
    async def test_a_claim_counts_the_attempt_and_sets_the_next_time_before_it_begins(
        self, store: QueueStore
    ) -> None:
        await store.put([make_queued("a", "x@one.test", "y@one.test")])
        (claim,) = await store.claim(NOW, 10, due_if_lost)
        for delivery in claim.deliveries:
            assert (delivery.state, delivery.attempts) == (State.LEASED, 1)
            assert delivery.due == NOW + WAIT
        assert await store.claim(NOW + 1000, 10, due_if_lost) == []
        again = await self.reopen(store)
        assert await again.claim(NOW + WAIT - 1, 10, due_if_lost) == []
        (claim,) = await again.claim(NOW + WAIT, 10, due_if_lost)
        assert [it.attempts for it in claim.deliveries] == [2, 2]
        await again.close()

    @_with_store
    async def test_a_claim_takes_the_highest_priority_first_then_the_earliest(
        self, store: QueueStore
    ) -> None:
        await store.put([make_queued("late", due=NOW)])
        early = make_queued("early", "x@z.test", due=NOW - 5)
        await store.put([early, make_queued("same", "x@a.test", due=NOW - 5)])
        await store.put([make_queued("urgent", due=NOW, priority=5)])
        await store.put([make_queued("idle", due=NOW - 50, priority=-5)])
        await store.put([make_queued("future", due=NOW + 1, priority=9)])
        order = [(await store.claim(NOW, 1, due_if_lost))[0].message.id for _ in range(5)]
        assert order == ["urgent", "early", "same", "late", "idle"]
        assert await store.claim(NOW, 1, due_if_lost) == []
        assert await store.next_due() == NOW + 1

    @_with_store
    async def test_a_claim_passes_over_lanes(self, store: QueueStore) -> None:
        await store.put([make_queued("a", "x@giant.test", "y@giant.test", origin="giant")])
        await store.put([make_queued("b", "x@Small.test"), make_queued("c", "x@giant.test")])
        assert await store.next_due(pass_over=lambda *_: True) is None
        wanted = (
            ("small.test", ""),
            ("giant.test", ""),
            ("giant.test", "giant"),
            ("giant.test", ""),
        )
        for only, found in zip(wanted, ("b", "c", "a", None), strict=True):
            claims = await store.claim(
                NOW, 1, due_if_lost, pass_over=lambda *lane, only=only: lane != only
            )
            assert [claim.message.id for claim in claims] == ([found] if found else [])

    @_with_store
    async def test_the_lanes_take_turns_in_a_claim(self, store: QueueStore) -> None:
        many = [f"u{number}@one.test" for number in range(5)]
        await store.put([make_queued("a", *many, origin="giant")])
        await store.put([make_queued("b", "x@one.test", origin="small")])
        await store.put([make_queued("c", "x@two.test", "y@two.test", origin="giant")])
        claims = await store.claim(NOW, 6, due_if_lost)
        leased = {claim.message.id: len(claim.deliveries) for claim in claims}
        assert leased == {"a": 3, "b": 1, "c": 2}

    @_with_store
    async def test_a_settlement_that_is_not_of_a_leased_delivery_changes_nothing(
        self, store: QueueStore
    ) -> None:
        await store.put([make_queued("a"), make_queued("b")])
        (claim,) = await store.claim(NOW, 1, due_if_lost)
        good = Settlement(delivery=claim.deliveries[0], decision=Done(Fate.RELAYED))
        waiting = Settlement(delivery=make_queued("b").deliveries[0], decision=Done(Fate.RELAYED))
        before = await store.find(ALL)
        for settlements in ([good, waiting], [good, good]):
            await _fails(ValueError, store.settle(settlements, NOW, [make_queued("c")]))
            assert await store.find(ALL) == before
        await store.settle([good], NOW)
        await _fails(ValueError, store.settle([good], NOW))

    @_with_store
    async def test_a_settlement_and_the_messages_that_follow_are_written_together(
        self, store: QueueStore
    ) -> None:
        report = make_queued("report", "ann@example.org", sender="")
        await store.put([make_queued("a")])
        (claim,) = await store.claim(NOW, 1, due_if_lost)
        settlement = Settlement(delivery=claim.deliveries[0], decision=Done(Fate.FAILED))
        wrong = evolve(report, content=b"other")
        await _fails(ValueError, store.settle([settlement], NOW, [wrong]))
        assert [entry.message.id for entry in await store.find(ALL)] == ["a"]
        await store.settle([settlement], NOW, [report])
        again = await self.reopen(store)
        assert [entry.message.id for entry in await again.find(ALL)] == ["report"]
        (entry,) = await again.find(Selection(id="a"))
        assert [it.fate for it in entry.ended] == [Fate.FAILED]
        assert entry.deliveries == ()
        await again.close()

    @_with_store
    async def test_a_message_leaves_with_its_last_delivery_and_its_content_goes(
        self, store: QueueStore
    ) -> None:
        queued = make_queued("a", "x@one.test", "y@two.test", content=b"z" * 50_000)
        await store.put([queued])
        for domain in ("@one.test", "@two.test"):
            assert (await store.stats()).messages == 1
            assert await read(await store.content(queued.message)) == queued.content
            assert await store.drop(Selection(recipient=domain), NOW) == 1
        stats = await store.stats()
        assert (stats.messages, stats.octets, stats.oldest) == (0, 0, None)
        await _fails(QueueFailed, store.content(queued.message))

    @_with_store
    async def test_stats_have_for_each_domain_the_oldest_the_next_and_the_last_attempt(
        self, store: QueueStore
    ) -> None:
        await store.put([make_queued("a", "x@one.test", "y@two.test", "z@one.test")])
        [claim] = await store.claim(NOW, 1, lambda _: NOW + 900)
        tried = Attempt(at=NOW, result=Result.UNREACHED, error="no route")
        later = Later(due=NOW + 60)
        it = Settlement(delivery=claim.deliveries[0], decision=later, attempt=tried)
        await store.settle([it], NOW)
        await store.put([make_queued("b", "x@one.test")])
        await store.hold(Selection(recipient="@two.test"), "")
        stats = await store.stats()
        [(one, of_one), (two, of_two)] = stats.domains.items()
        assert (one, of_one.total, of_one.due, of_one.last) == ("one.test", 3, NOW, tried)
        assert (two, of_two.total, of_two.due, of_two.last) == ("two.test", 1, None, None)
        assert (of_one.oldest, of_one.oldest_id) == (claim.message.arrived, "a")

    @_with_store
    async def test_stats_have_what_was_posted_of_destinations_until_the_store_is_closed(
        self, store: QueueStore
    ) -> None:
        tried = Attempt(at=NOW, result=Result.UNREACHED, error="\0\u20ac")
        busy = DestinationStats(window=5, running=2, paused_until=None, trouble=None)
        dead = evolve(busy, running=0, paused_until=NOW + 1e9, trouble=tried)
        for known in ({"gone": dead}, {"busy": busy, "dead\u20ac": dead}):
            await store.post(known, NOW)
        found = dict((await store.stats()).destinations)
        until = found["dead\u20ac"].paused_until
        assert until is not None  # by the clock of whoever asks
        found["dead\u20ac"] = evolve(found["dead\u20ac"], paused_until=dead.paused_until)
        assert found == {"busy": busy, "dead\u20ac": dead}
        again = await self.reopen(store)
        assert (await again.stats()).destinations == {}
        await again.close()

    # -- selections --------------------------------------------------------------------------

    @_with_store
    async def test_addresses_are_selected_by_meaning_and_not_as_they_are_typed(
        self, store: QueueStore
    ) -> None:
        await store.put([make_queued("a", "Bob@B\u00fccher.example", "postmaster")])
        for recipient in (
            "bob@b\u00fccher.example",
            '"BOB"@xn--bcher-kva.example',
            "@B\u00dcCHER.example",
            "@xn--bcher-kva.example",
            "postmaster",
        ):
            assert await store.hold(Selection(recipient=recipient), "why") == 1, recipient
            assert await store.release(Selection(recipient=recipient), NOW) == 1
        for recipient in ("@example", "bob@example", "@cher.example"):
            assert await store.find(Selection(recipient=recipient)) == []
        assert len(await store.find(Selection(sender="ANN@example.org", id="A"))) == 1
        assert await store.find(Selection(sender="")) == []

    @_with_store
    async def test_surrogates_are_refused(self, store: QueueStore) -> None:
        await store.put([make_queued()])
        assert "a reason cannot have surrogates" in await _fails(
            ValueError, store.hold(ALL, "why\udcff")
        )
        assert await store.hold(ALL, "why") == 1
        for name in ("id", "sender", "recipient"):
            for text in ("\ud800", "a\udcff@example.org", "@\udcff.example"):
                selected: dict[str, Any] = {name: text}
                try:
                    Selection(**selected)
                except GrammarError:
                    continue
                raise AssertionError(f"{name}={text!a} was accepted")

    @_with_store
    async def test_no_more_messages_are_found_than_were_asked_for(self, store: QueueStore) -> None:
        await store.put([make_queued(name) for name in ("c", "b", "a")])
        found = await store.find(ALL, 2)
        assert [entry.message.id for entry in found] == ["c", "b"]

    @_with_store
    async def test_a_message_is_selected_by_the_beginning_of_its_id(
        self, store: QueueStore
    ) -> None:
        await store.put([make_queued(name) for name in ("ab", "abz", "abzz", "ac", "b")])
        found = await store.find(Selection(id="AB"))
        assert [entry.message.id for entry in found] == ["ab", "abz", "abzz"]
        assert await store.drop(Selection(id="abz"), NOW) == 2

    @_with_store
    async def test_release_and_retry_keep_to_the_time_before_which_nothing_is_delivered(
        self, store: QueueStore
    ) -> None:
        await store.put([make_queued("a", due=NOW + 500, not_before=NOW + 100)])
        assert await store.retry(ALL, NOW) == 1
        assert await store.next_due() == NOW + 100
        assert await store.hold(ALL, "why") == 1
        assert await store.next_due() is None
        assert await store.release(ALL, NOW) == 1
        assert await store.next_due() == NOW + 100

    @_with_store
    async def test_a_process_alone_has_all_of_a_limit(self, store: QueueStore) -> None:
        await store.claim(NOW, 0, due_if_lost)
        assert store.share(7, "x.test") == 7

    @_with_store
    async def test_a_store_that_is_not_open_says_so(self, store: QueueStore) -> None:
        await store.close()
        for operation in (store.put([make_queued()]), store.find(ALL), store.stats()):
            assert "not open" in await _fails(QueueFailed, operation)
        await store.close()
        await _fails(QueueFailed, self.make().next_due())

    # -- all of it ---------------------------------------------------------------------------

    def test_any_sequence_of_operations_agrees_with_the_model(self) -> None:
        contract = self

        class Machine(QueueMachine):
            def __init__(self) -> None:
                super().__init__(contract)

        run_state_machine_as_test(Machine, settings=self.settings)
