"""Clients: ``Client`` for ordinary code, ``AsyncClient`` for asyncio. Both have the same methods.

>>> with Client("my-desk") as client:                                           # doctest: +SKIP
...     order = client.place("BTCUSDT", "buy", "0.001", "61800.0", retries=2)
...     client.cancel(order_id=order.order_id)

A call that times out leaves the connection usable: its late reply is dropped and counted. Nothing is sent, or kept to
be sent later, while the server is not there. After a restart of the server the client says Hello and subscribes again
by itself, and whoever reads its events is told that some may be missing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import zmq
import zmq.asyncio

from rpc import algorithm_calls, conversations, placements
from rpc.messages import AnyReply
from rpc.protocol import (
    DEFAULT_ENDPOINT,
    DEFAULT_TIMEOUT_S,
    Call,
    Conversation,
    OutcomeUnknownError,
    Protocol,
    RpcError,
    RpcTimeoutError,
    Told,
    is_stranger,
    raise_refusal,
)
from rpc.requests import AnyRequest

__all__ = ["AsyncClient", "Client", "OutcomeUnknownError", "RpcError", "RpcTimeoutError", "terms"]

terms = placements.terms

CHECK_S: Final = 1.0
"""While no event comes, the server is asked this often whether it is there and still knows the client."""

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    conversation: Callable[Concatenate[Protocol, P], Conversation[T]],
) -> Callable[Concatenate[Client, P], T]:
    """A conversation as a method of ``Client``."""

    @wraps(conversation)
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._hold(conversation(self.protocol, *args, **kwargs))

    return method


def _awaitable(
    conversation: Callable[Concatenate[Protocol, P], Conversation[T]],
) -> Callable[Concatenate[AsyncClient, P], Awaitable[T]]:
    """A conversation as a coroutine of ``AsyncClient``."""

    @wraps(conversation)
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._hold(conversation(self.protocol, *args, **kwargs))

    return method


def _dealer(context: zmq.Context[Any], endpoint: str) -> Any:
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.IMMEDIATE, 1)  # a request must not wait in the socket for a server that is not there
    socket.connect(endpoint)
    return socket


def no_connection(endpoint: str, seconds: float) -> RpcTimeoutError:
    return RpcTimeoutError(f"no rpc server at {endpoint} within {seconds:.3g} s, nothing was sent: is zoms running?")


def _no_reply(request: AnyRequest, seconds: float) -> RpcTimeoutError:
    return RpcTimeoutError(f"no reply to {type(request).__name__} within {seconds:.3g} s")


class Client:
    """A client that waits for each reply. It belongs to one thread.

    Parameters
    ----------
    name : str
        Owner of the orders; the same name finds them again, also from another process.
    endpoint : str
        The server's.
    timeout : float
        For each call that gives none of its own, s.

    Attributes
    ----------
    protocol : Protocol
        Counters: late replies, lost events, greetings.

    Raises
    ------
    RpcTimeoutError
        When there is no server.
    RpcError
        When it refuses this client.
    """

    place = _blocking(placements.place)
    bracket = _blocking(placements.bracket)
    oco = _blocking(placements.oco)
    replace = _blocking(placements.replace)
    amend = _blocking(conversations.amend)
    start_algorithm = _blocking(algorithm_calls.start_algorithm)
    amend_algorithm = _blocking(algorithm_calls.amend_algorithm)
    pause = _blocking(algorithm_calls.pause)
    resume = _blocking(algorithm_calls.resume)
    algorithms = _blocking(algorithm_calls.algorithms)
    progress = _blocking(algorithm_calls.progress)
    all_progress = _blocking(algorithm_calls.all_progress)
    cancel = _blocking(conversations.cancel)
    cancel_all = _blocking(conversations.cancel_all)
    set_trading_state = _blocking(conversations.set_trading_state)
    kill = _blocking(conversations.kill)
    order = _blocking(conversations.order)
    orders = _blocking(conversations.orders)
    fills = _blocking(conversations.fills)
    positions = _blocking(conversations.positions)
    standings = _blocking(conversations.standings)
    instruments = _blocking(conversations.instruments)
    status = _blocking(conversations.status)
    ping = _blocking(conversations.ping)
    subscribe = _blocking(conversations.subscribe)
    unsubscribe = _blocking(conversations.unsubscribe)

    def __init__(self, name: str, endpoint: str = DEFAULT_ENDPOINT, *, timeout: float = DEFAULT_TIMEOUT_S) -> None:
        self.endpoint = endpoint
        self.protocol = Protocol(name, timeout)
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket = _dealer(self._context, endpoint)
        try:
            self._greet(time.monotonic() + timeout)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
        self._context.term()

    def events(self, timeout: float | None = None) -> Iterator[Told]:
        """Yield what the subscribed topics bring, until nothing has come for ``timeout`` seconds (None: for ever).

        An ``EventsLost`` stands where events are missing: because this client was too slow, or because the server was
        away; it is connected to again by itself.
        """
        quiet_since = time.monotonic()
        while True:
            event = self.protocol.next_event()
            if event is not None:
                yield event
                quiet_since = time.monotonic()
                continue
            left = CHECK_S if timeout is None else quiet_since + timeout - time.monotonic()
            if left <= 0:
                self._take_arrived()
                event = self.protocol.next_event()
                if event is None:
                    return
                yield event
            elif not self._socket.poll(int(min(left, CHECK_S) * 1000) + 1):
                self._check()
            self._take_arrived()

    def _check(self) -> None:
        """Ask the server whether it is there; a restarted one is greeted by the way."""
        try:
            self.ping(timeout=CHECK_S)
        except RpcTimeoutError:
            return  # it is away: ask again later

    def _take_arrived(self) -> None:
        while self._socket.poll(0):
            reply = self.protocol.take(self._socket.recv())
            self.protocol.late_replies += reply is not None

    def _hold(self, conversation: Conversation[T]) -> T:
        try:
            call = next(conversation)
            while True:
                try:
                    reply = raise_refusal(self._exchange(call))
                except RpcError as error:
                    call = conversation.throw(error)
                else:
                    call = conversation.send(reply)
        except StopIteration as end:
            result: T = end.value
            return result

    def _exchange(self, call: Call) -> AnyReply:
        deadline = time.monotonic() + call.timeout
        reply = self._ask(call.request, deadline)
        if is_stranger(reply):
            self.protocol.forgotten()
            self._greet(deadline)
            reply = self._ask(call.request, deadline)
        return reply

    def _greet(self, deadline: float) -> None:
        raise_refusal(self._ask(self.protocol.hello(), deadline))
        renewal = self.protocol.welcomed()
        if renewal is not None:
            raise_refusal(self._ask(renewal, deadline))

    def _ask(self, request: AnyRequest, deadline: float) -> AnyReply:
        started = time.monotonic()
        request_id, payload = self.protocol.prepare(request)
        try:
            self._socket.setsockopt(zmq.SNDTIMEO, ms_until(deadline))
            self._socket.send(payload)
        except zmq.Again:
            raise no_connection(self.endpoint, deadline - started) from None
        while True:
            try:
                self._socket.setsockopt(zmq.RCVTIMEO, ms_until(deadline))
                message = self._socket.recv()
            except zmq.Again:
                raise _no_reply(request, deadline - started) from None
            reply = self.protocol.take(message)
            if reply is not None and reply.request_id == request_id:
                return reply
            self.protocol.late_replies += reply is not None


def ms_until(deadline: float) -> int:
    return max(int((deadline - time.monotonic()) * 1000), 0)


class AsyncClient:
    """A client for asyncio: any number of calls may be under way at once.

    Parameters as for ``Client``; it connects when it is entered (``async with``), or by ``connect``.
    """

    place = _awaitable(placements.place)
    bracket = _awaitable(placements.bracket)
    oco = _awaitable(placements.oco)
    replace = _awaitable(placements.replace)
    amend = _awaitable(conversations.amend)
    start_algorithm = _awaitable(algorithm_calls.start_algorithm)
    amend_algorithm = _awaitable(algorithm_calls.amend_algorithm)
    pause = _awaitable(algorithm_calls.pause)
    resume = _awaitable(algorithm_calls.resume)
    algorithms = _awaitable(algorithm_calls.algorithms)
    progress = _awaitable(algorithm_calls.progress)
    all_progress = _awaitable(algorithm_calls.all_progress)
    cancel = _awaitable(conversations.cancel)
    cancel_all = _awaitable(conversations.cancel_all)
    set_trading_state = _awaitable(conversations.set_trading_state)
    kill = _awaitable(conversations.kill)
    order = _awaitable(conversations.order)
    orders = _awaitable(conversations.orders)
    fills = _awaitable(conversations.fills)
    positions = _awaitable(conversations.positions)
    standings = _awaitable(conversations.standings)
    instruments = _awaitable(conversations.instruments)
    status = _awaitable(conversations.status)
    ping = _awaitable(conversations.ping)
    subscribe = _awaitable(conversations.subscribe)
    unsubscribe = _awaitable(conversations.unsubscribe)

    def __init__(self, name: str, endpoint: str = DEFAULT_ENDPOINT, *, timeout: float = DEFAULT_TIMEOUT_S) -> None:
        self.endpoint = endpoint
        self.protocol = Protocol(name, timeout)
        self._context: zmq.asyncio.Context = zmq.asyncio.Context()
        self._socket = _dealer(self._context, endpoint)
        self._waiting: dict[int, asyncio.Future[AnyReply]] = {}
        self._arrived = asyncio.Event()
        self._greeting = asyncio.Lock()
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> AsyncClient:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self) -> None:
        """Connect and say Hello; raises as ``Client`` does."""
        self._reader = asyncio.create_task(self._read())
        try:
            await self._greet(time.monotonic() + self.protocol.timeout)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        for future in self._waiting.values():
            future.cancel()
        self._socket.close()
        self._context.term()

    async def events(self, timeout: float | None = None) -> AsyncIterator[Told]:
        """As ``Client.events``."""
        quiet_since = time.monotonic()
        while True:
            event = self.protocol.next_event()
            if event is not None:
                yield event
                quiet_since = time.monotonic()
                continue
            left = CHECK_S if timeout is None else quiet_since + timeout - time.monotonic()
            if left <= 0:
                return
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), min(left, CHECK_S))
            except TimeoutError:
                await self._check()

    async def _check(self) -> None:
        try:
            await self.ping(timeout=CHECK_S)
        except RpcTimeoutError:
            return  # it is away: ask again later

    async def _read(self) -> None:
        while True:
            reply = self.protocol.take(await self._socket.recv())
            self._arrived.set()
            if reply is None:
                continue
            future = self._waiting.pop(reply.request_id, None)
            if future is None or future.done():
                self.protocol.late_replies += 1
            else:
                future.set_result(reply)

    async def _hold(self, conversation: Conversation[T]) -> T:
        try:
            call = next(conversation)
            while True:
                try:
                    reply = raise_refusal(await self._exchange(call))
                except RpcError as error:
                    call = conversation.throw(error)
                else:
                    call = conversation.send(reply)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _exchange(self, call: Call) -> AnyReply:
        deadline = time.monotonic() + call.timeout
        greetings = self.protocol.greetings
        reply = await self._ask(call.request, deadline)
        if is_stranger(reply):
            async with self._greeting:
                if greetings == self.protocol.greetings:  # no other call has greeted meanwhile
                    self.protocol.forgotten()
                    await self._greet(deadline)
            reply = await self._ask(call.request, deadline)
        return reply

    async def _greet(self, deadline: float) -> None:
        raise_refusal(await self._ask(self.protocol.hello(), deadline))
        renewal = self.protocol.welcomed()
        if renewal is not None:
            raise_refusal(await self._ask(renewal, deadline))

    async def _ask(self, request: AnyRequest, deadline: float) -> AnyReply:
        started = time.monotonic()
        request_id, payload = self.protocol.prepare(request)
        future: asyncio.Future[AnyReply] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = future
        try:
            try:
                await asyncio.wait_for(self._socket.send(payload), deadline - time.monotonic())
            except TimeoutError:
                raise no_connection(self.endpoint, deadline - started) from None
            try:
                return await asyncio.wait_for(future, deadline - time.monotonic())
            except TimeoutError:
                raise _no_reply(request, deadline - started) from None
        finally:
            self._waiting.pop(request_id, None)
