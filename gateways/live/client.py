"""A WebSocket stream that is kept up: watched, opened again when it ends, and exchanged before the venue ends it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from gateways.live.connection import Connect, Connection, Sink, fastest
from gateways.live.route import Route
from gateways.seldom_log import SeldomLog


class Policy(NamedTuple):
    """How patient a client is; all in seconds."""

    silent_s: float = 10.0
    """A connection that has brought nothing for so long is opened anew."""
    lasts_s: float = 23.5 * 3600
    """A connection is exchanged after so long: venues end them after a day."""
    first_wait_s: float = 0.1
    """Before the second try; doubled for each further one."""
    longest_wait_s: float = 30.0
    snapshot_every_s: float = 1.0
    """Least time between two requests for a snapshot of one book."""


DEFAULT_POLICY: Final = Policy()


class Backoff:
    """Waits that double, from the policy's first to its longest, each drawn from its upper half: so that many clients
    of one venue do not all come back at the same moment."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s

    def next_s(self) -> float:
        """How long to wait now."""
        most_s, self._next_s = self._next_s, min(2 * self._next_s, self._longest_s)
        return random.uniform(most_s / 2, most_s)

    def reset(self) -> None:
        """It went well: the next wait is the first one again."""
        self._next_s = self._first_s


class _Conversation:
    """A sink before the sink: makes messages of frames, and answers those that want it."""

    def __init__(
        self, sink: Sink, unpack: Callable[[bytes], bytes] | None, pong: Callable[[bytes], str] | None
    ) -> None:
        self.connection: Connection | None = None
        self._sink = sink
        self._unpack = unpack
        self._pong = pong

    def take(self, message: bytes, ts: int) -> None:
        """As ``Sink.take``."""
        if self._unpack is not None:
            message = self._unpack(message)
        answer = self._pong(message) if self._pong is not None else ""
        if not answer:
            self._sink.take(message, ts)
        elif self.connection is not None:  # otherwise the next one is early enough
            self.connection.send(answer)

    def flush(self) -> None:
        """As ``Sink.flush``."""
        self._sink.flush()


class Stream:
    """One address, connected.

    What is subscribed is part of the address, or of the greeting, so a new connection has the same streams as the one
    before.

    Parameters
    ----------
    url, route
        Where to connect.
    sink
        Takes the messages.
    on_change
        Called when the stream has come up or gone down.
    policy
        How patient it is.
    connect
        By which library; None: the fastest that is installed.
    log
        Takes a line when the connection was lost, cannot be had, or is there again, and why.
    greeting, ping, renewal, unpack, pong, is_alone
        As a ``Feed`` has them.

    Attributes
    ----------
    opened : int
        Connections made so far.
    failed : int
        Tries to connect that failed.
    silent : int
        Connections that were given up because nothing came.
    last_error : str
        Why the last try failed.
    """

    def __init__(
        self,
        url: str,
        route: Route,
        sink: Sink,
        on_change: Callable[[], None] = lambda: None,
        policy: Policy = DEFAULT_POLICY,
        connect: Connect | None = None,
        greeting: tuple[str, ...] = (),
        ping: str = "",
        renewal: tuple[str, ...] = (),
        unpack: Callable[[bytes], bytes] | None = None,
        pong: Callable[[bytes], str] | None = None,
        is_alone: bool = False,
        *,
        log: SeldomLog | None = None,
    ) -> None:
        self.url = url
        self._log = log or SeldomLog(lambda line: None)
        self._down_s: float | None = None
        self.opened = 0
        self.failed = 0
        self.silent = 0
        self.last_error = ""
        self._route = route
        self._sink = sink
        self._on_change = on_change
        self._policy = policy
        self._connect = connect or fastest()
        self._backoff = Backoff(policy.first_wait_s, policy.longest_wait_s)
        self._held: Connection | None = None
        self._opened_s = 0.0
        self._greeting = greeting
        self._ping = ping
        self._renewal = renewal
        self._unpack = unpack
        self._pong = pong
        self._is_alone = is_alone

    @property
    def is_up(self) -> bool:
        """Whether there is a connection."""
        return self._held is not None and not self._held.ended.done()

    def renew(self) -> bool:
        """Have the whole book come anew, unless the connection is so new that its first one is on its way; whether
        there is a connection."""
        if not self.is_up or self._held is None:
            return False
        if time.monotonic() - self._opened_s >= self._policy.snapshot_every_s:
            for text in self._renewal:
                self._held.send(text)
        return True

    async def run(self) -> None:
        """Keep the stream up until cancelled; raises what the sink raises."""
        try:
            while True:
                await self._exchange(await self._open())
                await self._watch()
        finally:
            self._let_go()

    async def _open(self) -> Connection:
        """A new connection, however many tries it takes."""
        while True:
            try:
                connection = await self._connected()
            except OSError as error:  # a timeout is one too
                self.failed += 1
                self.last_error = f"{self.url}: {str(error) or type(error).__name__}"
                self._is_down(f"cannot connect: {str(error) or type(error).__name__}")
                await asyncio.sleep(self._backoff.next_s())
                continue
            self.opened += 1
            self._opened_s = time.monotonic()
            if self._down_s is not None:
                self._tell(f"connected again after {self._opened_s - self._down_s:.1f} s", "up")
                self._down_s = None
            for text in self._greeting:
                connection.send(text)
            return connection

    async def _connected(self) -> Connection:
        """A new connection, whose frames come to the sink as messages."""
        if self._unpack is None and self._pong is None:
            return await self._connect(self.url, self._route, self._sink)
        sink = _Conversation(self._sink, self._unpack, self._pong)
        sink.connection = await self._connect(self.url, self._route, sink)
        return sink.connection

    async def _exchange(self, successor: Connection) -> None:
        """Let the successor take over: from a connection that is still up only when it brings something itself."""
        held, self._held = self._held, successor
        try:
            if held is not None and not held.ended.done():
                signs = (successor.heard, successor.ended, held.ended)
                await asyncio.wait(signs, timeout=self._policy.silent_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if held is not None:
                held.close()
        successor.ended.add_done_callback(lambda _: self._on_change())
        self._on_change()

    async def _watch(self) -> None:
        """Return when the connection has ended, or is to be exchanged for another one."""
        held = self._held
        assert held is not None
        exchange_s = time.monotonic() + self._policy.lasts_s
        while True:
            now_s = time.monotonic()
            if now_s >= exchange_s:
                if self._is_alone:
                    self._let_go()
                return
            if now_s >= held.heard_s + self._policy.silent_s:
                self.silent += 1
                self._let_go()
                self._is_down(f"lost: nothing came for {self._policy.silent_s:g} s")
                break
            wait_s = min(exchange_s, held.heard_s + self._policy.silent_s) - now_s
            if self._ping:
                wait_s = min(wait_s, self._keep_alive(held, now_s))
            await asyncio.wait((held.ended,), timeout=wait_s)
            if held.ended.done():
                held.ended.result()
                self._is_down(f"lost: {held.why}")
                break
        if held.heard.done():
            self._backoff.reset()
        await asyncio.sleep(self._backoff.next_s())

    def _keep_alive(self, held: Connection, now_s: float) -> float:
        """Send a ping when the connection has been quiet; how long to wait before the next look."""
        quiet_s = self._policy.silent_s / 2
        if now_s >= held.heard_s + quiet_s:
            held.send(self._ping)
            return quiet_s
        return held.heard_s + quiet_s - now_s

    def _is_down(self, what: str) -> None:
        if self._held is not None and not self._held.ended.done():
            return  # its successor cannot be had, and is tried again
        self._down_s = time.monotonic() if self._down_s is None else self._down_s
        self._tell(f"{what}; trying again", "down")

    def _tell(self, what: str, kind: str) -> None:
        self._log.add(f"{kind} {self.url}", f"{self.url}: {what}")

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.close()
            self._on_change()
