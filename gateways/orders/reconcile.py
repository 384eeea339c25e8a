"""Reconciliation: the exchange's orders, fills, positions and balances against what the core has been told.

Whatever differs is explained and told, missed fills first, then ends, then orders that were placed elsewhere; what
cannot be explained is an error, and nothing is traded. Positions and balances are compared where nothing has happened
between reading them and reading the fills, so that the two are of one moment.
"""

from __future__ import annotations

from typing import Final

from gateways.orders.known import Known, KnownError, Order, Stage
from gateways.orders.outcomes import REQUEST_ERRORS, Verdict, outcome_of
from gateways.orders.venue import Venue
from gateways.orders.views import FillView, OrderView, PositionView
from oms.instruments import Instrument

MOST_READS: Final = 10
"""Attempts to read fills, positions and balances of one moment."""


class Reconciler:
    """Brings together what the exchange shows and what is known.

    Parameters
    ----------
    venue, known
        The two sides.
    since_ts
        From when on payments of funding count, ns.

    Attributes
    ----------
    done : int
        How often all was found or brought in order.
    adopted, missed_fills : int
        Orders that were placed elsewhere; fills that no other way had told.
    """

    def __init__(self, venue: Venue, known: Known, since_ts: int) -> None:
        self._venue = venue
        self._known = known
        self._since_ts = since_ts
        self._next_trade: dict[int, int | None] = dict.fromkeys(known.instruments)
        self._others: set[int] = set()
        """Ids at the venue of orders that are none of ours."""
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
            await self._read_fills(instrument)
            await self._orders(instrument)
        for order in self._known.owing():
            await self.collect(order)
        await self._account()
        self.done += 1

    async def collect(self, order: Order) -> None:
        """Ask for the fills of an order, and tell those that have not been."""
        for fill in await self._venue.fills_of(order):
            before = self._known.news
            self._known.take_fill(fill)
            self.missed_fills += self._known.news - before

    async def _read_fills(self, instrument: Instrument) -> bool:
        """Take the account's fills that have not been read this way; whether there were any that are news."""
        before = self._known.news
        while True:
            asked = self._next_trade[instrument.id]
            page = await self._venue.fills_from(instrument, asked)
            for fill in page.fills:
                if await self._is_ours(instrument, fill) or asked is not None:
                    self._known.take_fill(
                        fill
                    )  # what others did before is in the positions that the session begins with
            last = page.fills[-1].trade_id + 1 if page.fills else asked
            self._next_trade[instrument.id] = last or 0
            if page.is_last:
                return self._known.news != before

    async def _is_ours(self, instrument: Instrument, fill: FillView) -> bool:
        """Whether a fill is of a known order: one whose answer has not come is known by its client order id only."""
        venue_order_id = fill.venue_order_id
        if self._known.find(instrument.id, "", venue_order_id) is not None:
            return True
        if venue_order_id in self._others or not any(
            order.stage is Stage.PENDING for order in self._known.orders.values()
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
        shown = {view.venue_order_id for view in views}
        for view in views:
            order = self._known.find(instrument.id, view.client_id, view.venue_order_id)
            if order is None:
                await self._adopt(view)
            else:
                is_at_rest = live.get(order) == order.sent_s and not order.lock.locked()
                self._known.take_order(view, is_exact=is_at_rest)
        for order in live:
            if order.venue_order_id not in shown and order.stage is Stage.LIVE:
                await self._missing(order)

    async def _missing(self, order: Order) -> None:
        """An order that is not open any more."""
        try:
            self._known.take_order(await self._venue.query(order))
        except REQUEST_ERRORS as error:
            if outcome_of(error, self._venue.codes, sent_once=False).verdict is Verdict.GONE:
                raise KnownError(f"order {order.order_id} was accepted, and the exchange knows it no more") from error
            raise

    async def _adopt(self, view: OrderView) -> None:
        order = self._known.adopt(view)
        self.adopted += 1
        await self.trace(order)
        await self.collect(order)

    async def trace(self, order: Order) -> None:
        """Find out by which trades an order had filled what the core knows of already."""
        if order.untraced_qty:
            self._known.trace(order, await self._venue.fills_of(order))

    async def _account(self) -> None:
        """Positions, balances and funding, at a moment at which nothing happens."""
        known = self._known
        for _ in range(MOST_READS):
            before = known.news
            for funding in await self._venue.fundings_since(self._since_ts):
                known.take_funding(funding)
            positions = await self._venue.positions()
            balances = await self._venue.balances()
            for instrument in known.instruments.values():
                await self._read_fills(instrument)
            if known.news == before:
                break
        else:
            raise KnownError("the account never stood still long enough to be compared")
        if positions is None:
            known.forget_foreign()
        else:
            self._compare({view.instrument: view for view in positions})
        for currency, cash in balances.items():
            known.set_cash(currency, cash)

    def _compare(self, positions: dict[int, PositionView]) -> None:
        """Tell positions that other orders have changed, and those that are there at the start."""
        known = self._known
        for number, qty in known.positions.items():
            view = positions.get(number, PositionView(number, 0, 0, 0))
            if view.qty != qty + known.foreign[number] and self.done:
                raise KnownError(
                    f"position in {known.instruments[number].symbol} is {view.qty} lots at the exchange, {qty} are "
                    f"known and {known.foreign[number]} are of other orders: nothing explains the rest"
                )
            if view.qty != qty:
                known.set_position(view)
        known.forget_foreign()
