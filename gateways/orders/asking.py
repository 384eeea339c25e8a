"""Requests about orders, and what each kind of outcome means for the order, the venue and the session."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from gateways.orders.batches import Answer
from gateways.orders.clock import Clock
from gateways.orders.entry import Entry
from gateways.orders.known import Known, Order
from gateways.orders.limiter import RateError
from gateways.orders.outcomes import REQUEST_ERRORS, Outcome, Verdict, outcome_of
from gateways.orders.unknown import Resolver
from gateways.orders.venue import Venue
from gateways.orders.views import OrderView
from gateways.seldom_log import SeldomLog
from oms.records import Reason

RETRY_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Between attempts to do anything that must be done; the last one again and again."""

Ask = Callable[[], Awaitable[OrderView | None]]


class Asking:
    """Asks the exchange about orders, and takes its answers.

    Parameters
    ----------
    venue, known, entry, clock
        What is asked, what is known of it, and the door for new orders, which some outcomes shut.
    take
        Takes an order as an answer shows it.
    log
        Takes a line about each request that has failed; of those that were refused for one reason, seldom.

    Attributes
    ----------
    refusals : SeldomLog
        Of orders that did not leave, or that the exchange did not take, by their reason.
    wanted : asyncio.Event
        Set when the account is to be reconciled soon.
    outcomes : dict of int by Verdict
        How often each has come.
    """

    def __init__(
        self,
        venue: Venue,
        known: Known,
        entry: Entry,
        clock: Clock,
        take: Callable[[OrderView], None],
        log: Callable[[str], None],
    ) -> None:
        self.venue = venue
        self.known = known
        self.entry = entry
        self.clock = clock
        self.take = take
        self.log = log
        self.refusals = SeldomLog(log, now_s=clock.now_s)
        self.resolver = Resolver(venue, known, clock)
        self.wanted = asyncio.Event()
        self.outcomes: dict[Verdict, int] = dict.fromkeys(Verdict, 0)

    async def one(self, order: Order, ask: Ask, *, sent_once: bool) -> Outcome | None:
        """Send a request about an order and take its answer; None: it was done."""

        async def answers() -> list[Answer]:
            return [await ask()]

        (outcome,) = await self.several([order], answers(), sent_once=sent_once)
        return outcome

    async def several(
        self, orders: list[Order], asking: Awaitable[list[Answer]], *, sent_once: bool
    ) -> list[Outcome | None]:
        """As ``one``, of one request about several orders: without an answer, one outcome is that of all."""
        try:
            answers = await asking
        except RateError as error:
            reason = Reason.ORDER_RATE if self.entry.is_open else self.entry.reason
            self.refusals.add(reason.name, str(error))
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
                self.take(answer)
            outcomes.append(outcome)
        return outcomes

    async def resolve(self, order: Order) -> OrderView | None:
        """Ask what became of an order and take it; None once it is proven that it is not there."""
        view = await self.resolver.ask(order)
        if view is not None:
            self.take(view)
        return view

    async def resolve_new(self, order: Order) -> None:
        """Ask what became of a new order: it is there, or it is told as rejected."""
        if await self.resolve(order) is None:
            self.known.reject(order, Reason.NOT_PLACED)

    def note(self, error: BaseException) -> None:
        """Count and log one of ``REQUEST_ERRORS`` that is told nowhere else."""
        self._note(outcome_of(error, self.venue.codes, sent_once=False))

    async def _failed(self, error: Exception, *, sent_once: bool) -> Outcome:
        """What an exception means; what it means for the venue is done."""
        outcome = outcome_of(error, self.venue.codes, sent_once=sent_once)
        self._note(outcome)
        if outcome.verdict is Verdict.HALT:
            self.entry.halt(f"the exchange refuses the keys: {outcome.text}")
        elif outcome.verdict is Verdict.NOT_ACCEPTED:
            self.venue.limiter.pause(RETRY_S[0])
            self.wanted.set()
        elif outcome.verdict is Verdict.RESYNC:
            try:
                await self.venue.set_clock()
            except REQUEST_ERRORS as unanswered:
                self.note(unanswered)
        return outcome

    def _note(self, outcome: Outcome) -> None:
        self.outcomes[outcome.verdict] += 1
        line = f"{outcome.verdict.name} ({outcome.reason.name}): {outcome.text}"
        if outcome.verdict is Verdict.REFUSED:
            self.refusals.add(outcome.reason.name, line)
        else:
            self.log(line)
