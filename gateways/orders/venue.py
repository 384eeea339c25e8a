"""The contract that every venue's order side keeps: requests of ours to the exchange, its words in our integers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

from gateways.credentials import Credentials
from gateways.orders.clock import Clock
from gateways.orders.known import Order
from gateways.orders.limiter import Limiter
from gateways.orders.outcomes import Codes
from gateways.orders.views import FillView, FundingView, OrderView, PositionView, Told
from oms.instruments import Instrument
from oms.records import Reason


class CommandError(ValueError):
    """An order that this venue cannot be asked for; ``reason`` is its code."""

    def __init__(self, message: str, reason: Reason) -> None:
        super().__init__(message)
        self.reason = reason


Send = Callable[[Any], Awaitable[None]]
"""Sends a message, an object of JSON, on the private stream."""


class Page(NamedTuple):
    """Fills in the order of their trade ids; ``is_last``: there were no more when it was made."""

    fills: list[FillView]
    is_last: bool


class Venue(Protocol):
    """One account at one exchange.

    Every request waits for its turn with the limiter, and ends in an answer or in one of
    ``gateways.orders.outcomes.REQUEST_ERRORS``. Nothing is ever sent again by itself.
    """

    limiter: Limiter
    patience_s: float | None
    """How long a new order or an amend waits for its turn before it is refused; None: as long as it takes."""

    @property
    def tells_fills(self) -> bool:
        """Whether the private stream brings fills with what they cost: otherwise they are asked for."""

    @property
    def tells_why(self) -> bool:
        """Whether the exchange says why it ended a post-only order: otherwise it is told as cancelled."""

    @property
    def codes(self) -> Codes:
        """What the venue's error codes mean."""

    @property
    def receive_window_s(self) -> float:
        """How old a request may be when the exchange takes it: later it is sure that it never will."""

    async def open(self) -> None:
        """Learn the clock, and check that the venue's contracts are the session's; raises ``ValueError``."""

    async def close(self) -> None:
        """End all connections."""

    async def set_clock(self) -> None:
        """Learn by how much the exchange's clock differs."""

    def check(self, order: Order) -> None:
        """Raise ``CommandError`` for an order that cannot be asked for here."""

    def check_amend(self, order: Order, px: int, qty: int) -> None:
        """Raise ``CommandError`` for terms that an order cannot be given here."""

    async def place(self, order: Order) -> OrderView | None:
        """Ask for an order; None: an answer that says nothing of it."""

    async def amend(self, order: Order, px: int, qty: int) -> OrderView | None:
        """Ask for another price and quantity in all."""

    async def cancel(self, order: Order) -> OrderView | None:
        """Ask for an order's end."""

    async def cancel_all(self, instrument: Instrument) -> None:
        """Ask for the end of all orders of an instrument, whosever they are."""

    async def query(self, order: Order) -> OrderView:
        """An order as it stands."""

    async def query_by_venue_id(self, instrument: Instrument, venue_order_id: int) -> OrderView:
        """The same, by the exchange's own id."""

    async def open_orders(self, instrument: Instrument) -> list[OrderView]:
        """All that are open."""

    async def fills_of(self, order: Order) -> list[FillView]:
        """All fills of an order whose id at the venue is known."""

    async def fills_from(self, instrument: Instrument, trade_id: int | None) -> Page:
        """The account's fills from a trade id on; None: the latest ones."""

    async def positions(self) -> list[PositionView]:
        """Positions in the session's instruments; one that is not listed is flat, and of spot there are none."""

    async def balances(self) -> dict[str, int]:
        """Cash by currency."""

    async def fundings_since(self, ts: int) -> list[FundingView]:
        """Payments of funding since a time, ns."""

    async def arm(self, instrument: Instrument, seconds: float) -> None:
        """Have the exchange cancel all orders of an instrument, unless it is told again within so long; 0: no more.

        Nothing where the exchange has no such switch.
        """

    async def new_stream(self) -> str:
        """The address of a new private stream."""

    async def greet(self, send: Send) -> None:
        """Have the account's events come on a stream that has just been opened; returns once they will."""

    async def keep_stream(self) -> None:
        """Keep it for longer."""

    def told(self, message: Any) -> list[Told]:
        """What a message of the private stream says: of one order its fills before what it comes to by them."""


class VenueType(Protocol):
    """What ``gateways.venues`` names for orders: a ``Venue``'s class."""

    @staticmethod
    def new_exchange(credentials: Credentials, session: Any = None) -> Any:
        """An unmodified ccxt.pro exchange for it: its own rate limiter off, nothing sent twice.

        Parameters
        ----------
        session
            An ``aiohttp.ClientSession`` to go through, its maker's to close; None: ccxt makes its own.
        """

    def __call__(self, exchange: Any, instruments: tuple[Instrument, ...], clock: Clock) -> Venue:
        """A venue that asks through such an exchange, of the session's instruments there."""
