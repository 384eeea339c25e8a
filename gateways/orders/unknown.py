"""An order of which it is not known whether it is there: asked for, until that is certain.

The exchange refuses a request that is older than its receive window, so an order that is not there some time after
that will never be. Until then "there is no such order" may only mean "not yet". When it is past, the list of open
orders and the fills have their say too; only then it is absent. Nothing is sent again meanwhile, and nothing is told to
the core, which counts an order without an answer as one that may fill.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat
from typing import Final

from gateways.orders.clock import Clock
from gateways.orders.known import Known, Order
from gateways.orders.outcomes import REQUEST_ERRORS, Verdict, outcome_of
from gateways.orders.venue import Venue
from gateways.orders.views import OrderView

MARGIN_S: Final = 2.0
"""Beyond the receive window: for the way there and the exchange's own work."""

WAITS_S: Final = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 4.0, 8.0, 16.0)
"""Before each question; the last one again and again, but none goes beyond the time at which it is certain."""


class Resolver:
    """Asks what became of orders.

    Attributes
    ----------
    asked : int
        Questions put to the exchange.
    """

    def __init__(self, venue: Venue, known: Known, clock: Clock) -> None:
        self._venue = venue
        self._known = known
        self._clock = clock
        self.asked = 0

    async def ask(self, order: Order) -> OrderView | None:
        """How an order stands; None once it is proven that it is not there. It takes as long as it must."""
        certain_s = order.sent_s + self._venue.receive_window_s + MARGIN_S
        for wait_s in _waits():
            left_s = certain_s - self._clock.now_s()
            await self._clock.sleep(min(wait_s, left_s) if left_s > 0 else wait_s)
            is_past = self._clock.now_s() >= certain_s
            self.asked += 1
            try:
                return await self._venue.query(order)
            except REQUEST_ERRORS as error:
                if outcome_of(error, self._venue.codes, sent_once=False).verdict is not Verdict.GONE or not is_past:
                    continue
            try:
                return await self._elsewhere(order)
            except REQUEST_ERRORS:
                continue
        raise AssertionError("the waits do not end")

    async def _elsewhere(self, order: Order) -> OrderView | None:
        """The order in the list of open ones, or behind a fill of no known order."""
        for view in await self._venue.open_orders(order.instrument):
            if view.client_id == order.client_id:
                return view
        page = await self._venue.fills_from(order.instrument, None)
        unknown = {
            fill.venue_order_id
            for fill in page.fills
            if fill.side == order.side and self._known.find(fill.instrument, "", fill.venue_order_id) is None
        }
        for venue_order_id in sorted(unknown, reverse=True):
            view = await self._venue.query_by_venue_id(order.instrument, venue_order_id)
            if view.client_id == order.client_id:
                return view
        return None


def _waits() -> Iterator[float]:
    return chain(WAITS_S, repeat(WAITS_S[-1]))
