"""The feed: tells each subscriber what happened, and nobody what is another's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from oms.lifecycle import Heartbeat
from oms.record_fields import EventFields
from oms.records import ORDER_EVENTS, EventKind
from rpc.entities import (
    EventBody,
    FillEvent,
    OrderEvent,
    PositionEvent,
    Process,
    ProcessEvent,
    ProgressEvent,
    StandingEvent,
)
from rpc.messages import encode
from rpc.progress import progress_of
from rpc.replica import KnownFill, Replica
from rpc.sessions import Session, Sessions
from rpc.views import EVENT_KINDS, REASONS, Views

ALL: Final = "all"
OF_OWNERS: Final = ("orders", "fills", "progress")
"""Topics of which a session takes its client's own alone."""
_TOPICS: Final[dict[int, str]] = {
    **{int(kind): "orders" for kind in ORDER_EVENTS},
    int(EventKind.POSITION): "positions",
    int(EventKind.TRADING_STATE): "status",
    int(EventKind.SCOPE): "standings",
    int(EventKind.STRATEGY_HALTED): "logs",
    int(EventKind.BOOK_STATE): "logs",
    int(EventKind.LOG): "logs",
    int(EventKind.REPORT_IGNORED): "logs",
    **{
        int(kind): "logs"
        for kind in (
            EventKind.FUNDING,
            EventKind.POSITION_ADOPTED,
            EventKind.BALANCE,
            EventKind.SETTLED,
            EventKind.KILLED,
            EventKind.INSTRUMENT,
            EventKind.DEFINITION_REFUSED,
            EventKind.LEG_TURNED,
            EventKind.ORDER_ENTRY,
        )
    },
}
assert set(_TOPICS) == {int(kind) for kind in EventKind}


class Feed:
    """Turns events into messages, each once however many sessions take it, and only when one does."""

    def __init__(self, sessions: Sessions, views: Views, replica: Replica) -> None:
        self._sessions = sessions
        self._views = views
        self._replica = replica
        self._revision = -1
        self._by_topic: dict[str, list[Session]] = {}
        self._by_owner: dict[tuple[str, str], list[Session]] = {}

    @property
    def has_takers(self) -> bool:
        """Whether any session is told of anything."""
        self._follow_sessions()
        return bool(self._by_topic or self._by_owner)

    def publish(self, row: EventFields, record: bytes) -> None:
        """Tell the subscribers of one event, which the replica has taken already."""
        self._follow_sessions()
        if not self._by_topic and not self._by_owner:
            return
        topic = _TOPICS[row.kind]
        if topic != "orders":
            self._tell(self._by_topic.get(topic, ()), lambda: self._body(row))
            return
        self._tell(self._takers("orders", row.order_id), lambda: self._order_event(row))
        if row.kind == EventKind.ORDER_FILLED:
            fill = KnownFill(self._replica.session, record)
            self._tell(self._takers("fills", row.order_id), lambda: FillEvent(fill=self._views.fill(fill, row)))
        elif row.kind == EventKind.PROGRESS:
            progress = self._takers("progress", row.order_id)
            self._tell(progress, lambda: ProgressEvent(progress=progress_of(self._views, row, row)))

    def publish_process(self, heartbeat: Heartbeat, age_s: float) -> None:
        """Tell the subscribers of a process's sign of life."""
        self._follow_sessions()
        self._tell(self._by_topic.get("status", ()), lambda: ProcessEvent(process=process_of(heartbeat, age_s)))

    def _takers(self, topic: str, order_id: int) -> Iterable[Session]:
        client = self._views.client(order_id)
        owners = self._by_owner.get((topic, client), ()) if client is not None else ()
        return (*owners, *self._by_topic.get(topic, ()))

    def _tell(self, sessions: Iterable[Session], make: Callable[[], EventBody | None]) -> None:
        raw: msgspec.Raw | None = None
        for session in sessions:
            if raw is None:
                body = make()
                if body is None:
                    return
                raw = msgspec.Raw(encode(body))
            self._sessions.tell(session, raw)

    def _order_event(self, row: EventFields) -> OrderEvent | None:
        known = self._replica.orders.get(row.order_id)
        if known is None:
            return None  # a refused request about an order that never was
        order = self._views.order(row.order_id, known, is_open=row.order_id in self._replica.open)
        return OrderEvent(kind=EVENT_KINDS[row.kind], reason=REASONS.get(row.reason, str(row.reason)), order=order)

    def _body(self, row: EventFields) -> EventBody:
        if row.kind == EventKind.POSITION:
            return PositionEvent(position=self._views.position(row))
        if row.kind == EventKind.SCOPE:
            trading = self._replica.trading_state(row.aux)
            return StandingEvent(standing=self._views.standing(row.aux, row, trading))
        if row.kind == EventKind.TRADING_STATE:
            return self._views.trading_state(row)
        return self._views.log(row)

    def _follow_sessions(self) -> None:
        """Sort the sessions by what they take; own orders, fills and progress by owner."""
        if self._revision == self._sessions.revision:
            return
        self._revision = self._sessions.revision
        by_topic: dict[str, list[Session]] = defaultdict(list)
        by_owner: dict[tuple[str, str], list[Session]] = defaultdict(list)
        for session in self._sessions.by_identity.values():
            takes_all = ALL in session.topics
            for topic in OF_OWNERS:
                if takes_all:
                    by_topic[topic].append(session)
                elif topic in session.topics:
                    by_owner[topic, session.client].append(session)
            for topic in ("positions", "standings", "logs", "status"):
                if takes_all or topic in session.topics:
                    by_topic[topic].append(session)
        self._by_topic = dict(by_topic)
        self._by_owner = dict(by_owner)


def process_of(heartbeat: Heartbeat, age_s: float) -> Process:
    """A heartbeat as clients see it."""
    return Process(
        name=heartbeat.process,
        pid=heartbeat.pid,
        state=heartbeat.state,
        age_s=age_s,
        rss_mb=heartbeat.rss_mb,
        counters=heartbeat.counters,
    )
