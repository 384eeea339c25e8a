"""Several requests of one kind in one: the contract of a venue that takes them, and which orders go together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

from gateways.orders.known import Order
from gateways.orders.views import OrderView
from oms.records import CommandKind

Answer = OrderView | Exception | None
"""What became of one of several: how it stands, one of ``REQUEST_ERRORS``, or nothing that says so."""


@runtime_checkable
class Batching(Protocol):
    """What a ``gateways.orders.venue.Venue`` offers that takes several orders in one request.

    Each request ends as those of a ``Venue`` do; where it was answered, each order has an answer of its own.
    """

    def batch_size(self, kind: CommandKind, waiting: int) -> int:
        """Of so many orders that wait to be placed, or cancelled, how many go into one request; 1: each goes alone.

        More than one go where that takes less of the venue's limits.
        """

    async def place_batch(self, orders: list[Order]) -> list[Answer]:
        """Ask for new orders; answers in their order."""

    async def cancel_batch(self, orders: list[Order]) -> list[Answer]:
        """Ask for the end of orders of one instrument whose ids at the venue are known; answers in their order."""


def batches(orders: list[Order], size_of: Callable[[int], int]) -> Iterator[list[Order]]:
    """Orders in the batches in which they go, the last of them perhaps alone."""
    start = 0
    while start < len(orders):
        size = size_of(len(orders) - start)
        yield orders[start : start + size]
        start += size
