"""CANCEL and CANCEL_ALL commands: they always leave, and are sent again until the order's end is certain."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial

import numpy as np

from gateways.orders.asking import RETRY_S, Asking
from gateways.orders.batches import Batching, batches
from gateways.orders.commands import Commands
from gateways.orders.known import Order, Stage
from gateways.orders.outcomes import REQUEST_ERRORS, Verdict
from gateways.orders.tasks import Tasks
from oms.records import CommandKind, Reason, ReportKind


class Cancelling:
    """Works the commands that end orders."""

    def __init__(self, asking: Asking, commands: Commands, tasks: Tasks) -> None:
        self._asking = asking
        self._venue = asking.venue
        self._batching = asking.venue if isinstance(asking.venue, Batching) else None
        self._known = asking.known
        self._entry = asking.entry
        self._commands = commands
        self._tasks = tasks

    async def cancel(self, command: np.void) -> None:
        """Work a CANCEL command."""
        order = self._commands.found(command)
        if order is None:
            self._commands.answer_unknown(command, ReportKind.CANCEL_REJECTED)
        else:
            await self.end(order)

    def cancel_together(self, commands: list[np.void]) -> None:
        """Work several CANCEL commands: those of orders that rest, and have no other request on its way, together."""
        assert self._batching is not None
        resting: dict[int, list[Order]] = {}
        for command in commands:
            order = self._commands.found(command)
            if order is None or not self._entry.may_trade or not _rests(order):
                self._tasks.spawn(self.cancel(command))
            else:
                resting.setdefault(order.instrument.id, []).append(order)
        for orders in resting.values():
            for batch in batches(orders, partial(self._batching.batch_size, CommandKind.CANCEL)):
                self._tasks.spawn(self._end_together(self._batching, batch))

    async def cancel_all(self, command: np.void) -> None:
        """Each order that is meant, and where no strategy is named those too that nobody knows of."""
        if command["account"] not in (-1, self._known.account) or not self._entry.may_trade:
            return
        instrument, strategy = int(command["instrument"]), int(command["strategy"])
        for order in list(self._known.orders.values()):
            if instrument in (-1, order.instrument.id) and strategy in (-1, order.strategy):
                self._tasks.spawn(self.end(order))
        if strategy >= 0:
            return
        for each in self._known.instruments.values():
            if instrument in (-1, each.id):
                try:
                    await self._venue.cancel_all(each)
                except REQUEST_ERRORS as error:
                    self._asking.note(error)
        self._asking.wanted.set()

    async def end(self, order: Order) -> None:
        """Cancel an order, as often as it takes to be certain of its end."""
        if not self._entry.may_trade:
            self._known.reject_cancel(order, Reason.READ_ONLY)
            return
        while not order.is_done:
            order.changed.clear()
            async with order.lock:
                if order.is_done:
                    return
                outcome = await self._asking.one(order, lambda: self._venue.cancel(order), sent_once=False)
            if outcome is None or order.is_done:
                return
            if outcome.verdict in (Verdict.REFUSED, Verdict.HALT):
                self._known.reject_cancel(order, outcome.reason)
                return
            if outcome.verdict in (Verdict.NOT_ACCEPTED, Verdict.RESYNC):
                await self._asking.clock.sleep(RETRY_S[0])
            elif order.stage is Stage.PENDING:
                await self._asking.resolve_new(order)
            else:
                await self._resolve_end(order)

    async def _end_together(self, batching: Batching, orders: list[Order]) -> None:
        """Cancel resting orders in one request; those of which that leaves anything open, one by one."""
        batch = [order for order in orders if _rests(order) and not order.is_done]
        left = [order for order in orders if order not in batch]
        if len(batch) > 1:
            async with AsyncExitStack() as held:
                for order in batch:
                    await held.enter_async_context(order.lock)
                outcomes = await self._asking.several(batch, batching.cancel_batch(batch), sent_once=False)
            left += [order for order, outcome in zip(batch, outcomes, strict=True) if outcome is not None]
        else:
            left += batch
        for order in left:
            self._tasks.spawn(self.end(order))

    async def _resolve_end(self, order: Order) -> None:
        """Ask how an order stands that the exchange had accepted, and would not cancel."""
        if await self._asking.resolve(order) is None:
            self._entry.refuse(f"order {order.order_id} was accepted, and the exchange knows it no more")
            self._asking.wanted.set()
            await self._asking.clock.sleep(RETRY_S[-1])
        elif not order.is_done:
            await self._asking.clock.wait(order.changed, RETRY_S[0])


def _rests(order: Order) -> bool:
    return order.stage is Stage.LIVE and bool(order.venue_order_id) and not order.lock.locked()
