"""The rpc server: one ROUTER socket for all clients, one loop that never waits for any of them.

Each round takes what has arrived: the core's events, heartbeats, requests. Then the ledger is committed, the new
commands go out in one frame, and clients are sent what they take.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final

import zmq

from oms.algorithms import read_algorithms
from oms.bus import Subscriber, bind, new_socket
from oms.config import ConfigError, Settings
from oms.journal_format import Entry
from oms.journal_reader import EventBlock
from oms.lifecycle import Heartbeat, Lifecycle, decode_heartbeat
from oms.records import RecordKind
from oms.traded import traded_instrument
from rpc.algorithm_terms import TermsBook
from rpc.core_link import CORE, CoreLink
from rpc.event_stream import EventStream
from rpc.feed import Feed
from rpc.journalled_names import JournalledNames
from rpc.ledger import LEDGER_FOLDER, Ledger, LedgerError
from rpc.ledger_rows import Settled
from rpc.limits import DEFAULT_LIMITS, MAX_QUEUED_REQUESTS, MAX_TRANSPORT_BYTES, Limits
from rpc.order_entry import OrderEntry
from rpc.queries import Queries
from rpc.reception import Handler, Reception
from rpc.replica import Replica, event_rows
from rpc.requests import (
    AmendAlgorithm,
    AmendOrder,
    AnyRequest,
    CancelAll,
    CancelOrder,
    GetAlgorithms,
    GetFills,
    GetInstruments,
    GetOrder,
    GetOrders,
    GetPositions,
    GetProgress,
    GetStandings,
    GetStatus,
    Kill,
    PauseAlgorithm,
    Ping,
    PlaceBracket,
    PlaceOco,
    PlaceOrder,
    ReplaceOrder,
    ResumeAlgorithm,
    SetTradingState,
    StartAlgorithm,
)
from rpc.sessions import Sessions
from rpc.views import Views

PAUSE_OF_GC: Final = 100_000
"""New objects between two searches for cycles: they go through every order that is known, and find next to nothing."""
FRAMES_A_ROUND: Final = 256
HEARTBEATS_KEPT: Final = 64
SETTLE_BATCH: Final = 256
TAKEN_TOGETHER: Final = 32
"""Events from which on a block is taken as a whole, when nobody wants them one by one."""
BACKLOG_POLL_MS: Final = 2
PENDING_POLL_MS: Final = 20
STALE_HEARTBEATS: Final = 3
"""Missed heartbeats, and a second, after which the core counts as gone."""

logger: Final = logging.getLogger("zoms.rpc")


def run(settings: Settings, life: Lifecycle, context: zmq.Context[Any]) -> int:
    """Serve clients until told to stop; returns the exit status.

    Raises
    ------
    BusError
        When the endpoint is in use.
    LedgerError
        When the ledger of order ids cannot be opened.
    AlgorithmError
        When an algorithm's file declares something wrongly.
    """
    with Server(settings, life, context) as server:
        server.serve()
    return 0


class Server:
    """The server's sockets and its loop.

    Parameters
    ----------
    limits : Limits
        Bounds of time and memory.

    Attributes
    ----------
    endpoint : str
        As bound: a port of ``*`` is resolved.
    """

    def __init__(
        self, settings: Settings, life: Lifecycle, context: zmq.Context[Any], limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self._malformed = 0
        self._beat_due = 0.0
        self._settings = settings
        self._life = life
        self._limits = limits
        algorithms = read_algorithms(settings.algorithm_files)
        self._ledger = Ledger(settings.account_dir / LEDGER_FOLDER, durable=settings.journal_sync != "os")
        self._events = Subscriber(context, [settings.events_endpoint], [RecordKind.EVENT])
        self._status = new_socket(context, zmq.SUB)
        self._status.setsockopt(zmq.SUBSCRIBE, b"")
        self._status.connect(settings.status_endpoint)
        self._link = CoreLink(
            context,
            settings.core_endpoint,
            STALE_HEARTBEATS * settings.heartbeat_s + 1.0,
            limits.command_life_s,
        )
        self._router = new_socket(context, zmq.ROUTER)
        # No ROUTER_HANDOVER: a stranger must not take over a connection by its identity.
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._router.setsockopt(zmq.SNDHWM, limits.send_hwm)
        self._router.setsockopt(zmq.RCVHWM, MAX_QUEUED_REQUESTS)
        self._router.setsockopt(zmq.MAXMSGSIZE, MAX_TRANSPORT_BYTES)
        self._sessions = Sessions(self._router, limits)
        self._stream = EventStream(settings.journal_dir, self._ledger.replay_from, settings.snapshot_dir)
        definitions = settings.definitions()
        self._replica = Replica(
            definitions,
            accounts=len(settings.accounts),
            closed_limit=limits.closed_orders,
            fill_limit=limits.fills,
        )
        self._terms_book = TermsBook(self._ledger, algorithms)
        self._views = Views(
            settings, definitions, self._ledger, self._replica.terms, self._replica.totals, self._terms_book
        )
        self._feed = Feed(self._sessions, self._views, self._replica)
        self._entry = OrderEntry(
            settings,
            definitions,
            self._ledger,
            self._replica,
            self._views,
            self._link,
            self._sessions,
            limits,
            self._catch_up,
        )
        self._queries = Queries(
            settings,
            definitions,
            self._ledger,
            self._replica,
            self._views,
            self._stream,
            self._link,
            self._entry.own_orders,
        )
        handlers: dict[type[AnyRequest], Handler] = {
            Ping: self._queries.ping,
            PlaceOrder: self._entry.placing.place,
            PlaceBracket: self._entry.placing.place_bracket,
            PlaceOco: self._entry.placing.place_oco,
            ReplaceOrder: self._entry.placing.replace,
            AmendOrder: self._entry.amend,
            StartAlgorithm: self._entry.algorithms.start,
            AmendAlgorithm: self._entry.algorithms.amend,
            PauseAlgorithm: self._entry.algorithms.pause,
            ResumeAlgorithm: self._entry.algorithms.resume,
            CancelOrder: self._entry.cancel,
            CancelAll: self._entry.cancel_all,
            SetTradingState: self._entry.set_trading_state,
            Kill: self._entry.kill,
            GetOrder: self._queries.order,
            GetOrders: self._queries.orders,
            GetFills: self._queries.fills,
            GetAlgorithms: self._queries.algorithms,
            GetProgress: self._queries.progress,
            GetPositions: self._queries.positions,
            GetStandings: self._queries.standings,
            GetStatus: self._queries.status,
            GetInstruments: self._queries.instruments,
        }
        self._reception = Reception(self._router, self._sessions, handlers, limits, self._entry.place_records)
        try:
            self._load()
            self.endpoint = bind(self._router, settings.rpc_endpoint)
        except BaseException:
            self.close()
            raise
        self._take: Final[dict[zmq.Socket[Any], Callable[[], None]]] = {
            self._events.socket: self._take_events,
            self._status: self._take_heartbeats,
            self._router: self._reception.take_messages,
        }
        self._poller = zmq.Poller()
        for socket in self._take:
            self._poller.register(socket, zmq.POLLIN)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the ledger and the sockets."""
        self._settle()
        self._ledger.close()
        self._link.close()
        self._events.close()
        self._status.close()
        self._router.close()

    def serve(self) -> None:
        """Serve until the process is told to stop."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(PAUSE_OF_GC)
        while not self._life.stopping:
            for socket, _ in self._poller.poll(self._poll_ms()):
                self._take[socket]()
            self._entry.dispatch.send_commands()
            self._entry.dispatch.expire()
            self._sessions.flush()
            self._sessions.probe()
            if len(self._replica.closed_own) >= SETTLE_BATCH:
                self._settle()
            self._beat()

    def _poll_ms(self) -> int:
        if self._sessions.backlog:
            return BACKLOG_POLL_MS
        waits = len(self._entry.pending) or len(self._entry.batches)
        return PENDING_POLL_MS if waits else int(self._settings.heartbeat_s * 500)

    # The core's events

    def _load(self) -> None:
        """Look into the stream and build the replica from the journal, before any client can ask."""
        for instrument in self._settings.instruments:
            with suppress(ConfigError):  # asked for by that name it is refused, with the choice
                traded_instrument(self._settings, instrument.symbol)
        names = JournalledNames(self._ledger)

        def take(entry: Entry) -> None:
            names.take(entry)
            self._terms_book.take(entry)

        self._stream.watch = take
        for block in self._stream.read_journal():
            names.give()
            self._terms_book.give()
            self._enter(block.session)
            self._replica.load(block.records)
            self._life.beat(self._counters())
            if self._life.stopping:
                return
        names.give()
        self._terms_book.give()
        self._stream.watch = None
        if names.restored:
            logger.warning("%d orders were missing in the ledger and came back from the journal", names.restored)

    def _take_events(self) -> None:
        for frame in self._events.drain(FRAMES_A_ROUND):
            for block in self._stream.take(frame):
                self._apply(block)

    def _catch_up(self) -> bool:
        for block in self._stream.read_journal():
            self._apply(block)
        return self._stream.complete

    def _apply(self, block: EventBlock) -> None:
        self._enter(block.session)
        self._entry.batches.settle(block.records)
        if len(block.records) >= TAKEN_TOGETHER and not len(self._entry.pending) and not self._feed.has_takers:
            self._replica.load(block.records)
            return
        for row, record in event_rows(block.records):
            if self._replica.is_usable(row):
                self._replica.apply(row, record)
                self._feed.publish(row, record)
            self._entry.settle(row)

    def _enter(self, session: int) -> None:
        """When another core session begins, what the one before left goes to the ledger."""
        if session == self._replica.session:
            return
        self._replica.enter(session)
        if self._settle() and not self._replica.open:  # orders in the core's keeping are told of where they began
            self._ledger.replay_from = session
            self._ledger.commit()

    def _settle(self) -> bool:
        """Write the last events of own orders that were closed to the ledger; False when the disk refuses."""
        closed, self._replica.closed_own = self._replica.closed_own, []
        try:
            self._ledger.settle(Settled(order_id, order.session, order.record) for order_id, order in closed)
            self._ledger.commit()
        except LedgerError:
            self._replica.closed_own = closed
            self._entry.dispatch.failed_writes += 1
            return False
        return True

    def _take_heartbeats(self) -> None:
        for _ in range(FRAMES_A_ROUND):
            try:
                heartbeat = decode_heartbeat(self._status.recv(zmq.NOBLOCK))
            except zmq.Again:
                return
            if heartbeat is None:
                self._malformed += 1
            else:
                self._hear(heartbeat)

    def _hear(self, heartbeat: Heartbeat) -> None:
        heartbeats = self._queries.heartbeats
        if heartbeat.process in heartbeats or len(heartbeats) < HEARTBEATS_KEPT:
            heartbeats[heartbeat.process] = heartbeat
        if self._link.hear(heartbeat):
            self._catch_up()
        if heartbeat.process == CORE and heartbeat.counters.get("events", 0) > self._stream.next_seq:
            self._take_events()
            if heartbeat.counters["events"] > self._stream.next_seq:
                self._catch_up()  # the last events were lost, and none has followed that would show the gap
        self._feed.publish_process(heartbeat, (time.time_ns() - heartbeat.ts) / 1e9)

    def _beat(self) -> None:
        """What is done now and then, however much there is to do besides."""
        now = time.monotonic()
        if now >= self._beat_due:
            self._beat_due = now + self._settings.heartbeat_s / 4
            self._settle()
            self._ledger.sync_soon()
            self._ledger.learn()
            self._stream.follow()
            self._life.beat(self._counters(), "ready")

    def _counters(self) -> dict[str, float]:
        return {
            "clients": len(self._sessions),
            "requests": self._reception.requests,
            "malformed": self._reception.malformed + self._events.malformed + self._malformed,
            "commands": self._link.sent,
            "pending": len(self._entry.pending) + len(self._entry.batches),
            "unanswered": self._entry.dispatch.unanswered + self._entry.batches.unanswered,
            "open_orders": len(self._replica.open),
            "known_orders": len(self._replica.orders),
            "events": self._stream.next_seq,
            "events_mended": self._stream.mended,
            "lost": self._stream.lost,
            "unusable": self._replica.unusable,
            "events_sent": self._sessions.events_sent,
            "events_dropped": self._sessions.dropped,
            "vanished": self._sessions.vanished,
            "unsent": self._sessions.unsent,
            "failed_writes": self._entry.dispatch.failed_writes
            + self._ledger.failed_checkpoints
            + self._terms_book.failed_writes,
            "internal_errors": self._reception.internal_errors,
        }
