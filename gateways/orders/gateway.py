"""The order side of one account at one venue: commands become requests, and what becomes of those becomes reports.

Each command is worked by a task of its own. Requests about one order leave one after the other, and nothing is sent
again but a cancel. New orders and amends leave only while the private stream is open and the account is reconciled;
cancels always do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import groupby
from typing import Any, Final

import numpy as np

from gateways.orders.asking import RETRY_S, Asking
from gateways.orders.batches import Batching
from gateways.orders.cancelling import Cancelling
from gateways.orders.clock import Clock
from gateways.orders.commands import Commands
from gateways.orders.dead_man import DeadManSwitch
from gateways.orders.entry import Entry
from gateways.orders.ids import is_external
from gateways.orders.known import Known, KnownError, Order
from gateways.orders.outcomes import REQUEST_ERRORS, told_text
from gateways.orders.placing import Placing
from gateways.orders.private import PrivateStream
from gateways.orders.reconcile import Reconciler
from gateways.orders.recovery import Recovery
from gateways.orders.tasks import Tasks
from gateways.orders.venue import Venue
from gateways.orders.views import FillView, Notice, OrderView, Standing, Told, TradeView
from oms.bus import Records
from oms.records import CommandKind, OrderState

RECONCILE_S: Final = 30.0
"""Between two reconciliations of a quiet session."""
LEAST_RECONCILE_S: Final = 1.0
"""Between two reconciliations, however much happens: they take of the request limits, and cancels need those."""
OVERDUE: Final = 4
"""Times ``reconcile_s`` without a reconciliation after which no new order leaves."""
GRACE_S: Final = 0.5
"""How long the stream may take with a fill that an answer has told of."""
SWITCH_S: Final = 60.0
"""After which the exchange cancels all orders of an account whose gateway has died or hangs."""
KEPT: Final[dict[str, Callable[[Order], bool]]] = {
    "cancel": lambda order: False,
    "keep_stops": lambda order: order.protects,
    "keep": lambda order: True,
}
"""Which orders stay at the exchange when the session ends, by ``orders_at_end``."""


def orders_without_core(orders_at_end: str) -> str:
    """The same while the core is started again, when nobody watches the position: its stops stay in any case."""
    return "keep_stops" if orders_at_end == "cancel" else orders_at_end


class OrderGateway:
    """Works commands.

    Parameters
    ----------
    venue
        Open.
    exchange
        Its ccxt.
    known
        What the core has been told.
    clock
        The time that it waits in.
    log
        Takes a line about what somebody should see.
    since_ts
        From when on payments of funding may not have been told, ns; 0: from now.
    grace_s, reconcile_s, switch_s
        See the constants; ``switch_s`` 0: no dead man's switch.
    may_trade
        Without it nothing is ever sent that changes anything at the exchange.

    Attributes
    ----------
    entry : Entry
        Whether new orders and amends leave, and what stands against it.
    commands : Commands
        What the commands are about; it knows whether some were lost.
    """

    def __init__(
        self,
        venue: Venue,
        exchange: Any,
        known: Known,
        clock: Clock,
        log: Callable[[str], None],
        *,
        since_ts: int = 0,
        grace_s: float = GRACE_S,
        reconcile_s: float = RECONCILE_S,
        switch_s: float = SWITCH_S,
        may_trade: bool = True,
    ) -> None:
        self.venue = venue
        self.known = known
        self.entry = Entry(known, venue.limiter, log, may_trade=may_trade)
        self.asking = Asking(venue, known, self.entry, clock, self._take, log)
        self.commands = Commands(known)
        self.reconciler = Reconciler(venue, known, since_ts or clock.time_ns(), log)
        self.stream = PrivateStream(venue, exchange, clock, self._take, self._on_open, self._on_lost)
        self._tasks = Tasks(lambda error: self.entry.halt(f"an error of the gateway's own: {error!r}"))
        self._placing = Placing(self.asking, self.commands, self._tasks)
        self._cancelling = Cancelling(self.asking, self.commands, self._tasks)
        self._recovery = Recovery(self.asking, self._cancelling, self.reconciler, self._tasks)
        self._switch = DeadManSwitch(self.asking, switch_s)
        self._clock = clock
        self._log = log
        self._grace_s = grace_s
        self._reconcile_s = reconcile_s
        self._reconciled_s = 0.0
        self._collecting: set[Order] = set()
        self._reconciling = asyncio.Lock()
        self._work: dict[int, Callable[[np.void], Coroutine[Any, Any, None]]] = {
            CommandKind.NEW: self._placing.new,
            CommandKind.AMEND: self._placing.amend,
            CommandKind.CANCEL: self._cancelling.cancel,
            CommandKind.CANCEL_ALL: self._cancelling.cancel_all,
        }
        self._together: dict[int, Callable[[list[np.void]], None]] = {}
        if isinstance(venue, Batching):
            self._together = {
                CommandKind.NEW: self._placing.new_together,
                CommandKind.CANCEL: self._cancelling.cancel_together,
            }

    def start(self) -> None:
        """Begin: the stream, which reconciles when it opens, and what is done again and again."""
        self.entry.tell()
        for service in (self._run_stream(), self._reconcile_now_and_then(), self._refuse_when_overdue()):
            self._tasks.serve(service)
        self._switch.start(self._tasks)

    async def end(self, orders_at_end: str, *, within_s: float) -> list[Order]:
        """Let nothing new leave any more, cancel what is not to stay open, and return what could not be cancelled.

        The exchange's own switch is taken back where nothing is open that should not be.

        Parameters
        ----------
        orders_at_end
            As in ``[firm]``.
        """
        self.entry.end()
        if not self.entry.may_trade:
            return []
        self._switch.stop()
        try:
            async with asyncio.timeout(within_s):
                for order in self._to_end(orders_at_end):
                    self._tasks.spawn(self._cancelling.end(order))
                await self.idle()
                if self.stream.is_open:
                    await self.reconcile()
                await self.idle()
        except TimeoutError:
            pass
        left = self.left_open(orders_at_end)
        for order in left:
            self._log(f"order {order.order_id} may be open: its end was not confirmed")
        if not left:
            await self._switch.disarm()
        return left

    def left_open(self, orders_at_end: str) -> list[Order]:
        """Orders that may be open, and are not to be once the session has ended."""
        return [each for each in self._to_end(orders_at_end) if not each.is_done] if self.entry.may_trade else []

    def _to_end(self, orders_at_end: str) -> list[Order]:
        """Orders that are not to be open once the session has ended."""
        kept = KEPT[orders_at_end]
        return [order for order in self.known.orders.values() if not kept(order)]

    async def close(self) -> None:
        """End everything; orders stay as they are."""
        self.stream.end()
        await self._tasks.close()
        self.asking.refusals.close()

    def take(self, commands: Records, *, is_late: bool = False) -> None:
        """Work COMMAND records; those that are not for an exchange are passed over.

        Of those that have come late, new orders and amends do not leave.
        """
        for kind, alike in groupby(commands, key=lambda command: int(command["kind"])):
            run = list(alike)
            work = self._work.get(kind)
            if is_late and kind in (CommandKind.NEW, CommandKind.AMEND):
                for command in run:
                    self.commands.turn_away(command)
            elif len(run) > 1 and kind in self._together:
                self._together[kind](run)
            elif work is not None:
                for command in run:
                    self._tasks.spawn(work(command))

    def recover(self, order: Order, state: OrderState, is_amending: bool = False) -> None:
        """Take on an order as a session before has left it (``Left``), and find out what that does not say.

        Until that is known no new order leaves.
        """
        self._recovery.take(order, state, is_amending)

    async def idle(self) -> None:
        """Wait until no command and no question is being worked."""
        await self._tasks.idle()

    async def reconcile(self) -> bool:
        """Reconcile now; whether it went well. Trading is refused when the two sides cannot be brought together.

        Where it was refused meanwhile it stays so until the next one, which is then wanted soon.
        """
        async with self._reconciling:
            refusals = self.entry.refusals
            try:
                await self.reconciler.run()
            except KnownError as error:
                self.entry.refuse(str(error))
                return False
            except REQUEST_ERRORS as error:
                self.asking.note(error)
                if not self.entry.is_reconciled:
                    self.entry.why_not = f"reconciling failed: {told_text(error)}"
                return False
            self._reconciled_s = self._clock.now_s()
            if self._recovery.open:
                self.entry.refuse(f"{len(self._recovery.open)} orders of before are being asked for")
            elif self.stream.is_open and not self.entry.admit(refusals):
                self.asking.wanted.set()
            return True

    def counters(self) -> dict[str, float]:
        """For the heartbeat."""
        limiter = self.venue.limiter
        return {
            "trades": float(self.entry.is_open),
            "is_reconciled": float(self.entry.is_reconciled),
            "open_orders": float(len(self.known.orders)),
            "working": float(len(self._tasks)),
            "asked": float(self.asking.resolver.asked),
            "reconciled": float(self.reconciler.done),
            "adopted": float(self.reconciler.adopted),
            "missed_fills": float(self.reconciler.missed_fills),
            "repeated_fills": float(self.known.repeated),
            "connections": float(self.stream.connections),
            "private_messages": float(self.stream.messages),
            "requests": float(limiter.granted),
            "rate_refused": float(limiter.refused),
            "pause_s": limiter.pause_s,
            **{f"outcome_{verdict.name.lower()}": float(count) for verdict, count in self.asking.outcomes.items()},
        }

    def _take(self, told: Told) -> None:
        """Take what the exchange says, whichever way it comes."""
        if told in (Notice.FUNDING_PAID, Notice.BALANCE_CHANGED):
            self.reconciler.reads_fundings = True
            self.asking.wanted.set()
            return
        try:
            if isinstance(told, FillView):
                if self.known.take_fill(told) is None or self.known.is_disordered:
                    self.asking.wanted.set()
            elif isinstance(told, TradeView):
                self._tasks.spawn(self._expect(told))
            elif isinstance(told, OrderView):
                order = self.known.take_order(told)
                if order is not None and order.owes and order not in self._collecting:
                    self._collecting.add(order)
                    self._tasks.spawn(self._collect(order))
                if order is not None and told.became and is_external(order.order_id):
                    self.asking.wanted.set()  # what it has become is taken on by itself
                if order is not None and told.standing is Standing.TAKEN:
                    self._tasks.spawn(self._hear(order))
        except KnownError as error:
            self.entry.refuse(str(error))

    async def _expect(self, trade: TradeView) -> None:
        """Wait for the fill of a trade that has moved the account; where it does not come, reconcile."""
        if trade in self.known.recent_trades:
            return
        await self._clock.sleep(self._grace_s)
        if trade not in self.known.recent_trades:
            self.stream.doubt()
            self.asking.wanted.set()

    async def _hear(self, order: Order) -> None:
        """Wait for what the stream should say of an order that was merely taken; where it does not, ask."""
        await self._wait_while(order, lambda: order.is_silent, self._grace_s)
        if order.is_silent:
            self.stream.doubt()
            await self.asking.resolve(order)

    async def _wait_while(self, order: Order, lacks: Callable[[], bool], seconds: float) -> None:
        """Wait so long at most while something is still to be told of an order."""
        deadline_s = self._clock.now_s() + seconds
        while lacks() and (left_s := deadline_s - self._clock.now_s()) > 0:
            order.changed.clear()
            if not await self._clock.wait(order.changed, left_s):
                break

    async def _collect(self, order: Order) -> None:
        """Wait for fills that the stream should bring; where it does not, ask for them."""
        try:
            await self._wait_while(order, lambda: order.owes, self._grace_s if self.venue.tells_fills else 0.0)
            if order.owes and self.venue.tells_fills and self.stream.is_open:
                self.stream.doubt()
            while order.owes:
                try:
                    await self.reconciler.collect(order)
                except KnownError as error:
                    self.entry.refuse(str(error))
                    return
                except REQUEST_ERRORS as error:
                    self.asking.note(error)
                if order.owes:
                    await self._clock.sleep(RETRY_S[0])
        finally:
            self._collecting.discard(order)

    async def _run_stream(self) -> None:
        """Keep the stream open, once the fills of before are told from those that it will bring."""
        await self._recovery.trace_fills()
        await self.stream.run()

    async def _on_open(self) -> None:
        """A stream is there: what it did not bring is asked for before anything is sent."""
        attempt = 0
        while not await self.reconcile() and not self.entry.is_halted:
            await self._clock.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
            attempt += 1

    def _on_lost(self, why: str) -> None:
        if not self.entry.is_halted:
            self.entry.refuse(f"the private stream is lost: {why}")

    async def _reconcile_now_and_then(self) -> None:
        failures = 0
        while True:
            again_s = RETRY_S[min(failures, len(RETRY_S)) - 1] if failures else self._reconcile_s
            wanted = self.asking.wanted
            is_wanted = await self._clock.wait(wanted, min(again_s, self._reconcile_s))
            wanted.clear()
            self.reconciler.reads_fundings = self.reconciler.reads_fundings or not (is_wanted or failures)
            if self.stream.is_open:
                failures = 0 if await self.reconcile() else failures + 1
            await self._clock.sleep(LEAST_RECONCILE_S)

    async def _refuse_when_overdue(self) -> None:
        """Trade no more while no reconciliation comes about."""
        while True:
            await self._clock.sleep(self._reconcile_s)
            late_s = self._clock.now_s() - self._reconciled_s
            if self.entry.is_reconciled and late_s > OVERDUE * self._reconcile_s:
                self.entry.refuse(f"the last reconciliation was {late_s:.0f} s ago")
                self.asking.wanted.set()
