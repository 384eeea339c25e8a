"""The contract that every venue's market data keeps: where its streams are, and what is asked by request.

What implements it is named by ``gateways.venues``; messages are decoded by ``gateways.recording``, as recordings are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from gateways.live.requests import Requests
from oms.instruments import Instrument

if TYPE_CHECKING:
    from gateways.live.client import Policy
    from gateways.live.market import Market
    from gateways.live.route import Route
    from gateways.seldom_log import SeldomLog

Ticks = npt.NDArray[np.void]


class Feed(NamedTuple):
    """One connection of an instrument's.

    Attributes
    ----------
    carries_book : bool
        While no such connection is up, the book is stale.
    greeting : tuple of str
        Sent on a new connection: what is wanted of it, where its address does not say that.
    ping : str
        Sent on a connection that has been quiet for half of the client's patience; empty: nothing is.
    renewal : tuple of str
        Sent to have the whole book come anew on the connection; empty: it is asked for by request.
    unpack : callable, optional
        What makes a message of a frame; None: it is one.
    pong : callable, optional
        What is to be answered to a message, which then goes no further; empty text: nothing, as is None.
    is_alone : bool
        The book's numbers are those of one connection, so that there is one at a time: updates of two do not mix.
    """

    url: str
    carries_book: bool
    greeting: tuple[str, ...] = ()
    ping: str = ""
    renewal: tuple[str, ...] = ()
    unpack: Callable[[bytes], bytes] | None = None
    pong: Callable[[bytes], str] | None = None
    is_alone: bool = False


class Checksums(Protocol):
    """What a venue states of its book."""

    def stated(self, message: bytes) -> int | None:
        """What a message says that the book is behind it; None where it says nothing of that."""

    def of(self, instrument: Instrument, book: Ticks) -> int:
        """The same of a book as SNAPSHOT records, bids before asks, best first."""


class MarketDataVenue(Protocol):
    """The market data of one venue; every request may raise ``RequestError``."""

    def feeds(self, instrument: Instrument) -> tuple[Feed, ...]:
        """The connections that an instrument needs."""

    async def snapshot(self, requests: Requests, instrument: Instrument) -> bytes:
        """The book of now, as the exchange sends it and the decoder reads it; of feeds without a renewal."""

    async def server_ms(self, requests: Requests) -> int:
        """The exchange's time, ms since the epoch."""

    async def traded(self, requests: Requests) -> frozenset[str]:
        """The symbols that the exchange trades at the moment."""

    @property
    def checksums(self) -> Checksums | None:
        """How messages state what the book is behind them; None: they do not."""


class Kept(Protocol):
    """A stream that is kept up; see ``gateways.live.client.Stream``, which is one."""

    opened: int
    failed: int
    silent: int

    @property
    def is_up(self) -> bool:
        """Whether there is a connection."""

    async def run(self) -> None:
        """Keep it up until cancelled."""


@runtime_checkable
class Watching(Protocol):
    """A venue whose connections are not ours to open: what comes by them is told to the markets."""

    def streams(self, markets: Sequence[Market], route: Route, policy: Policy, log: SeldomLog) -> Sequence[Kept]:
        """What keeps them up; a connection that was lost, and one that is there again, is told to ``log``."""
