"""What the core knows of an account when a gateway starts: from the core's newest snapshot and the journal behind it.

A gateway that is started again, or with its core, must know which orders there may be at the exchange: those of which
the journal says that they were asked for, and not that they have ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from gateways.orders.ids import ClientIds
from gateways.orders.known import Order, Stage
from oms.bus import Records
from oms.instruments import Instrument
from oms.journal_format import session_of
from oms.journal_reader import events_since
from oms.journal_segments import sessions
from oms.records import ORDER_EVENTS, EventKind, OrderState, OrderType, TimeInForce
from oms.snapshot import read_snapshot, snapshots

SENT: Final = (
    OrderState.PENDING_NEW,
    OrderState.LIVE,
    OrderState.PENDING_AMEND,
    OrderState.PENDING_CANCEL,
)
"""States of orders that may be at the exchange."""


class Left(NamedTuple):
    """One such order, and the state in which the core has it."""

    order: Order
    state: OrderState


def left_orders(
    snapshot_dir: Path, journal_dir: Path, account: int, ids: ClientIds, instruments: tuple[Instrument, ...]
) -> list[Left]:
    """The account's orders at a venue that have not ended, as far as is on disk.

    Raises
    ------
    SnapshotError, JournalError
        When a file does not verify: then it is not known what there is, and nothing may be traded.
    """
    begun: Records = np.zeros(0, np.dtype([("order_id", "<i8")]))
    session, seq = 0, 0
    newest = snapshots(snapshot_dir)
    if newest:
        snapshot = read_snapshot(newest[0])
        begun = snapshot.tables["orders"]
        session, seq = snapshot.place.session, snapshot.place.event_seq
    elif firsts := sessions(journal_dir):
        session = session_of(firsts[0])
    events = events_since(journal_dir, session, seq) if session else ()
    return orders_of(begun, events, account, ids, instruments)


def orders_of(
    begun: Records, events: Iterable[Records], account: int, ids: ClientIds, instruments: tuple[Instrument, ...]
) -> list[Left]:
    """As ``left_orders``, of a table of ORDER rows and the EVENT records behind it, in blocks."""
    reader = _Reader(account, ids, {each.id: each for each in instruments})
    for row in begun[begun["order_id"] != 0]:
        reader.note(row)
    for block in events:
        for event in block[np.isin(block["kind"], [int(kind) for kind in ORDER_EVENTS])]:
            if event["kind"] == EventKind.ORDER_FILLED:
                reader.fill(event)
            if event["kind"] != EventKind.ORDER_REFUSED:
                reader.note(event)
    return list(reader.left.values())


class _Reader:
    """Keeps the newest of each order."""

    def __init__(self, account: int, ids: ClientIds, instruments: dict[int, Instrument]) -> None:
        self.left: dict[int, Left] = {}
        self._account = account
        self._ids = ids
        self._instruments = instruments
        self._trades: dict[int, dict[int, int]] = {}

    def fill(self, event: np.void) -> None:
        """Take note of a fill: its trade id and its lots."""
        self._trades.setdefault(int(event["order_id"]), {})[int(event["aux"])] = int(event["last_qty"])

    def note(self, row: np.void) -> None:
        """Take a row or an event as how its order stands."""
        order_id, state = int(row["order_id"]), OrderState(int(row["state"]))
        number = int(row["instrument"])
        if row["account"] != self._account or number not in self._instruments or state not in SENT:
            self.left.pop(order_id, None)
            self._trades.pop(order_id, None)
            return
        trades = self._trades.get(order_id, {})
        filled_qty = int(row["filled_qty"])
        order = Order(
            order_id,
            self._ids.text(order_id),
            self._instruments[number],
            int(row["side"]),
            OrderType(int(row["order_type"])),
            TimeInForce(int(row["time_in_force"])),
            int(row["flags"]),
            int(row["px"]),
            int(row["qty"]),
            strategy=int(row["strategy"]),
            stage=Stage.PENDING if state is OrderState.PENDING_NEW else Stage.LIVE,
            filled_qty=filled_qty,
            said_filled_qty=filled_qty,
            untraced_qty=filled_qty - sum(trades.values()),
            trades=set(trades),
        )
        self.left[order_id] = Left(order, state)
