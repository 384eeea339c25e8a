"""The order side of one account at one venue: commands become requests, and what becomes of those becomes reports.

Each command is worked by a task of its own. Requests about one order leave one after the other, and nothing is sent
again but a cancel. New orders and amends leave only while the private stream is open and the account is reconciled;
cancels always do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from itertools import groupby
from typing import Any, Final

import numpy as np

from gateways.orders.batches import Answer, Batching, batches
from gateways.orders.clock import Clock
from gateways.orders.known import UNKNOWN_TERMS, Known, KnownError, Order, Stage
from gateways.orders.limiter import Priority, RateError
from gateways.orders.outcomes import REQUEST_ERRORS, Outcome, Verdict, outcome_of, told_text
from gateways.orders.private import PrivateStream
from gateways.orders.reconcile import Reconciler
from gateways.orders.unknown import Resolver
from gateways.orders.venue import CommandError, Venue
from gateways.orders.views import FillView, Notice, OrderView, Told
from oms.bus import Records
from oms.records import CommandKind, OrderState, Reason, ReportKind

RECONCILE_S: Final = 30.0
"""Between two reconciliations of a quiet session."""
RETRY_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Between attempts to reconcile; the last one again and again."""
LEAST_RECONCILE_S: Final = 1.0
"""Between two reconciliations, however much happens: they take of the request limits, and cancels need those."""
OVERDUE: Final = 4
"""Times ``reconcile_s`` without a reconciliation after which no new order leaves."""
DISARM_S: Final = 3.0
"""How long the end of a session may take to take back the exchange's switch."""
GRACE_S: Final = 0.5
"""How long the stream may take with a fill that an answer has told of."""
SWITCH_S: Final = 60.0
"""After which the exchange cancels all orders of an account whose gateway has died or hangs."""

Ask = Callable[[], Awaitable[OrderView | None]]


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
    trades : bool
        Whether new orders and amends leave.
    why_not : str
        What stands against it.
    is_behind : bool
        The core has an order that was never heard of here: a command has been lost, and the journal has it.
    outcomes : dict of int by Verdict
        How often each has come.
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
        self.resolver = Resolver(venue, known, clock)
        self.reconciler = Reconciler(venue, known, since_ts or clock.time_ns(), log)
        self.stream = PrivateStream(venue, exchange, clock, self._take, self._on_open, self._on_lost)
        self.trades = False
        self.is_reconciled = False
        self.is_behind = False
        self.why_not = "not reconciled yet"
        self.outcomes: dict[Verdict, int] = dict.fromkeys(Verdict, 0)
        self.traded = asyncio.Event()
        """Set while it trades."""
        self._clock = clock
        self._log = log
        self._grace_s = grace_s
        self._reconcile_s = reconcile_s
        self._switch_s = switch_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._recovering: set[int] = set()
        """Orders of before of which it is not known yet how they stand."""
        self._services: list[asyncio.Task[None]] = []
        self._switching: asyncio.Task[None] | None = None
        self._reconciled_s = 0.0
        self._collecting: set[Order] = set()
        self._wanted = asyncio.Event()
        self._reconciling = asyncio.Lock()
        self._is_halted = False
        self._may_trade = may_trade
        self._is_ending = False
        self._entry: Reason | None = None
        self._work: dict[int, Callable[[np.void], Coroutine[Any, Any, None]]] = {
            CommandKind.NEW: self._new,
            CommandKind.AMEND: self._amend,
            CommandKind.CANCEL: self._cancel,
            CommandKind.CANCEL_ALL: self._cancel_all,
        }
        self._batching = venue if isinstance(venue, Batching) else None
        self._together: dict[int, Callable[[list[np.void]], None]] = {}
        if self._batching is not None:
            self._together = {CommandKind.NEW: self._new_together, CommandKind.CANCEL: self._cancel_together}

    def start(self) -> None:
        """Begin: the stream, which reconciles when it opens, and what is done again and again."""
        self._tell_entry()
        services = [self._run_stream(), self._reconcile_now_and_then(), self._refuse_when_overdue()]
        self._services = [asyncio.ensure_future(each) for each in services]
        if self._switch_s and self._may_trade:
            self._switching = asyncio.ensure_future(self._keep_switch())
            self._services.append(self._switching)
        for each in self._services:
            each.add_done_callback(self._on_service_end)

    async def end(self, *, cancel: bool, within_s: float) -> list[Order]:
        """Let nothing new leave any more, and either cancel what is open or leave it; what could not be cancelled.

        The exchange's own switch is taken back where nothing is open that should not be.
        """
        self._is_ending = True
        self._refuse("the session ends")
        if not self._may_trade:
            return []
        if self._switching is not None:
            self._switching.cancel()
        try:
            async with asyncio.timeout(within_s):
                if cancel:
                    for order in list(self.known.orders.values()):
                        self._spawn(self._end(order))
                await self.idle()
                if self.stream.is_open:
                    await self.reconcile()
                await self.idle()
        except TimeoutError:
            pass
        left = [order for order in self.known.orders.values() if not order.is_done] if cancel else []
        for order in left:
            self._log(f"order {order.order_id} may be open: its end was not confirmed")
        if not left and self._switch_s:
            try:
                async with asyncio.timeout(DISARM_S):
                    while not await self._arm(0.0):
                        await self._clock.sleep(RETRY_S[0])
            except TimeoutError:
                self._log(
                    f"the exchange will cancel what is open within {self._switch_s:g} s: it was not told otherwise"
                )
        return left

    async def close(self) -> None:
        """End everything; orders stay as they are."""
        self.stream.end()
        while tasks := [task for task in (*self._services, *self._tasks) if not task.done()]:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def take(self, commands: Records, *, is_late: bool = False) -> None:
        """Work COMMAND records; those that are not for an exchange are passed over.

        Of those that have come late, new orders and amends do not leave.
        """
        for kind, alike in groupby(commands, key=lambda command: int(command["kind"])):
            run = list(alike)
            work = self._work.get(kind)
            if is_late and kind in (CommandKind.NEW, CommandKind.AMEND):
                for command in run:
                    self._turn_away(command)
            elif len(run) > 1 and kind in self._together:
                self._together[kind](run)
            elif work is not None:
                for command in run:
                    self._spawn(work(command))

    def recover(self, order: Order, state: OrderState, is_amending: bool = False) -> None:
        """Take on an order as a session before has left it (``Left``), and find out what that does not say.

        Until that is known no new order leaves.
        """
        order.sent_s = self._clock.now_s()
        is_amending = is_amending or state is OrderState.PENDING_AMEND
        if is_amending:
            order.asked = UNKNOWN_TERMS
        self.known.add(order)
        if order.stage is Stage.PENDING or is_amending:
            self._recovering.add(order.order_id)
        self._spawn(self._recover(order, state))

    async def idle(self) -> None:
        """Wait until no command and no question is being worked."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def reconcile(self) -> bool:
        """Reconcile now; whether it went well. Trading is refused when the two sides cannot be brought together."""
        async with self._reconciling:
            try:
                await self.reconciler.run()
            except KnownError as error:
                self._refuse(str(error))
                return False
            except REQUEST_ERRORS as error:
                self._note(outcome_of(error, self.venue.codes, sent_once=False))
                if not self.is_reconciled:
                    self.why_not = f"reconciling failed: {told_text(error)}"
                return False
            self._reconciled_s = self._clock.now_s()
            if self._recovering:
                self._refuse(f"{len(self._recovering)} orders of before are being asked for")
            elif self.stream.is_open and not self._is_halted and not self._is_ending and not self.is_reconciled:
                self.is_reconciled = True
                self.trades = self._may_trade
                self.why_not = "" if self.trades else "read-only"
                if self.trades:
                    self.traded.set()
                self._tell_entry()
                self._log(f"reconciled: {self.why_not or 'trading'}")
            return True

    def counters(self) -> dict[str, float]:
        """For the heartbeat."""
        return {
            "trades": float(self.trades),
            "is_reconciled": float(self.is_reconciled),
            "open_orders": float(len(self.known.orders)),
            "working": float(len(self._tasks)),
            "asked": float(self.resolver.asked),
            "reconciled": float(self.reconciler.done),
            "adopted": float(self.reconciler.adopted),
            "missed_fills": float(self.reconciler.missed_fills),
            "repeated_fills": float(self.known.repeated),
            "connections": float(self.stream.connections),
            "private_messages": float(self.stream.messages),
            "requests": float(self.venue.limiter.granted),
            "rate_refused": float(self.venue.limiter.refused),
            "pause_s": self.venue.limiter.pause_s,
            **{f"outcome_{verdict.name.lower()}": float(count) for verdict, count in self.outcomes.items()},
        }

    async def _new(self, command: np.void) -> None:
        order = self._admitted(command)
        if order is not None:
            await self._place([order])

    def _new_together(self, commands: list[np.void]) -> None:
        """Work several NEW commands, in as few requests as is best."""
        orders = [order for command in commands if (order := self._admitted(command)) is not None]
        for batch in self._batches(CommandKind.NEW, orders):
            self._spawn(self._place(batch))

    def _batches(self, kind: CommandKind, orders: list[Order]) -> Iterator[list[Order]]:
        assert self._batching is not None
        return batches(orders, partial(self._batching.batch_size, kind))

    def _admitted(self, command: np.void) -> Order | None:
        """The order of a NEW command that may be asked for; None: it was refused, or is known already."""
        if self.known.is_known(int(command["order_id"])):
            return None  # the bus has said it again: the id is the key
        if not self._is_ours(command):
            self.known.refuse_unknown(command, ReportKind.REJECTED, Reason.UNKNOWN_ACCOUNT)
            return None
        order = self.known.new(command)
        try:
            self.venue.check(order)
        except CommandError as error:
            self.known.reject(order, error.reason)
            return None
        return order

    async def _place(self, orders: list[Order]) -> None:
        """Ask for new orders, all of them in one request."""
        async with AsyncExitStack() as held:
            for order in orders:
                await held.enter_async_context(order.lock)
            if not self.trades:
                for order in orders:
                    self.known.reject(order, self._refusal)
                return
            outcomes = await self._all_asked(orders, self._placed(orders), sent_once=True)
        for order, outcome in zip(orders, outcomes, strict=True):
            if outcome is None:
                continue
            if outcome.verdict in (Verdict.UNKNOWN, Verdict.DUPLICATE, Verdict.GONE, Verdict.UNCHANGED):
                self._spawn(self._resolve_new(order))
            else:
                self.known.reject(order, outcome.reason)

    async def _placed(self, orders: list[Order]) -> list[Answer]:
        if len(orders) == 1 or self._batching is None:
            return [await self.venue.place(orders[0])]
        return await self._batching.place_batch(orders)

    async def _resolve_new(self, order: Order) -> None:
        view = await self.resolver.ask(order)
        if view is None:
            self.known.reject(order, Reason.NOT_PLACED)
        else:
            self._take(view)

    async def _recover(self, order: Order, state: OrderState) -> None:
        """Ask for a new order; for terms, once the amend can come no more; and cancel again."""
        if state is OrderState.PENDING_NEW:
            await self._resolve_new(order)
        elif state is OrderState.PENDING_CANCEL and self._may_trade:
            await self._end(order)
        elif state is OrderState.PENDING_CANCEL:
            self.known.reject_cancel(order, Reason.READ_ONLY)
        if order.asked == UNKNOWN_TERMS:
            await self._recover_amend(order)
        self._recovering.discard(order.order_id)
        if not self._recovering:
            self._wanted.set()

    async def _recover_amend(self, order: Order) -> None:
        """Answer an amend of before, once it can come no more."""
        view = None
        if not order.is_done:
            await self._clock.sleep(self.venue.receive_window_s)
            view = await self.resolver.ask(order)
        if order.asked == UNKNOWN_TERMS:  # else another amend has been asked for meanwhile
            if view is not None:
                terms = (view.px, view.qty)
                order.asked = terms if terms != (order.px, order.qty) else UNKNOWN_TERMS
                self._take(view)
            self.known.reject_amend(order, Reason.NOT_PLACED)

    async def _run_stream(self) -> None:
        """Keep the stream open, once the fills of before are told from those that it will bring."""
        for order in list(self.known.orders.values()):
            await self._trace(order)
        await self.stream.run()

    async def _trace(self, order: Order) -> None:
        while order.untraced_qty and not order.is_done:
            try:
                if not order.venue_order_id:
                    self.known.bind(order, (await self.venue.query(order)).venue_order_id)
                await self.reconciler.trace(order)
                return
            except REQUEST_ERRORS as error:
                self._note(outcome_of(error, self.venue.codes, sent_once=False))
                await self._clock.sleep(RETRY_S[-1])

    async def _amend(self, command: np.void) -> None:
        order = self._found(command)
        if order is None:
            self._answer_unknown(command, ReportKind.AMEND_REJECTED)
            return
        px, qty = int(command["px"]), int(command["qty"])
        async with order.lock:
            order.asked = (px, qty)
            if not self.trades or order.stage is Stage.ENDED:
                self.known.reject_amend(order, self._refusal if not self.trades else Reason.ORDER_NOT_OPEN)
                return
            try:
                self.venue.check_amend(order, px, qty)
            except CommandError as error:
                self._log(str(error))
                self.known.reject_amend(order, error.reason)
                return
            outcome = await self._asked(order, lambda: self.venue.amend(order, px, qty), sent_once=False)
        if outcome is None:
            return
        if outcome.verdict in (Verdict.REFUSED, Verdict.NOT_ACCEPTED, Verdict.RESYNC, Verdict.HALT):
            self.known.reject_amend(order, outcome.reason)
        else:
            await self._resolve_amend(order, is_done=outcome.verdict is not Verdict.UNKNOWN, reason=outcome.reason)

    async def _resolve_amend(self, order: Order, *, is_done: bool, reason: Reason) -> None:
        """Ask until the order has the terms asked for, has ended, or can get them no more."""
        for wait_s in (0.0, *RETRY_S, self.venue.receive_window_s):
            await self._clock.sleep(wait_s)
            is_past = self._clock.now_s() - order.sent_s >= self.venue.receive_window_s
            view = await self.resolver.ask(order)
            if view is not None:
                self._take(view)
            if order.asked is None or view is None or order.end is not None or is_done or is_past:
                break
        self.known.reject_amend(order, reason)

    def _turn_away(self, command: np.void) -> None:
        """Answer a command that has come too late to be sent."""
        reason = Reason.COMMAND_TOO_LATE
        if command["kind"] == CommandKind.NEW:
            if not self.known.is_known(int(command["order_id"])):
                self.known.refuse_unknown(command, ReportKind.REJECTED, reason)
        else:
            self.known.refuse_unknown(command, ReportKind.AMEND_REJECTED, reason)

    async def _cancel(self, command: np.void) -> None:
        order = self._found(command)
        if order is None:
            self._answer_unknown(command, ReportKind.CANCEL_REJECTED)
        elif self._may_trade:
            await self._end(order)
        else:
            self.known.reject_cancel(order, Reason.READ_ONLY)

    def _cancel_together(self, commands: list[np.void]) -> None:
        """Work several CANCEL commands: those of orders that rest, and have no other request on its way, together."""
        resting: dict[int, list[Order]] = {}
        for command in commands:
            order = self.known.orders.get(int(command["order_id"]))
            if order is None or not self._may_trade or not self._rests(order):
                self._spawn(self._cancel(command))
            else:
                resting.setdefault(order.instrument.id, []).append(order)
        for orders in resting.values():
            for batch in self._batches(CommandKind.CANCEL, orders):
                self._spawn(self._end_together(batch))

    def _rests(self, order: Order) -> bool:
        return order.stage is Stage.LIVE and bool(order.venue_order_id) and not order.lock.locked()

    async def _end_together(self, orders: list[Order]) -> None:
        """Cancel resting orders in one request; those of which that leaves anything open, one by one."""
        batch = [order for order in orders if self._rests(order) and not order.is_done]
        left = [order for order in orders if order not in batch]
        if len(batch) > 1 and self._batching is not None:
            async with AsyncExitStack() as held:
                for order in batch:
                    await held.enter_async_context(order.lock)
                outcomes = await self._all_asked(batch, self._batching.cancel_batch(batch), sent_once=False)
            left += [order for order, outcome in zip(batch, outcomes, strict=True) if outcome is not None]
        else:
            left += batch
        for order in left:
            self._spawn(self._end(order))

    async def _cancel_all(self, command: np.void) -> None:
        """Each order that is meant, and where no strategy is named those too that nobody knows of."""
        if command["account"] not in (-1, self.known.account) or not self._may_trade:
            return
        instrument, strategy = int(command["instrument"]), int(command["strategy"])
        for order in list(self.known.orders.values()):
            if instrument in (-1, order.instrument.id) and strategy in (-1, order.strategy):
                self._spawn(self._end(order))
        if strategy >= 0:
            return
        for each in self.known.instruments.values():
            if instrument in (-1, each.id):
                try:
                    await self.venue.cancel_all(each)
                except REQUEST_ERRORS as error:
                    self._note(outcome_of(error, self.venue.codes, sent_once=False))
        self._wanted.set()

    async def _end(self, order: Order) -> None:
        """Cancel an order, as often as it takes to be certain of its end."""
        while not order.is_done:
            async with order.lock:
                if order.is_done:
                    return
                outcome = await self._asked(order, lambda: self.venue.cancel(order), sent_once=False)
            if outcome is None or order.is_done:
                return
            if outcome.verdict in (Verdict.REFUSED, Verdict.HALT):
                self.known.reject_cancel(order, outcome.reason)
                return
            if outcome.verdict in (Verdict.NOT_ACCEPTED, Verdict.RESYNC):
                await self._clock.sleep(RETRY_S[0])
            elif order.stage is Stage.PENDING:
                await self._resolve_new(order)
            else:
                await self._ask_end(order)

    async def _ask_end(self, order: Order) -> None:
        view = await self.resolver.ask(order)
        if view is None:
            self._refuse(f"order {order.order_id} was accepted, and the exchange knows it no more")
            self._wanted.set()
            await self._clock.sleep(RETRY_S[-1])
        else:
            self._take(view)

    async def _asked(self, order: Order, ask: Ask, *, sent_once: bool) -> Outcome | None:
        """Send a request about an order and take its answer; None: it was done."""

        async def answers() -> list[Answer]:
            return [await ask()]

        (outcome,) = await self._all_asked([order], answers(), sent_once=sent_once)
        return outcome

    async def _all_asked(
        self, orders: list[Order], asking: Awaitable[list[Answer]], *, sent_once: bool
    ) -> list[Outcome | None]:
        """As ``_asked``, of one request about several orders: without an answer, one outcome is that of all."""
        try:
            answers = await asking
        except RateError as error:
            self._log(str(error))
            reason = Reason.ORDER_RATE if self.trades else self._refusal
            return [Outcome(Verdict.REFUSED, reason, 0, str(error))] * len(orders)
        except REQUEST_ERRORS as error:
            return [await self._failed(error, sent_once=sent_once)] * len(orders)
        outcomes: list[Outcome | None] = []
        for answer in answers:
            outcome = None
            if answer is None:
                outcome = Outcome(Verdict.UNKNOWN, Reason.EXCHANGE_UNAVAILABLE, 0, "an answer without an order")
            elif isinstance(answer, Exception):
                outcome = await self._failed(answer, sent_once=sent_once)
            else:
                self._take(answer)
            outcomes.append(outcome)
        return outcomes

    async def _failed(self, error: Exception, *, sent_once: bool) -> Outcome:
        """What an exception means; what it means for the venue is done."""
        outcome = outcome_of(error, self.venue.codes, sent_once=sent_once)
        self._note(outcome)
        await self._heed(outcome)
        return outcome

    def _note(self, outcome: Outcome) -> None:
        self.outcomes[outcome.verdict] += 1
        self._log(f"{outcome.verdict.name} ({outcome.reason.name}): {outcome.text}")

    async def _heed(self, outcome: Outcome) -> None:
        """Do what an outcome means for the whole venue."""
        if outcome.verdict is Verdict.HALT:
            self._is_halted = True
            self._refuse(f"the exchange refuses the keys: {outcome.text}")
        elif outcome.verdict is Verdict.NOT_ACCEPTED:
            self.venue.limiter.pause(RETRY_S[0])
            self._wanted.set()
        elif outcome.verdict is Verdict.RESYNC:
            try:
                await self.venue.set_clock()
            except REQUEST_ERRORS as error:
                self._note(outcome_of(error, self.venue.codes, sent_once=False))

    @property
    def _refusal(self) -> Reason:
        """Why no new order leaves, where none does."""
        for stands, reason in (
            (self._is_ending, Reason.SESSION_ENDS),
            (self._is_halted, Reason.KEYS_REFUSED),
            (not self._may_trade, Reason.READ_ONLY),
        ):
            if stands:
                return reason
        return Reason.NOT_RECONCILED

    def _tell_entry(self) -> None:
        """Tell the core whether new orders may leave, when that has changed."""
        entry = Reason.NONE if self.trades else self._refusal
        if entry is not self._entry:
            self._entry = entry
            self.known.tell_order_entry(entry)

    def _is_ours(self, command: np.void) -> bool:
        return bool(command["account"] == self.known.account and int(command["instrument"]) in self.known.instruments)

    def _found(self, command: np.void) -> Order | None:
        """The order that a command is about; None: it is over, or it was never heard of."""
        return self.known.orders.get(int(command["order_id"]))

    def _answer_unknown(self, command: np.void, kind: ReportKind) -> None:
        """Answer a command about an order that is over. Of one that was never heard of a command has been lost: what
        there is to answer is answered once the journal has been read."""
        if self.known.is_known(int(command["order_id"])) or not self._is_ours(command):
            self.known.refuse_unknown(command, kind, Reason.UNKNOWN_ORDER)
        else:
            self.is_behind = True

    def look_for(self, asked: Iterable[int]) -> None:
        """Compare with orders that the core has asked for, by their ids."""
        self.is_behind = self.is_behind or not all(map(self.known.is_known, asked))

    def _take(self, told: Told) -> None:
        """Take what the exchange says, whichever way it comes."""
        if told in (Notice.FUNDING_PAID, Notice.BALANCE_CHANGED):
            self.reconciler.reads_fundings = True
            self._wanted.set()
            return
        try:
            if isinstance(told, FillView):
                if self.known.take_fill(told) is None or self.known.is_disordered:
                    self._wanted.set()
            elif isinstance(told, OrderView):
                order = self.known.take_order(told)
                if order is not None and order.owes and order not in self._collecting:
                    self._collecting.add(order)
                    self._spawn(self._collect(order))
        except KnownError as error:
            self._refuse(str(error))

    async def _collect(self, order: Order) -> None:
        """Wait for fills that the stream should bring; where it does not, ask for them."""
        try:
            deadline_s = self._clock.now_s() + (self._grace_s if self.venue.tells_fills else 0.0)
            while order.owes and (left_s := deadline_s - self._clock.now_s()) > 0:
                order.changed.clear()
                if not await self._clock.wait(order.changed, left_s):
                    break
            if order.owes and self.venue.tells_fills and self.stream.is_open:
                self.stream.doubt()
            while order.owes:
                try:
                    await self.reconciler.collect(order)
                except KnownError as error:
                    self._refuse(str(error))
                    return
                except REQUEST_ERRORS as error:
                    self._note(outcome_of(error, self.venue.codes, sent_once=False))
                if order.owes:
                    await self._clock.sleep(RETRY_S[0])
        finally:
            self._collecting.discard(order)

    async def _on_open(self) -> None:
        """A stream is there: what it did not bring is asked for before anything is sent."""
        attempt = 0
        while not await self.reconcile() and not self._is_halted:
            await self._clock.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
            attempt += 1

    def _on_lost(self, why: str) -> None:
        if not self._is_halted:
            self._refuse(f"the private stream is lost: {why}")

    def _refuse(self, why: str) -> None:
        """Trade no more until the next reconciliation goes well."""
        if self.is_reconciled or why != self.why_not:
            self._log(f"not trading: {why}")
        self.trades = self.is_reconciled = False
        self.why_not = why
        self.venue.limiter.turn_away(Priority.ORDER, why)
        self.traded.clear()
        self._tell_entry()

    async def _reconcile_now_and_then(self) -> None:
        failures = 0
        while True:
            again_s = RETRY_S[min(failures, len(RETRY_S)) - 1] if failures else self._reconcile_s
            is_wanted = await self._clock.wait(self._wanted, min(again_s, self._reconcile_s))
            self._wanted.clear()
            self.reconciler.reads_fundings = self.reconciler.reads_fundings or not (is_wanted or failures)
            if self.stream.is_open:
                failures = 0 if await self.reconcile() else failures + 1
            await self._clock.sleep(LEAST_RECONCILE_S)

    async def _refuse_when_overdue(self) -> None:
        """Trade no more while no reconciliation comes about."""
        while True:
            await self._clock.sleep(self._reconcile_s)
            late_s = self._clock.now_s() - self._reconciled_s
            if self.is_reconciled and late_s > OVERDUE * self._reconcile_s:
                self._refuse(f"the last reconciliation was {late_s:.0f} s ago")
                self._wanted.set()

    async def _keep_switch(self) -> None:
        """Tell the exchange three times in its time that this process lives and its loop turns."""
        while True:
            await self._arm(self._switch_s)
            await self._clock.sleep(self._switch_s / 3)

    async def _arm(self, seconds: float) -> bool:
        """Set the exchange's own switch; whether it was done for every instrument."""
        is_done = True
        for instrument in self.known.instruments.values():
            try:
                await self.venue.arm(instrument, seconds)
            except REQUEST_ERRORS as error:
                self._note(outcome_of(error, self.venue.codes, sent_once=False))
                is_done = False
        return is_done

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_end)

    def _on_task_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._on_service_end(task)

    def _on_service_end(self, task: asyncio.Task[None]) -> None:
        """An error of our own: fail closed, and say it."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._is_halted = True
            self._refuse(f"an error of the gateway's own: {error!r}")
