"""What the core knows of an account when a gateway starts: from the core's newest snapshot and the journal behind it.

A gateway that is started again, or with its core, must know which orders there may be at the exchange (those of which
the journal says that they were asked for, and not that they have ended), which positions and balances the core has,
and by which trades and payments it has come to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from gateways.orders.ids import ClientIds, is_external, venue_id_of
from gateways.orders.known import SPOT, Order, Stage, Trade, exchanged
from oms.bus import Records
from oms.core.state import MAX_ACCOUNTS, MAX_FILLS
from oms.instruments import Instrument
from oms.journal_format import session_of
from oms.journal_reader import events_since
from oms.journal_segments import sessions
from oms.records import BUY, ORDER_EVENTS, SELL, EventKind, OrderFlag, OrderState, OrderType, TimeInForce
from oms.snapshot import Snapshot, read_snapshot, snapshots

SENT: Final = (
    OrderState.PENDING_NEW,
    OrderState.LIVE,
    OrderState.PENDING_AMEND,
    OrderState.PENDING_CANCEL,
)
"""States of orders that may be at the exchange."""

_TRADED: Final = ("qty", "fills", "bought_qty", "sold_qty", "funding")
"""Columns of a position, one of which is not 0 once the core has had anything in its instrument."""


class Left(NamedTuple):
    """An order that may be at the exchange, and the state in which the core has it.

    ``is_amending``: an amend has had no answer; a cancel may have been asked for since.
    """

    order: Order
    state: OrderState
    is_amending: bool = False


@dataclass
class Past:
    """What the core knows; ticks, lots, cash in 1e-8.

    Attributes
    ----------
    left : list of Left
    positions : dict of int by instrument
        Signed lots. One in which the core has never had anything is not there.
    cash : dict of int by currency
        Balances at the venue; none, where the core has no snapshot yet.
    booked : set of Trade
        The trades that it has booked, as far as it remembers them.
    payments : set of pair
        Payments of funding that it has booked: instrument and the venue's id.
    is_whole : bool
        It has forgotten no trade yet.
    ts : int
        When the core last did anything before the snapshot that this begins with, ns; 0: it never has.
    """

    left: list[Left] = field(default_factory=list)
    positions: dict[int, int] = field(default_factory=dict)
    cash: dict[str, int] = field(default_factory=dict)
    booked: set[Trade] = field(default_factory=set)
    payments: set[tuple[int, int]] = field(default_factory=set)
    is_whole: bool = True
    ts: int = 0


def newest_session(journal_dir: Path) -> int:
    """The session that the core runs or ran last; 0: there was none."""
    found = sessions(journal_dir)
    return session_of(found[-1]) if found else 0


def read_past(
    snapshot_dir: Path, journal_dir: Path, account: int, venue: str, ids: ClientIds, instruments: tuple[Instrument, ...]
) -> Past:
    """What the core knows of the account at a venue, as far as is on disk.

    Raises
    ------
    SnapshotError, JournalError
        When a file does not verify: then it is not known what there is, and nothing may be traded.
    """
    newest = snapshots(snapshot_dir)
    snapshot = read_snapshot(newest[0]) if newest else None
    session, seq = (snapshot.place.session, snapshot.place.event_seq) if snapshot else (0, 0)
    if snapshot is None and (firsts := sessions(journal_dir)):
        session = session_of(firsts[0])
    events = events_since(journal_dir, session, seq) if session else ()
    return past_of(events, account, venue, ids, instruments, snapshot)


class Audit:
    """Reads on in the core's journal which orders it asks for.

    Parameters
    ----------
    journal_dir, session
        Of the core that runs.
    account, instruments
        Whose orders.
    """

    def __init__(self, journal_dir: Path, session: int, account: int, instruments: tuple[Instrument, ...]) -> None:
        self._folder = journal_dir
        self._session = session
        self._account = account
        self._instruments = [each.id for each in instruments]
        self._seq = 0

    def asked(self) -> set[int]:
        """Ids of the orders that it has asked for since the last call; the first time, since it began.

        Raises
        ------
        JournalError
            When the journal cannot be read.
        """
        found: set[int] = set()
        for events in events_since(self._folder, self._session, self._seq) if self._session else ():
            self._seq = int(events["seq"][-1]) + 1
            asked = (events["kind"] == EventKind.ORDER_SUBMITTED) & (events["account"] == self._account)
            found.update(events["order_id"][asked & np.isin(events["instrument"], self._instruments)].tolist())
        return found


def past_of(
    events: Iterable[Records],
    account: int,
    venue: str,
    ids: ClientIds,
    instruments: tuple[Instrument, ...],
    snapshot: Snapshot | None = None,
) -> Past:
    """As ``read_past``, of a snapshot and the EVENT records behind it, in blocks."""
    reader = _Reader(account, venue, ids, instruments)
    if snapshot is not None:
        reader.begin(snapshot)
    for block in events:
        reader.take(block)
    return reader.past()


class _Reader:
    """Keeps the newest of everything."""

    def __init__(self, account: int, venue: str, ids: ClientIds, instruments: tuple[Instrument, ...]) -> None:
        self._account = account
        self._venue = venue
        self._ids = ids
        self._instruments = {each.id: each for each in instruments}
        self._past = Past()
        self._orders: dict[int, np.void] = {}
        self._accepted: set[int] = set()
        """Orders that the exchange is known to have taken: one in PENDING_CANCEL may be so without."""
        self._amending: set[int] = set()
        self._wallets: Mapping[int, str] = {}
        """Currencies of the venue by number of their wallets."""
        own = {
            EventKind.ORDER_ACCEPTED: self._accept,
            EventKind.ORDER_FILLED: self._fill,
            EventKind.AMEND_SUBMITTED: self._amend,
            EventKind.ORDER_AMENDED: self._amended,
            EventKind.AMEND_REJECTED: self._amended,
            EventKind.FUNDING: self._fund,
            EventKind.BALANCE: self._balance,
        }
        held = (EventKind.POSITION, EventKind.POSITION_ADOPTED, EventKind.SETTLED)
        self._take: dict[int, Callable[[np.void], None]] = {
            **{int(kind): self._note for kind in ORDER_EVENTS if kind is not EventKind.ORDER_REFUSED},
            **{int(kind): take for kind, take in own.items()},
            **{int(kind): self._hold for kind in held},
        }

    def begin(self, snapshot: Snapshot) -> None:
        """Take the state that a snapshot holds."""
        past, tables = self._past, snapshot.tables
        past.ts = int(tables["now"][0])
        names = (name.rpartition(".") for name in snapshot.definitions.wallets)
        self._wallets = {number: currency for number, (currency, _, venue) in enumerate(names) if venue == self._venue}
        for row in tables["orders"][tables["orders"]["order_id"] != 0]:
            self._note(row)
            if row["pending_qty"]:
                self._amending.add(int(row["order_id"]))
        for number in self._instruments:
            position = tables["positions"][self._account, number, 0]
            if any(position[name] for name in _TRADED):
                past.positions[number] = int(position["qty"])
        for number, currency in self._wallets.items():
            past.cash[currency] = int(tables["wallets"][self._account, number]["balance"])
        trades = tables["trades"]
        for side, owner in ((BUY, self._account), (SELL, -1 - self._account)):
            for trade in trades[(trades["account"] == owner) & (trades["trade_id"] != 0)]:
                past.booked.add(Trade(int(trade["instrument"]), side, int(trade["trade_id"])))
        for payment in trades[(trades["account"] == MAX_ACCOUNTS + self._account) & (trades["trade_id"] != 0)]:
            past.payments.add((int(payment["instrument"]), int(payment["trade_id"])))
        past.is_whole = int(tables["trade_counter"][0]) < MAX_FILLS

    def take(self, events: Records) -> None:
        """Take EVENT records."""
        ours = (events["account"] == self._account) & np.isin(events["kind"], list(self._take))
        for event in events[ours]:
            if event["kind"] == EventKind.BALANCE or int(event["instrument"]) in self._instruments:
                self._take[int(event["kind"])](event)

    def past(self) -> Past:
        """What it has come to."""
        self._past.left = [self._left(row) for row in self._orders.values()]
        return self._past

    def _note(self, row: np.void) -> None:
        """Take a row or an event as how its order stands."""
        is_ours = row["account"] == self._account and int(row["instrument"]) in self._instruments
        order_id, state = int(row["order_id"]), OrderState(int(row["state"]))
        if not is_ours or state not in SENT:
            self._orders.pop(order_id, None)
            self._accepted.discard(order_id)
            return
        self._orders[order_id] = row
        if state in (OrderState.LIVE, OrderState.PENDING_AMEND) or row["filled_qty"]:
            self._accepted.add(order_id)

    def _accept(self, event: np.void) -> None:
        self._note(event)
        self._accepted.add(int(event["order_id"]))

    def _amend(self, event: np.void) -> None:
        self._note(event)
        self._amending.add(int(event["order_id"]))

    def _amended(self, event: np.void) -> None:
        self._note(event)
        self._amending.discard(int(event["order_id"]))

    def _fill(self, event: np.void) -> None:
        number = int(event["instrument"])
        self._note(event)
        self._past.booked.add(Trade(number, int(event["side"]), int(event["aux"])))
        instrument, fee = self._instruments[number], int(event["fees"])
        if instrument.kind == SPOT:
            base, quote = exchanged(instrument, *(int(event[name]) for name in ("side", "last_px", "last_qty")))
            self._move(instrument.base, base)
            self._move(instrument.quote, quote - fee)
        else:
            self._move(instrument.settlement, int(event["realized_pnl"]) - fee)

    def _fund(self, event: np.void) -> None:
        self._move(self._instruments[int(event["instrument"])].settlement, -int(event["fees"]))
        if event["aux"]:
            self._past.payments.add((int(event["instrument"]), int(event["aux"])))

    def _hold(self, event: np.void) -> None:
        if event["strategy"] < 0 and not event["flags"] & OrderFlag.SHORT_LEG:
            self._past.positions[int(event["instrument"])] = int(event["position_qty"])

    def _balance(self, event: np.void) -> None:
        if int(event["aux"]) in self._wallets:
            self._past.cash[self._wallets[int(event["aux"])]] = int(event["fees"])

    def _move(self, currency: str, amount: int) -> None:
        if currency in self._past.cash:
            self._past.cash[currency] += amount

    def _left(self, row: np.void) -> Left:
        order_id, state, filled_qty = int(row["order_id"]), OrderState(int(row["state"])), int(row["filled_qty"])
        venue_order_id = venue_id_of(order_id)
        order = Order(
            order_id,
            "" if is_external(order_id) else self._ids.text(order_id),
            self._instruments[int(row["instrument"])],
            int(row["side"]),
            OrderType(int(row["order_type"])),
            TimeInForce(int(row["time_in_force"])),
            int(row["flags"]),
            int(row["px"]),
            int(row["qty"]),
            strategy=int(row["strategy"]),
            stage=Stage.LIVE if order_id in self._accepted or is_external(order_id) else Stage.PENDING,
            venue_order_id=venue_order_id,
            filled_qty=filled_qty,
            said_filled_qty=filled_qty,
            untraced_qty=0 if self._past.is_whole else filled_qty,
        )
        return Left(order, state, order_id in self._amending)
