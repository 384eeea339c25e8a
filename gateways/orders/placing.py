"""NEW and AMEND commands: asked for once, and what is not answered is asked about until it is certain."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial

import numpy as np

from gateways.orders.asking import RETRY_S, Asking
from gateways.orders.batches import Answer, Batching, batches
from gateways.orders.commands import Commands
from gateways.orders.conditional import Conditional
from gateways.orders.known import Order, Stage
from gateways.orders.outcomes import Verdict
from gateways.orders.tasks import Tasks
from gateways.orders.venue import CommandError
from oms.records import CommandKind, Reason, ReportKind


class Placing:
    """Works the commands that leave only while the door for new orders is open."""

    def __init__(self, asking: Asking, commands: Commands, tasks: Tasks) -> None:
        self._asking = asking
        self._venue = asking.venue
        self._batching = asking.venue if isinstance(asking.venue, Batching) else None
        self._known = asking.known
        self._entry = asking.entry
        self._clock = asking.clock
        self._commands = commands
        self._tasks = tasks

    async def new(self, command: np.void) -> None:
        """Work a NEW command."""
        order = self._admitted(command)
        if order is not None:
            await self._place([order])

    def new_together(self, commands: list[np.void]) -> None:
        """Work several NEW commands, in as few requests as is best."""
        assert self._batching is not None
        orders = [order for command in commands if (order := self._admitted(command)) is not None]
        for stop in [order for order in orders if order.stands]:
            orders.remove(stop)
            self._tasks.spawn(self._place([stop]))
        for batch in batches(orders, partial(self._batching.batch_size, CommandKind.NEW)):
            self._tasks.spawn(self._place(batch))

    async def amend(self, command: np.void) -> None:
        """Work an AMEND command."""
        order = self._commands.found(command)
        if order is None:
            self._commands.answer_unknown(command, ReportKind.AMEND_REJECTED)
            return
        px, qty = int(command["px"]), int(command["qty"])
        async with order.lock:
            order.asked = (px, qty)
            if not self._entry.is_open or order.stage is Stage.ENDED:
                self._known.reject_amend(order, self._entry.reason or Reason.ORDER_NOT_OPEN)
                return
            try:
                self._venue.check_amend(order, px, qty)
            except CommandError as error:
                self._asking.refusals.add(error.reason.name, str(error))
                self._known.reject_amend(order, error.reason)
                return
            outcome = await self._asking.one(order, lambda: self._venue.amend(order, px, qty), sent_once=False)
        if outcome is None:
            return
        if outcome.verdict in (Verdict.REFUSED, Verdict.NOT_ACCEPTED, Verdict.RESYNC, Verdict.HALT):
            self._known.reject_amend(order, outcome.reason)
        else:
            await self._resolve_amend(order, is_done=outcome.verdict is not Verdict.UNKNOWN, reason=outcome.reason)

    def _admitted(self, command: np.void) -> Order | None:
        """The order of a NEW command that may be asked for; None: it was refused, or is known already."""
        if self._known.is_known(int(command["order_id"])):
            return None  # the bus has said it again: the id is the key
        if not self._commands.is_ours(command):
            self._known.refuse_unknown(command, ReportKind.REJECTED, Reason.UNKNOWN_ACCOUNT)
            return None
        order = self._known.new(command)
        try:
            self._check(order)
        except CommandError as error:
            self._asking.refusals.add(error.reason.name, str(error))
            self._known.reject(order, error.reason)
            return None
        return order

    def _check(self, order: Order) -> None:
        """Raise ``CommandError`` for an order that the venue does not take."""
        if order.stands:
            if not isinstance(self._venue, Conditional):
                raise CommandError(
                    "this gateway keeps no stops at the exchange: without the flag the core holds it",
                    Reason.NO_STOPS_AT_EXCHANGE,
                )
            self._venue.check_stop(order)
        self._venue.check(order)

    async def _place(self, orders: list[Order]) -> None:
        """Ask for new orders, all of them in one request."""
        async with AsyncExitStack() as held:
            for order in orders:
                await held.enter_async_context(order.lock)
            if not self._entry.is_open:
                for order in orders:
                    self._known.reject(order, self._entry.reason)
                return
            outcomes = await self._asking.several(orders, self._placed(orders), sent_once=True)
        for order, outcome in zip(orders, outcomes, strict=True):
            if outcome is None:
                continue
            if outcome.verdict in (Verdict.UNKNOWN, Verdict.DUPLICATE, Verdict.GONE, Verdict.UNCHANGED):
                self._tasks.spawn(self._asking.resolve_new(order))
            else:
                self._known.reject(order, outcome.reason)

    async def _placed(self, orders: list[Order]) -> list[Answer]:
        if len(orders) == 1 or self._batching is None:
            return [await self._venue.place(orders[0])]
        return await self._batching.place_batch(orders)

    async def _resolve_amend(self, order: Order, *, is_done: bool, reason: Reason) -> None:
        """Ask until the order has the terms asked for, has ended, or can get them no more."""
        for wait_s in (0.0, *RETRY_S, self._venue.receive_window_s):
            await self._clock.sleep(wait_s)
            is_past = self._clock.now_s() - order.sent_s >= self._venue.receive_window_s
            view = await self._asking.resolve(order)
            if order.asked is None or view is None or order.end is not None or is_done or is_past:
                break
        self._known.reject_amend(order, reason)
