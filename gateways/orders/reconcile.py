"""Reconciliation: the exchange's orders, fills, positions and balances against what the core has been told.

Whatever differs is explained and told, missed fills first, then ends, then orders that were placed elsewhere; what
cannot be explained is an error, and nothing is traded. Positions and balances are compared where nothing has happened
between reading them and reading the fills, so that the two are of one moment.

The first time it is the core's own state that is compared, with what has happened while no gateway was there. How far
the core's positions had counted what others trade is not written anywhere: any number of their latest fills may explain
a difference, and only all lots of them together do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Final

from gateways.orders.ids import external_order_id, is_of_zoms
from gateways.orders.known import SPOT, Foreign, Known, KnownError, Order, Stage
from gateways.orders.outcomes import REQUEST_ERRORS, Verdict, outcome_of
from gateways.orders.unknown import MARGIN_S
from gateways.orders.venue import Page, Venue
from gateways.orders.views import FillView, OrderView, PositionView
from oms.decimals import cash_text
from oms.instruments import Instrument
from oms.settings import qualified_symbol

MOST_READS: Final = 10
"""Attempts to read fills, positions and balances of one moment."""

FUNDING_MARGIN_NS: Final = 3_600 * 10**9
"""How far behind the newest payment of funding is looked for others: they are told apart by their ids."""


def remedy_of(instrument: Instrument, shown: PositionView) -> str:
    """What to do where nothing explains the position that the exchange shows."""
    qty = instrument.qty_from_lots(abs(shown.qty))
    position = f"-- -{qty}" if shown.qty < 0 else qty
    return (
        f"See at the exchange whether somebody else trades this account, and end that. If what it shows is right: "
        f"zoms adopt position {qualified_symbol(instrument)} {position} {instrument.px_from_ticks(shown.px)}, "
        f"then end the session and start it again"
    )


class Reconciler:
    """Brings together what the exchange shows and what is known.

    Parameters
    ----------
    venue, known
        The two sides.
    since_ts
        From when on payments of funding count, ns.
    log
        Takes a line about what was taken over.

    Attributes
    ----------
    reads_fundings : bool
        Whether the next run looks for payments of funding; it does so too where a balance differs otherwise.
    done : int
        How often all was found or brought in order.
    adopted, missed_fills : int
        Orders that were placed elsewhere; fills that no other way had told.
    """

    def __init__(self, venue: Venue, known: Known, since_ts: int, log: Callable[[str], None]) -> None:
        self._venue = venue
        self._known = known
        self._since_ts = since_ts
        self._log = log
        self._next_trade: dict[int, int | None] = dict.fromkeys(known.instruments)
        self._others: set[int] = set()
        """Ids at the venue of orders that are none of ours."""
        self.reads_fundings = True
        self.done = 0
        self.adopted = 0
        self.missed_fills = 0

    async def run(self) -> None:
        """Reconcile.

        Raises
        ------
        KnownError
            When something is left that nothing explains.
        Exception
            Those of ``REQUEST_ERRORS``, when the exchange does not answer.
        """
        for instrument in self._known.instruments.values():
            if not self.done:
                await self._bind(instrument)
            await self._read_fills(instrument)
            await self._orders(instrument)
        for order in self._known.owing():
            await self.collect(order)
        await self._account()
        self.reads_fundings = False
        self.done += 1

    async def collect(self, order: Order) -> None:
        """Ask for the fills of an order, and tell those that have not been."""
        fills = await self._venue.fills_of(order)
        self._known.trace(order, fills)
        for fill in fills:
            before = self._known.news
            self._known.take_fill(fill)
            self.missed_fills += self._known.news - before

    async def trace(self, order: Order) -> None:
        """Find out by which trades an order had filled what the core knows of already."""
        if order.untraced_qty:
            self._known.trace(order, await self._venue.fills_of(order))

    async def _bind(self, instrument: Instrument) -> None:
        """Learn the exchange's ids of orders from before, by which alone it names their fills."""
        unbound = {
            order.order_id: order
            for order in self._known.orders.values()
            if order.instrument is instrument and order.stage is Stage.LIVE and not order.venue_order_id
        }
        for view in await self._venue.open_orders(instrument) if unbound else ():
            own_id = self._known.ids.order_id(view.client_id)
            order_id = external_order_id(instrument.id, view.key) if own_id is None else own_id
            if order_id in unbound:
                self._known.bind(unbound.pop(order_id), view.key)
        for order in unbound.values():
            if order.stands and not order.client_id:  # what it may have become is there by itself
                self._known.end_forgotten(order)
                continue
            try:
                self._known.bind(order, (await self._venue.query(order)).key)
            except REQUEST_ERRORS as error:
                if not self._is_gone(error):
                    raise

    async def _read_fills(self, instrument: Instrument) -> bool:
        """Take the account's fills that have not been read this way; whether there were any that are news.

        The first time these are the latest ones, and where they do not reach back to the newest that the core has
        booked, all since that. Where the core has never had anything, what others did before is in the position that
        the session begins with.
        """
        known = self._known
        before = known.news
        asked = self._next_trade[instrument.id]
        if asked is None:
            booked = known.newest_booked.get(instrument.id, 0)
            page = await self._venue.fills_from(instrument, None)
            await self._take_fills(instrument, page, counts_foreign=instrument.id in known.begun)
            is_behind = bool(page.fills and page.fills[0].trade_id > booked > 0)
            asked = booked + 1 if is_behind else page.fills[-1].trade_id + 1 if page.fills else 0
            self._next_trade[instrument.id] = asked
            if not is_behind:
                return known.news != before
        while True:
            page = await self._venue.fills_from(instrument, asked)
            await self._take_fills(instrument, page, counts_foreign=True)
            asked = page.fills[-1].trade_id + 1 if page.fills else asked
            self._next_trade[instrument.id] = asked
            if page.is_last:
                return known.news != before

    async def _take_fills(self, instrument: Instrument, page: Page, *, counts_foreign: bool) -> None:
        for fill in page.fills:
            if await self._is_ours(instrument, fill) or counts_foreign:
                self._known.take_fill(fill)

    async def _is_ours(self, instrument: Instrument, fill: FillView) -> bool:
        """Whether a fill is of a known order: one whose answer has not come is known by its client order id only."""
        venue_order_id = fill.venue_order_id
        if self._known.find(instrument.id, "", venue_order_id) is not None:
            return True
        if venue_order_id in self._others or not any(
            order.stage is Stage.PENDING or order.stands for order in self._known.orders.values()
        ):
            return False
        if self._known.take_order(await self._venue.query_by_venue_id(instrument, venue_order_id)) is not None:
            return True
        self._others.add(venue_order_id)
        return False

    async def _orders(self, instrument: Instrument) -> None:
        """Ends that were missed, terms that differ, and orders that were placed elsewhere."""
        live = {
            order: order.sent_s
            for order in self._known.orders.values()
            if order.instrument is instrument and order.stage is Stage.LIVE and not order.lock.locked()
        }
        views = await self._venue.open_orders(instrument)
        shown: set[Order] = set()
        for view in views:
            order = self._known.find(instrument.id, view.client_id, view.key)
            if order is None:
                await self._adopt(view)
                continue
            shown.add(order)
            is_at_rest = live.get(order) == order.sent_s and not order.lock.locked()
            self._known.take_order(view, is_exact=is_at_rest)
        for order in live:
            if order not in shown and order.stage is Stage.LIVE:
                await self._missing(order)

    async def _missing(self, order: Order) -> None:
        """An order that is not open any more.

        One of before may have ended so long ago, without a fill, that the exchange has forgotten it. It is believed
        when it has said so for longer than a request may be under way; had it filled, its position would tell.
        """
        try:
            self._known.take_order(await self._venue.query(order))
        except REQUEST_ERRORS as error:
            if not self._is_gone(error):
                raise
            asked_for_s = self._venue.limiter.now_s() - order.sent_s
            if self.done or asked_for_s < self._venue.receive_window_s + MARGIN_S:
                raise KnownError(f"order {order.order_id} was accepted, and the exchange knows it no more") from error
            self._log(f"order {order.order_id} of before is not known to the exchange any more: it has ended")
            self._known.end_forgotten(order)

    def _is_gone(self, error: BaseException) -> bool:
        return outcome_of(error, self._venue.codes, sent_once=False).verdict is Verdict.GONE

    async def _adopt(self, view: OrderView) -> None:
        order = self._known.adopt(view)
        self.adopted += 1
        if is_of_zoms(view.client_id):
            self._log(
                f"order {view.venue_order_id} is open, and was placed by another session of zoms or by one whose "
                f"journal is gone: if that runs still, perhaps on another machine, end it: two on one account do harm"
            )
        if not order.stands:
            await self.collect(order)

    async def _account(self) -> None:
        """Positions, balances and funding, at a moment at which nothing happens."""
        known = self._known
        for _ in range(MOST_READS):
            before = known.news
            if self.reads_fundings:
                await self._read_fundings()
            positions = {view.instrument: view for view in await self._venue.positions()}
            balances = await self._venue.balances()
            for instrument in known.instruments.values():
                await self._read_fills(instrument)
            if known.news == before and (self.reads_fundings or self._accounts_for(balances)):
                break
            self.reads_fundings = self.reads_fundings or known.news == before
        else:
            raise KnownError("the account never stood still long enough to be compared")
        told_before = {currency: cash for currency, cash in balances.items() if currency in known.cash}
        if not self.done and positions and not self._accounts_for(told_before):
            known.is_disordered = True  # the core has realized something else before: it holds at another average too
        explained: dict[str, int] = {}
        for instrument in known.instruments.values():
            if instrument.kind == SPOT:
                counted = self._count_foreign(instrument)
            else:
                counted = self._explain(instrument, positions.get(instrument.id, PositionView(instrument.id, 0, 0, 0)))
            for currency, moved in ((currency, moved) for each in counted for currency, moved in each.cash.items()):
                explained[currency] = explained.get(currency, 0) + moved
        for currency, cash in balances.items():
            self._compare_cash(currency, cash, explained.get(currency, 0) + known.uncharged.pop(currency, 0))
        known.is_disordered = False

    def _accounts_for(self, balances: Mapping[str, int]) -> bool:
        """Whether balances are what is known, with what others have traded."""
        known = self._known
        expected = dict(known.cash)
        for each in (foreign for counted in known.foreign.values() for foreign in counted):
            for currency, cash in each.cash.items():
                expected[currency] = expected.get(currency, 0) + cash
        return all(cash == expected.get(currency) for currency, cash in balances.items() if currency in known.wallets)

    async def _read_fundings(self) -> None:
        """Tell the payments that have not been; one in an instrument that the core knows nothing of is not its own."""
        fundings = await self._venue.fundings_since(self._since_ts)
        for funding in fundings:
            if funding.instrument in self._known.begun:
                self._known.take_funding(funding)
        newest_ts = max((funding.exch_ts for funding in fundings), default=0)
        self._since_ts = max(self._since_ts, newest_ts - FUNDING_MARGIN_NS)

    def _count_foreign(self, instrument: Instrument) -> list[Foreign]:
        """What others have traded in a spot instrument: there is no position that it could be compared with."""
        known, number = self._known, instrument.id
        counted = list(known.foreign[number])
        known.begun.add(number)
        known.foreign[number].clear()
        return counted

    def _explain(self, instrument: Instrument, shown: PositionView) -> list[Foreign]:
        """Compare a position, tell one that others have changed, and return the fills of others by which they have."""
        known, number, symbol = self._known, instrument.id, instrument.symbol
        qty = known.positions[number]
        difference = shown.qty - qty
        foreign = sorted(known.foreign[number])
        if number not in known.begun:
            self._log(f"{symbol} begins with {shown.qty} lots, as the exchange shows: the core has had nothing in it")
            counted: list[Foreign] = []
        else:
            sums = list(accumulate((each.qty for each in reversed(foreign)), initial=0))
            taken = sums.index(difference) if not self.done and difference in sums else len(foreign)
            if sums[taken] != difference:
                raise KnownError(
                    f"position in {symbol} is {shown.qty} lots at the exchange, {qty} are known and "
                    f"{sums[-1]} are of other orders: nothing explains the rest. {remedy_of(instrument, shown)}"
                )
            counted = foreign[len(foreign) - taken :]
        if difference or known.is_disordered:
            known.set_position(shown)
        if difference and counted:
            self._log(
                f"{symbol} is {shown.qty} lots, of which other orders have brought {difference}: it is taken over"
            )
        known.begun.add(number)
        known.foreign[number].clear()
        return counted

    def _compare_cash(self, currency: str, cash: int, explained: int) -> None:
        """Tell a balance that differs, and say so where what others traded is not all of it."""
        known = self._known
        if currency in known.wallets and cash - (was := known.cash.get(currency, 0)) != explained:
            self._log(
                f"{cash_text(cash)} {currency} are at the exchange, {cash_text(was)} were known and trades of others "
                f"or fees in other currencies come to {cash_text(explained)}: the balance is taken over"
            )
        known.set_cash(currency, cash)
