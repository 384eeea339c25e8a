"""The kill switch of last resort: exchanges themselves are asked to cancel everything, until nothing is open.

It needs no core, no rpc, no journal and no settings: the keys and ccxt alone, so that it works where all of those are
dead or hang. An order may be on its way while it looks, so a venue counts as clear only when nothing was open for as
long as the exchange may still take a request that was sent before (``Venue.receive_window_s``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from gateways.credentials import Credentials
from gateways.venues import REQUEST_S, Sandbox, Venue, connected, find_venue, one_line

T = TypeVar("T")
Say = Callable[[str], None]

PAUSE_S: Final = 2.5
"""Between two looks at what is open, and before a request that failed is sent again the first time. A look at the open
orders of all symbols has a weight of 80 at Binance, of 2,400 a minute."""
LONGEST_PAUSE_S: Final = 15.0
"""It doubles up to this, where the exchange does not say how long to wait."""
DEADLINE_S: Final = 120.0

MOST_IN_BATCH: Final = 10
"""Orders that are cancelled at once at an exchange that cannot be asked to cancel all: OKX takes ten of those that wait
for a price, and more of others."""


class OpenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that the exchange has; numbers as it says them."""

    kind: str
    symbol: str
    id: str
    client_id: str
    side: str
    qty: str
    price: str

    @property
    def text(self) -> str:
        name = f" ({self.client_id})" if self.client_id else ""
        return f"{self.kind} {self.id}{name}: {self.side} {self.qty} {self.symbol} at {self.price}"


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """A position that stays: the kill switch closes none."""

    symbol: str
    side: str
    qty: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How one venue stands at the end."""

    venue: str
    is_clear: bool
    """Nothing was open for the venue's receive window."""
    ended: int
    """Orders that were open and are no more: cancelled, or filled before."""
    left: tuple[OpenOrder, ...] = ()
    positions: tuple[Position, ...] = ()
    problem: str = ""
    """Why it is not clear, or what could not be looked at."""


class UnansweredError(Exception):
    """The deadline came before an answer; the message is the last error."""


class KillSwitch:
    """The kill switch of one venue.

    Parameters
    ----------
    venue : Venue
    credentials : Credentials
    sandbox : Sandbox, optional
        Ask it instead of the venue.
    say : callable
        Told what happens, a line at a time.
    deadline_s : float
        Give up after so long, and the venue's receive window, which it looks on for in any case.
    clock : callable
        Seconds that pass; ``sleep`` waits by them.
    """

    def __init__(
        self,
        venue: Venue,
        credentials: Credentials,
        sandbox: Sandbox | None = None,
        *,
        say: Say = lambda line: None,
        deadline_s: float = DEADLINE_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._venue = venue
        self._credentials = credentials
        self._sandbox = sandbox
        self._listener = say
        self._clock = clock
        self._sleep = sleep
        self._until = clock() + venue.receive_window_s + deadline_s
        self._seen: dict[tuple[str, str], OpenOrder] = {}
        self._open: tuple[OpenOrder, ...] = ()
        self._is_clear = False
        self._exchange: Any = None

    async def run(self) -> Verdict:
        """Cancel everything; never raises for what the exchange or the way to it does."""
        positions: tuple[Position, ...] = ()
        problem = ""
        async with connected(self._venue, self._credentials, self._sandbox) as self._exchange:
            try:
                await self._clear()
                if self._venue.has_positions:
                    positions = await self._asked("positions", self._positions)
            except UnansweredError as error:
                problem = str(error)
        return Verdict(
            venue=self._venue.name,
            is_clear=self._is_clear,
            ended=len(self._seen) - len(self._open),
            left=self._open,
            positions=positions,
            problem=problem,
        )

    def _say(self, line: str) -> None:
        self._listener(f"{self._venue.name}: {line}")

    async def _clear(self) -> None:
        """Cancel until nothing has been open for the venue's receive window."""
        if self._venue.unseen_kinds:
            self._say(f"{' and '.join(self._venue.unseen_kinds)} are not looked for: see there yourself")
        since: float | None = None
        asked: tuple[OpenOrder, ...] = ()
        while True:
            self._open = await self._asked("open orders", self._open_orders)
            now = self._clock()
            if self._open:
                since = None
                if self._open == asked:  # the exchange has not done it yet
                    await self._sleep(PAUSE_S)
                asked = self._open
                self._seen |= {(each.kind, each.id): each for each in self._open}
                self._say(f"{len(self._open)} open, cancelling")
                for kind, symbol in sorted({(each.kind, each.symbol) for each in self._open}):
                    await self._asked("cancelling", partial(self._cancel, kind, symbol))
                continue
            if since is None:
                since = now
                self._say(f"nothing is open; looking on for {self._venue.receive_window_s:g} s")
            if now - since >= self._venue.receive_window_s:
                self._is_clear = True
                return
            await self._sleep(PAUSE_S)

    async def _open_orders(self) -> tuple[OpenOrder, ...]:
        found = []
        for kind, parameters in self._order_kinds.items():
            for order in await self._exchange.fetch_open_orders(None, None, None, dict(parameters)):
                found.append(_open_order(kind, order))
        for kind, own in self._venue.own_kinds.items():
            for row in (await getattr(self._exchange, own.opened)({}))["data"]:
                order = {name: row.get(theirs) for name, theirs in own.names.items()}
                order["symbol"] = self._exchange.safe_symbol(row["symbol"])
                found.append(_open_order(kind, order))
        return tuple(found)

    async def _cancel(self, kind: str, symbol: str) -> None:
        """Ask for the end of a symbol's orders of a kind; that there is none any more is as good."""
        from ccxt.base.errors import InvalidOrder  # OrderNotFound too

        ids = [each.id for each in self._open if (each.kind, each.symbol) == (kind, symbol)]
        own = self._venue.own_kinds.get(kind)
        parameters = {} if own else dict(self._order_kinds[kind])
        try:
            if own is not None:
                await getattr(self._exchange, own.cancel)({own.ids: ids})
                return
            if kind in self._venue.cancelled_singly:
                for each in ids:
                    await self._exchange.cancel_order(each, symbol, dict(parameters))
                return
            if self._exchange.has["cancelAllOrders"] is True:
                await self._exchange.cancel_all_orders(symbol, parameters)
                return
            if self._exchange.has["cancelOrders"] is True:
                for first in range(0, len(ids), MOST_IN_BATCH):
                    await self._exchange.cancel_orders(ids[first : first + MOST_IN_BATCH], symbol, parameters)
                return
        except InvalidOrder:
            return
        for order_id in ids:
            with suppress(InvalidOrder):
                await self._exchange.cancel_order(order_id, symbol, parameters)

    @property
    def _order_kinds(self) -> Mapping[str, Mapping[str, Any]]:
        """Those of the venue; where ccxt alone knows whether conditional orders are apart, what it says."""
        venue = self._venue
        if not venue.market or len(venue.order_kinds) > 1:
            return venue.order_kinds
        of_type = ("spot", None) if venue.market == "spot" else ("swap", venue.market)
        is_apart = self._exchange.feature_value_by_type(*of_type, "fetchOpenOrders", "trigger", False)
        return {**venue.order_kinds, **({"conditional order": {"trigger": True}} if is_apart else {})}

    async def _positions(self) -> tuple[Position, ...]:
        return tuple(
            Position(symbol=each["symbol"], side=each["side"], qty=str(each["contracts"]))
            for each in await self._exchange.fetch_positions()
            if each["contracts"]
        )

    async def _asked(self, what: str, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until there is an answer; everything that is asked here may be asked again.

        Raises
        ------
        UnansweredError
            At the deadline, or at once where asking again cannot help: the keys are refused.
        """
        from ccxt.base.errors import (
            ArgumentsRequired,
            AuthenticationError,
            BaseError,
            NotSupported,
            PermissionDenied,
        )

        last, pause_s = "", PAUSE_S
        while self._clock() < self._until:
            try:
                async with asyncio.timeout(REQUEST_S):
                    return await ask()
            except (AuthenticationError, PermissionDenied) as error:
                raise UnansweredError(f"the keys are refused: {one_line(error)}") from None
            except (ArgumentsRequired, NotSupported) as error:
                raise UnansweredError(f"{what} cannot be asked for without a symbol: {one_line(error)}") from None
            except (BaseError, OSError, TimeoutError) as error:
                text = one_line(error)
                if text != last:
                    self._say(f"{what}: {text}; asking again")
                    last = text
                await self._sleep(min(self._told_to_wait_s() or pause_s, max(self._until - self._clock(), 0)))
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        raise UnansweredError(f"the time is over; {what}: {last or 'not asked any more'}")

    def _told_to_wait_s(self) -> float:
        """What the exchange said with its last answer; 0: nothing."""
        headers = self._exchange.last_response_headers or {}
        try:
            return float(headers.get("Retry-After", 0))
        except ValueError:
            return 0.0


def _open_order(kind: str, order: Mapping[str, Any]) -> OpenOrder:
    price = order.get("price") or order.get("triggerPrice") or "the market"
    return OpenOrder(
        kind=kind,
        symbol=str(order["symbol"]),
        id=str(order["id"]),
        client_id=str(order.get("clientOrderId") or ""),
        side=str(order["side"]),
        qty=str(order.get("remaining") or order.get("amount") or ""),
        price=str(price),
    )


async def run_kill_switch(
    venues: Mapping[str, Credentials], sandbox: Sandbox | None = None, *, say: Say, deadline_s: float = DEADLINE_S
) -> list[Verdict]:
    """The kill switch of several venues at once: none waits for another."""
    switches = [
        KillSwitch(venue, credentials, sandbox, say=say, deadline_s=deadline_s)
        for name, credentials in venues.items()
        if (venue := find_venue(name)) is not None
    ]
    return list(await asyncio.gather(*(each.run() for each in switches)))
