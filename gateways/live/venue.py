"""The contract that every venue's market data keeps: where its streams are, and what is asked by request.

What implements it is named by ``gateways.venues``; messages are decoded by ``gateways.recording``, as recordings are.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from gateways.live.requests import Requests
from oms.instruments import Instrument


class Feed(NamedTuple):
    """One connection of an instrument's: what it carries is part of its address.

    Attributes
    ----------
    carries_book : bool
        While no such connection is up, the book is stale.
    """

    url: str
    carries_book: bool


class MarketDataVenue(Protocol):
    """The market data of one venue; every request may raise ``RequestError``."""

    def feeds(self, instrument: Instrument) -> tuple[Feed, ...]:
        """The connections that an instrument needs."""

    async def snapshot(self, requests: Requests, instrument: Instrument) -> bytes:
        """The book of now, as the exchange sends it and the decoder reads it."""

    async def server_ms(self, requests: Requests) -> int:
        """The exchange's time, ms since the epoch."""

    async def traded(self, requests: Requests) -> frozenset[str]:
        """The symbols that the exchange trades at the moment."""
