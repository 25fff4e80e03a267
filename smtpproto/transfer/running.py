"""A mail agent from its start to its end."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator

from ..dns import Resolver
from ..mta.store import QueueStore
from ..policy import StateStore
from ..ports import CallAborted, Runtime
from .assembly import MTAConfig, RunningMTA, assemble

__all__ = ["running"]

_log = logging.getLogger("smtpproto.queue")

_RENEW = 600.0  # seconds between looks for policies that are to be fetched anew


async def _close(queue: QueueStore, states: StateStore | None) -> None:
    try:
        if states is not None:
            await states.close()
    finally:
        await queue.close()


@contextlib.asynccontextmanager
async def running(
    runtime: Runtime, config: MTAConfig, store: QueueStore, resolver: Resolver
) -> AsyncIterator[RunningMTA]:
    """Open *store*, and deliver what is in it until the block ends; then drain, and close it.

    Raises QueueFailed.
    """
    await store.open(runtime)
    try:
        mail = assemble(runtime, config, store, resolver)
        ended, leaves, reported = runtime.event(), runtime.event(), runtime.event()
        store.watch(mail.agent.changed)

        async def deliver() -> None:
            try:
                await mail.agent.run()
            finally:
                ended.set()

        async def renew_policies() -> None:
            while not mail.agent.stopping:
                try:
                    await mail.relay.renew_policies()
                except Exception:
                    _log.exception("MTA-STS policies could not be renewed")
                await leaves.wait(_RENEW)

        async def report() -> None:
            try:
                await mail.reports.run(mail.send_report)
            finally:
                reported.set()

        async with runtime.tasks() as tasks:
            others = mail.desk.run(), mail.guarding.run()
            for each in (deliver(), renew_policies(), report(), *others):
                tasks.start(each)
            try:
                try:
                    yield mail
                finally:
                    mail.agent.stop()
                    mail.desk.close()
                    leaves.set()
                await ended.wait(mail.config.grace)
            finally:
                mail.reports.stop()
                mail.guarding.stop()
            await reported.wait(mail.config.grace)
            tasks.cancel()
    finally:  # also if this was cancelled: until it is closed, the queue cannot be opened again
        try:
            await runtime.finish_within(None, _close(store, config.guards.store))
        except CallAborted as error:  # it must not take the place of the cancellation
            _log.error("the queue may not be closed: closing it %s", error)
