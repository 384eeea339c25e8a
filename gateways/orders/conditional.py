"""Stops that stand at the exchange: the contract of a venue that keeps them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from gateways.orders.known import Order


@runtime_checkable
class Conditional(Protocol):
    """What a ``gateways.orders.venue.Venue`` offers that keeps stops beside its book until their price comes.

    Its requests about an order are then about the stop while that stands (``Order.stands``), and ``query`` shows the
    order that it has become once it has fired; ``open_orders`` lists stops too, and before the orders, so that one that
    fires meanwhile is in one of the two; ``cancel_all`` ends them. Messages show a stop as an ``OrderView`` with
    ``stop``.
    """

    def check_stop(self, order: Order) -> None:
        """Raise ``CommandError`` for a stop that the venue does not keep."""
