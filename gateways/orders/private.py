"""The private stream, through ccxt.pro: every message is taken as it comes, and its loss is noticed.

ccxt's own ``watch_orders`` is not used, for it loses wake-ups: its ``handle_message`` is replaced. The stream's key is
asked for and kept here, so that each end, whichever way it comes (a closed connection, a key that has expired or cannot
be kept, a message that never came), leads to a new key and a new connection. After each the account is reconciled
before anything is believed again, for nothing is replayed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Protocol, runtime_checkable

from gateways.orders.clock import Clock
from gateways.orders.outcomes import REQUEST_ERRORS, told_text
from gateways.orders.venue import Venue
from gateways.orders.views import Notice, Told

KEEP_S: Final = 20 * 60.0
"""Between two renewals of the key, which lasts an hour."""

BACKOFF_S: Final = (0.0, 0.5, 1.0, 2.0, 5.0)
"""Before each new attempt; the last one again and again."""

GREETING_S: Final = 10.0
"""How long the exchange may take to let a new connection hear the account's events."""

MOST_MISSED: Final = 3
"""Events in a row that an answer told of and the stream did not, before it is taken for dead."""


@runtime_checkable
class Watched(Protocol):
    """A venue whose private stream is ccxt's to open and to understand.

    Attributes
    ----------
    late_s : float
        How long it may bring nothing while it owes events: only then are those missed, and not merely late.
    """

    late_s: float

    async def watch(self, take: Callable[[Told], None], is_open: Callable[[], None]) -> None:
        """One connection, from its making to its end, which raises.

        Parameters
        ----------
        take
            Takes what it says.
        is_open
            To be called once the account's events come.
        """


class PrivateStream:
    """Keeps one account's stream open.

    Parameters
    ----------
    venue, exchange
        The venue, and its ccxt.
    take
        Takes what each message says.
    on_open, on_lost
        Awaited when a connection is there; called when it is lost.

    Attributes
    ----------
    connections, messages : int
        How many there were.
    is_open : bool
    """

    def __init__(
        self,
        venue: Venue,
        exchange: Any,
        clock: Clock,
        take: Callable[[Told], None],
        on_open: Callable[[], Awaitable[None]],
        on_lost: Callable[[str], None],
    ) -> None:
        self._venue = venue
        self._exchange = exchange
        self._clock = clock
        self._take = take
        self._on_open = on_open
        self._on_lost = on_lost
        self._broken = asyncio.Event()
        self._why = ""
        self._missed = 0
        self._missed_s = 0.0
        """When the first of them was."""
        self._late_s = venue.late_s if isinstance(venue, Watched) else 0.0
        self._has_ended = False
        self.connections = 0
        self.messages = 0
        self.is_open = False
        if not isinstance(venue, Watched):
            exchange.handle_message = self._handle

    async def run(self) -> None:
        """Keep a stream open until cancelled."""
        failures = 0
        while True:
            await self._clock.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
            try:
                was_open = await (
                    self._connect_and_watch(self._venue)
                    if isinstance(self._venue, Watched)
                    else self._connect_and_listen()
                )
                failures = 0 if was_open else failures + 1
            except REQUEST_ERRORS as error:
                self._why = told_text(error)
                failures += 1
            self.is_open = False
            self._on_lost(self._why)

    def end(self) -> None:
        """Take nothing more, whatever a connection still brings."""
        self._has_ended = True

    def doubt(self) -> None:
        """An answer told of something that should have come here by now."""
        now_s = self._clock.now_s()
        self._missed += 1
        if self._missed == 1:
            self._missed_s = now_s
        if self._missed >= MOST_MISSED and now_s - self._missed_s >= self._late_s:
            self.drop("events do not come")

    def drop(self, why: str) -> None:
        """End the connection; another one is opened."""
        self._why = why
        self._broken.set()

    async def _connect_and_listen(self) -> bool:
        """One connection, from its key to its end; whether it was ever open."""
        self._broken.clear()
        self._missed = 0
        address = await self._venue.new_stream()
        ended = self._exchange.watch(address, "private", None, "private")
        client = self._exchange.clients[address]
        watching = asyncio.ensure_future(_end_of(ended))
        opening = asyncio.ensure_future(_end_of(client.connected))
        breaking = asyncio.ensure_future(self._broken.wait())
        keeping = asyncio.ensure_future(self._keep())
        tasks = (watching, opening, breaking, keeping)
        try:
            await asyncio.wait((watching, opening), return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                self._why = watching.result()
                return False
            async with asyncio.timeout(GREETING_S):
                await self._venue.greet(client.send)
            self.connections += 1
            self.is_open = True
            await self._on_open()
            await asyncio.wait((watching, breaking, keeping), return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                self._why = watching.result()
            return True
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._exchange.clients.pop(address, None)
            with suppress(*REQUEST_ERRORS):
                await client.close()

    async def _connect_and_watch(self, venue: Watched) -> bool:
        """As ``_connect_and_listen``, of a connection that is ccxt's."""
        self._broken.clear()
        self._missed = 0
        opened = asyncio.Event()
        connection = asyncio.ensure_future(venue.watch(self._hear, opened.set))
        watching = asyncio.ensure_future(_end_of(connection))
        opening = asyncio.ensure_future(opened.wait())
        breaking = asyncio.ensure_future(self._broken.wait())
        tasks = (connection, watching, opening, breaking)
        try:
            await asyncio.wait((watching, opening), timeout=GREETING_S, return_when=asyncio.FIRST_COMPLETED)
            if opened.is_set() and not watching.done():
                self.connections += 1
                self.is_open = True
                await self._on_open()
                await asyncio.wait((watching, breaking), return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                self._why = watching.result()
            return self.is_open
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _hear(self, told: Told) -> None:
        if not self._has_ended:
            self.messages += 1
            self._missed = 0
            self._take(told)

    async def _keep(self) -> None:
        """Renew the key until that is refused."""
        while True:
            await self._clock.sleep(KEEP_S)
            try:
                await self._venue.keep_stream()
            except REQUEST_ERRORS as error:
                self._why = f"the key could not be kept: {told_text(error)}"
                return

    def _handle(self, client: Any, message: Any) -> None:
        if self._has_ended:
            return
        client.lastPong = self._exchange.milliseconds()  # else ccxt ends the connection: some pongs are mere texts
        self.messages += 1
        for each in self._venue.told(message):
            if each is Notice.STREAM_ENDED:
                self.drop("the key has expired")
            else:
                self._missed = 0
                self._take(each)


async def _end_of(future: Any) -> str:
    """Wait until a future of ccxt's is done, and say how."""
    try:
        await asyncio.shield(future)
    except REQUEST_ERRORS as error:
        return told_text(error)
    return ""
