"""Sessions: one for each connected client, with a bounded queue, so that a slow one keeps nobody else waiting.

Replies and events go to the ROUTER socket at once when it takes them. Otherwise they wait in the session's queue and
are tried again. A full queue drops events, never replies; the client is told how many and which.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any, NamedTuple

import msgspec
import zmq

from rpc.limits import Limits
from rpc.messages import UNREADABLE, Alive, Error, Events, EventsLost, Push, Reply, RpcCode, encode


class Outgoing(NamedTuple):
    """An encoded message, and how many events it carries, and replies."""

    payload: bytes
    events: int
    replies: int


class Session:
    """One connection of a client.

    Attributes
    ----------
    outstanding : int
        Requests whose replies have not been handed to the socket.
    next_seq : int
        Number of the next event.
    lost, lost_seq : int
        Events dropped since the last one that was queued, and the number of the first of them.
    """

    def __init__(self, identity: bytes, client: str) -> None:
        self.identity = identity
        self.client = client
        self.topics: frozenset[str] = frozenset()
        self.outstanding = 0
        self.next_seq = 0
        self.lost = 0
        self.lost_seq = 0
        self.unnamed_refusals = 0
        self.queue: deque[Outgoing] = deque()
        self.queued_events = 0
        self.batch: list[msgspec.Raw] = []
        self.sent_at = time.monotonic()
        self.gone = False


class Sessions:
    """All sessions of one ROUTER socket, which has ROUTER_MANDATORY set.

    Attributes
    ----------
    by_identity : dict of bytes to Session
    revision : int
        Another one whenever a session came, went or chose other topics.
    dropped, events_sent, unsent, vanished : int
        Events dropped for slow clients; events handed to the socket; replies to unknown connections that could not be
        sent; sessions whose connection has gone.
    """

    def __init__(self, socket: zmq.Socket[Any], limits: Limits) -> None:
        self.by_identity: dict[bytes, Session] = {}
        self.dropped = 0
        self.events_sent = 0
        self.unsent = 0
        self.vanished = 0
        self.revision = 0
        self._socket = socket
        self._limits = limits
        self._waiting: dict[bytes, Session] = {}
        self._alive_due = 0.0

    def __len__(self) -> int:
        return len(self.by_identity)

    @property
    def backlog(self) -> bool:
        """True while something waits for a client that does not take it."""
        return bool(self._waiting)

    def open(self, identity: bytes, client: str) -> Session | None:
        """The session of a connection, new unless it has said Hello before; None when there are too many."""
        session = self.by_identity.get(identity)
        if session is not None and session.client == client:
            return session
        if session is None and len(self.by_identity) >= self._limits.connections:
            return None
        if session is not None:
            self._forget(session)
        session = Session(identity, client)
        self.by_identity[identity] = session
        self.revision += 1
        return session

    def set_topics(self, session: Session, topics: frozenset[str]) -> None:
        """Choose what a session is told from now on."""
        session.topics = topics
        self.revision += 1

    def reply(self, session: Session, reply: Reply) -> None:
        """Send a reply, or queue it behind what already waits; it is never dropped while the client is there."""
        if not session.gone:
            session.queue.append(Outgoing(encode(reply), 0, 1))
            self._flush(session)

    def reply_bytes(self, session: Session, payload: bytes, replies: int) -> None:
        """As ``reply``, for a message that holds several replies, encoded."""
        if not session.gone:
            session.queue.append(Outgoing(payload, 0, replies))
            self._flush(session)

    def reply_to_stranger(self, identity: bytes, reply: Reply) -> None:
        """Send a reply to a connection that has no session, if it takes it at once."""
        self.unsent += self._send(identity, encode(reply)) is not True

    def refuse_unnamed(self, session: Session) -> None:
        """Count a refusal for a client that does not even read its refusals; it gets one reply for all of them."""
        session.unnamed_refusals += 1
        self._waiting[session.identity] = session

    def tell(self, session: Session, body: msgspec.Raw) -> None:
        """Add an event to what the session is sent with the next ``flush``, or drop and count it."""
        seq = session.next_seq
        session.next_seq += 1
        bound = self._limits.queued_events // 2 if session.lost else self._limits.queued_events
        if session.queued_events >= bound:
            if not session.lost:
                session.lost_seq = seq
            session.lost += 1
            self.dropped += 1
        else:
            if session.lost:
                self._queue_loss(session)
            session.batch.append(body)
            session.queued_events += 1
            if len(session.batch) >= self._limits.batch_events:
                self._queue_batch(session)
        self._waiting[session.identity] = session

    def flush(self) -> None:
        """Send what waits, as far as each client takes it."""
        for session in list(self._waiting.values()):
            self._flush(session)

    def probe(self) -> None:
        """Send an Alive to quiet connections, which also finds out those that have vanished."""
        now = time.monotonic()
        if now < self._alive_due:
            return
        self._alive_due = now + self._limits.alive_s / 4
        for session in list(self.by_identity.values()):
            if now - session.sent_at >= self._limits.alive_s and not session.queue:
                self._queue(session, Alive(next_seq=session.next_seq), 0)
                self._flush(session)

    def _queue(self, session: Session, push: Push, events: int) -> None:
        session.queue.append(Outgoing(encode(push), events, 0))

    def _queue_batch(self, session: Session) -> None:
        if session.batch:
            first = session.next_seq - session.lost - len(session.batch)
            self._queue(session, Events(seq=first, events=tuple(session.batch)), len(session.batch))
            session.batch.clear()

    def _queue_loss(self, session: Session) -> None:
        self._queue(session, EventsLost(seq=session.lost_seq, count=session.lost), 0)
        session.lost = 0

    def _flush(self, session: Session) -> None:
        if session.gone:
            return
        self._queue_batch(session)
        while session.queue:
            outgoing = session.queue[0]
            taken = self._send(session.identity, outgoing.payload)
            if taken is None:
                self.vanished += 1
                self._forget(session)
                return
            if not taken:
                self._waiting[session.identity] = session
                return
            session.queue.popleft()
            session.sent_at = time.monotonic()
            session.queued_events -= outgoing.events
            session.outstanding -= outgoing.replies
            self.events_sent += outgoing.events
            if not session.queue:
                self._queue_leftovers(session)
        self._waiting.pop(session.identity, None)

    def _queue_leftovers(self, session: Session) -> None:
        """Once a queue is empty: say what was dropped, and what was refused without a reply of its own."""
        if session.lost:
            self._queue_loss(session)
        if session.unnamed_refusals:
            message = (
                f"{session.unnamed_refusals} requests were refused without a reply each: read the replies, and keep at"
                f" most {self._limits.outstanding} requests unanswered"
            )
            error = Error(request_id=UNREADABLE, code=RpcCode.TOO_MANY_REQUESTS, message=message)
            session.queue.append(Outgoing(encode(error), 0, 0))
            session.unnamed_refusals = 0

    def _send(self, identity: bytes, payload: bytes) -> bool | None:
        """True when the socket took it, False when it is full for this client, None when the client has gone."""
        try:
            self._socket.send(identity, zmq.NOBLOCK | zmq.SNDMORE)
            self._socket.send(payload, zmq.NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return None
        return True

    def _forget(self, session: Session) -> None:
        session.gone = True
        self.revision += 1
        self.by_identity.pop(session.identity, None)
        self._waiting.pop(session.identity, None)
