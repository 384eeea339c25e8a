"""The client's side of the protocol, without input or output: request ids, event numbers, what has gone missing."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import Final, NamedTuple, TypeAlias, TypeVar

import msgspec

from rpc.entities import AnyEvent, Order, Topic
from rpc.messages import (
    BATCH_MAGIC,
    UNREADABLE,
    Alive,
    AnyReply,
    AnyRequest,
    Error,
    Events,
    EventsLost,
    Hello,
    Reply,
    RpcCode,
    Subscribe,
    Subscribed,
    decode_from_server,
    encode,
)

DEFAULT_ENDPOINT: Final = "tcp://127.0.0.1:5570"
DEFAULT_TIMEOUT_S: Final = 5.0
MAX_HELD_EVENTS: Final = 100_000
"""Events held for a caller that does not fetch them; the oldest give way, and their number is told."""

T = TypeVar("T")
ReplyT = TypeVar("ReplyT", bound=Reply)


class RpcError(RuntimeError):
    """The server refused a request.

    Attributes
    ----------
    code : str
        An ``RpcCode`` or the name of an ``oms.records.Reason``.
    order : Order or None
        The order that was refused.
    """

    def __init__(self, code: str, message: str, order: Order | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.order = order


class RpcTimeoutError(RpcError):
    """No reply came in time; a request that changes something may or may not have had effect."""

    def __init__(self, message: str) -> None:
        super().__init__("TIMEOUT", message)


class OutcomeUnknownError(RpcError):
    """The core has not answered in time: the request may or may not have had effect.

    Placing again with the same ``client_order_id`` is safe: it never makes a second order.
    """

    def __init__(self, message: str, client_order_id: str | None = None, order: Order | None = None) -> None:
        super().__init__("UNKNOWN", message, order)
        self.client_order_id = client_order_id


class Call(NamedTuple):
    """A request to be sent, and how long to wait for its reply, s."""

    request: AnyRequest
    timeout: float


Conversation: TypeAlias = Generator[Call, AnyReply, T]
"""Yields calls, is sent their replies, and returns a result; refusals and timeouts are thrown into it."""

Told: TypeAlias = AnyEvent | EventsLost
"""What a subscriber gets: events, and where some are missing an EventsLost."""


class Protocol:
    """One client's state, whatever socket it uses.

    Attributes
    ----------
    topics : set of str
        Subscribed ones; they are subscribed to again after the server was restarted.
    greetings : int
        Times that the server has welcomed this client.
    late_replies, unreadable, lost : int
        Replies that nobody waited for any more; messages that could not be read; events that never came.
    notices : int
        Errors that belong to no request that could be read.
    """

    def __init__(self, client: str, timeout: float) -> None:
        self.client = client
        self.timeout = timeout
        self.topics: set[Topic] = set()
        self.greetings = 0
        self.late_replies = 0
        self.unreadable = 0
        self.notices = 0
        self.lost = 0
        self._request_id = 0
        self._next_seq = 0
        self._events: deque[Told] = deque()
        self._unfetched = 0
        self._batches: deque[bytes] = deque()

    def prepare(self, request: AnyRequest) -> tuple[int, bytes]:
        """The request's new id, and its bytes."""
        self._request_id += 1
        return self._request_id, encode(msgspec.structs.replace(request, request_id=self._request_id))

    def reserve(self, count: int) -> int:
        """The first of ``count`` consecutive request ids."""
        first = self._request_id + 1
        self._request_id += count
        return first

    def next_batch(self) -> bytes | None:
        """A batch of answers that has come, encoded; None when there is none."""
        return self._batches.popleft() if self._batches else None

    def take(self, payload: bytes) -> AnyReply | None:
        """The reply in a message, or None when it was an event or could not be read."""
        if payload.startswith(BATCH_MAGIC):
            self._batches.append(payload)
            return None
        try:
            message = decode_from_server(payload)
        except ValueError:
            self.unreadable += 1
            return None
        if isinstance(message, Events):
            self._take_events(message)
        elif isinstance(message, EventsLost):
            self._skip_to(message.seq)
            self._lose(message.seq, message.count)
        elif isinstance(message, Alive):
            self._skip_to(message.next_seq)
        elif message.request_id == UNREADABLE:
            self.notices += 1
        else:
            return message
        return None

    def hello(self) -> Hello:
        return Hello(request_id=0, client=self.client)

    def welcomed(self) -> Subscribe | None:
        """Take note of a Welcome, and return the subscription to renew, if there is one."""
        self.greetings += 1
        if not self.topics:
            return None
        return Subscribe(request_id=0, topics=tuple(sorted(self.topics)))

    def subscribed(self, reply: Subscribed) -> None:
        """Take over what the server says this connection is told."""
        self.topics = set(reply.topics)

    def forgotten(self) -> None:
        """The server does not know this client any more: events may have been missed, and their numbers restart."""
        self._next_seq = 0
        if self.topics:
            self._hold(EventsLost(seq=0, count=-1, message="the connection was lost, and perhaps events with it"))

    def _take_events(self, message: Events[AnyEvent]) -> None:
        self._skip_to(message.seq)
        self._next_seq = message.seq + len(message.events)
        for event in message.events:
            self._hold(event)

    def _skip_to(self, seq: int) -> None:
        """Notice a gap in the numbers of events."""
        if seq > self._next_seq:
            self._lose(self._next_seq, seq - self._next_seq)

    def _lose(self, seq: int, count: int) -> None:
        self.lost += count
        self._next_seq = seq + count
        self._hold(EventsLost(seq=seq, count=count))

    def _hold(self, event: Told) -> None:
        self._events.append(event)
        if len(self._events) > MAX_HELD_EVENTS:
            self._events.popleft()
            self._unfetched += 1
            self.lost += 1

    def next_event(self) -> Told | None:
        """The next event that has arrived, or None; first of all what was lost because nobody fetched it."""
        if self._unfetched:
            count, self._unfetched = self._unfetched, 0
            return EventsLost(seq=-1, count=count, message="events were not fetched in time: read everything anew")
        return self._events.popleft() if self._events else None


def expect(reply: AnyReply, kind: type[ReplyT]) -> ReplyT:
    """The reply as ``kind``; raises ``RpcError`` when it is another one."""
    if not isinstance(reply, kind):
        raise RpcError("UNEXPECTED_REPLY", f"the server answered with {type(reply).__name__}, not {kind.__name__}")
    return reply


def raise_refusal(reply: AnyReply) -> AnyReply:
    """The reply, unless it is an Error: that is raised as ``RpcError``."""
    if isinstance(reply, Error):
        raise RpcError(reply.code, reply.message, reply.order)
    return reply


def is_stranger(reply: AnyReply) -> bool:
    """Whether the server does not know this connection, because it was restarted."""
    return isinstance(reply, Error) and reply.code == RpcCode.HELLO_REQUIRED
