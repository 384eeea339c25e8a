"""A small stand-in for the core process: real sockets, a real journal, real heartbeats, and no market.

Limit orders rest until a test fills them, market orders fill at once, and those with a trigger or a parent are held;
one that an algorithm works has the children that a test asks for, and ends at once when it is to stop. It
follows the contract of the core's events: contiguous numbers, journalled before they are published, each order event
with the whole order.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

import msgspec
import numpy as np
import zmq

from oms.bus import BusError, Publisher, Puller, Records, bind, new_socket
from oms.config import Settings
from oms.journal import Direction, Journal
from oms.lifecycle import Heartbeat
from oms.records import (
    ALGORITHM_CLIENT,
    COMMAND,
    EVENT,
    ORDER_ID_COUNTER_BITS,
    PARENT,
    CommandKind,
    Contingency,
    EventKind,
    OrderState,
    OrderType,
    ParentState,
    Reason,
    RecordKind,
    Source,
    TradingState,
    Trigger,
)

OPEN_STATES = (
    OrderState.PENDING_NEW,
    OrderState.LIVE,
    OrderState.PENDING_AMEND,
    OrderState.PENDING_CANCEL,
    OrderState.HELD,
)
SAME = [
    "order_id",
    "request_id",
    "side",
    "order_type",
    "time_in_force",
    "instrument",
    "version",
    "account",
    "strategy",
    "flags",
    "trigger",
    "contingency",
    "px",
    "qty",
]
"""What an order's events and its command have in common."""
TERMS = {
    "last_px": "trigger_px",
    "last_qty": "display_qty",
    "aux": "parent_id",
    "realized_pnl": "trail",
    "fees": "trail_unit",
}
"""Where an event has what few orders have."""
REFUSED_PX = 4_321
"""A price at which the scripted core takes no order, and no amend."""


class Status:
    """The supervisor's part: takes heartbeats, and publishes them to everyone."""

    def __init__(self, settings: Settings, context: zmq.Context[Any]) -> None:
        self.heartbeats = new_socket(context, zmq.PULL)
        bind(self.heartbeats, settings.heartbeat_endpoint)
        self.publisher = new_socket(context, zmq.PUB)
        bind(self.publisher, settings.status_endpoint)

    def publish(self, process: str, started_ts: int, **counters: float) -> None:
        """Publish a heartbeat of a process that is ready."""
        heartbeat = Heartbeat(
            process=process,
            pid=os.getpid(),
            ts=time.time_ns(),
            started_ts=started_ts,
            state="ready",
            rss_mb=1.0,
            counters=counters,
        )
        self.publisher.send(msgspec.msgpack.encode(heartbeat))

    def close(self) -> None:
        self.heartbeats.close()
        self.publisher.close()


class ScriptedCore:
    """One core session on a thread.

    Attributes
    ----------
    taken : int
        Commands taken.
    algorithm_terms : dict of int to record
        The last TERMS of each order.
    deaf, silent, beating : bool
        Takes no commands; journals events and does not publish them; sends heartbeats. See ``become``.
    """

    def __init__(self, settings: Settings, context: zmq.Context[Any], status: Status) -> None:
        self.settings = settings
        self.status = status
        self.taken = 0
        self.deaf = False
        self.silent = False
        self.orders: dict[int, np.void] = {}
        self.commands: dict[int, np.void] = {}
        self.algorithm_terms: dict[int, np.void] = {}
        self._terms: dict[int, dict[str, int]] = {}
        self._parent_states: dict[int, ParentState] = {}
        self.trading_state = TradingState.ACTIVE
        self._seq = 0
        self._trade_id = 0
        self._inputs = Puller(context, settings.core_endpoint)
        try:
            self._events = Publisher(context, settings.events_endpoint, RecordKind.EVENT, Source.CORE)
        except BusError:
            self._inputs.close()
            raise
        self.session = self._events.session
        self._journal = Journal.create(settings.journal_dir, self.session, "os")
        self._calls: SimpleQueue[tuple[Callable[[], None], threading.Event]] = SimpleQueue()
        self._started_ts = time.time_ns()
        self._stopping = threading.Event()
        self._beat_due = 0.0
        self.beating = True
        self.set_state(TradingState.ACTIVE)
        self._thread = threading.Thread(target=self._run, name="scripted core", daemon=True)
        self._thread.start()

    def stop(self, *, clean: bool = True) -> None:
        """End the session; not ``clean``: as after kill -9."""
        self._stopping.set()
        self._thread.join()
        if clean:
            self._journal.close()
        else:
            os.close(self._journal.fileno())
        self._inputs.close()
        self._events.close()

    def do(self, call: Callable[[], None]) -> None:
        """Run ``call`` on the core's thread and wait for it."""
        done = threading.Event()
        self._calls.put((call, done))
        assert done.wait(60)

    def become(self, **states: bool) -> None:
        """Set ``deaf``, ``silent`` or ``beating``."""
        self.do(lambda: self.__dict__.update(states))

    def accept(self, order_id: int) -> None:
        """Let an order be live at the exchange, whatever it waited for."""
        self.do(lambda: self._tell_order(self.orders[order_id], EventKind.ORDER_ACCEPTED, OrderState.LIVE))

    def fill(self, order_id: int, qty: int, px: int) -> None:
        """Trade ``qty`` lots of an order at ``px``."""
        self.do(lambda: self._fill(self.orders[order_id], qty, px))

    def place_child(self, parent_id: int, qty: int, px: int) -> int:
        """Let the algorithm of an order place a child, which rests; returns its order id."""
        child_id = ALGORITHM_CLIENT << ORDER_ID_COUNTER_BITS | len(self.orders) + 1

        def call() -> None:
            made = np.zeros(1, COMMAND)
            for name in ("instrument", "version", "account", "side", "strategy"):
                made[name] = self.orders[parent_id][name]
            made["kind"], made["order_type"], made["time_in_force"] = CommandKind.NEW, OrderType.LIMIT, 1
            made["order_id"], made["parent_id"], made["qty"], made["px"] = child_id, parent_id, qty, px
            self._new(made[0])

        self.do(call)
        return child_id

    def progress(self, order_id: int, filled_qty: int, **fields: int) -> None:
        """Tell how far the algorithm of an order is."""

        def call() -> None:
            self.orders[order_id]["filled_qty"] = filled_qty
            self._tell_progress(self.orders[order_id], 0, **fields)

        self.do(call)

    def _tell_progress(self, order: np.void, request_id: int, **fields: int) -> None:
        order_id = int(order["order_id"])
        row = np.zeros(1, PARENT)
        row["order_id"] = order_id
        row["routes"] = -1
        terms = self.algorithm_terms[order_id]
        row["algorithm"], row["parameters"][0] = terms["algorithm"], terms["parameters"]
        row["routes"][0, 1:] = terms["routes"][:-1]
        self._journal.append(RecordKind.PARENT, Direction.OUTPUT, row)
        fields = {"liquidity": int(self._parent_states.get(order_id, 0)), "request_id": request_id, **fields}
        self._tell_order(order, EventKind.PROGRESS, OrderState.HELD, **fields)

    def tell(self, kind: EventKind, count: int = 1, **fields: int) -> None:
        """Publish events of one kind."""

        def call() -> None:
            records = np.zeros(count, EVENT)
            records["kind"] = kind
            records["instrument"] = -1
            for name, value in fields.items():
                records[name] = value
            self._publish(records)

        self.do(call)

    def publish_raw(self, frame: bytes) -> None:
        """Publish bytes that are no frame; called on the core's thread."""
        self._events.socket.send(frame)

    def set_state(
        self,
        state: TradingState,
        reason: Reason = Reason.REQUESTED,
        request_id: int = 0,
        strategy: int = -1,
        account: int = 0,
    ) -> None:
        if strategy < 0 and account == 0:
            self.trading_state = state
        fields = {"aux": int(state), "reason": int(reason), "request_id": request_id}
        self._tell(EventKind.TRADING_STATE, strategy=strategy, account=account, **fields)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._beat()
            while True:
                try:
                    call, done = self._calls.get_nowait()
                except Empty:
                    break
                call()
                done.set()
            if self.deaf:
                self._stopping.wait(0.002)
            elif self._inputs.socket.poll(2):
                for frame in self._inputs.drain(100):
                    self._journal.append(RecordKind(frame.header.kind), Direction.INPUT, frame.records)
                    if frame.header.kind == RecordKind.TERMS:
                        self.algorithm_terms.update((int(each["order_id"]), each) for each in frame.records)
                    for command in frame.records if frame.header.kind == RecordKind.COMMAND else ():
                        self.taken += 1
                        self._act(command)
                        self._beat()

    def _beat(self) -> None:
        while self.status.heartbeats.poll(0):
            self.status.publisher.send(self.status.heartbeats.recv())
        if not self.beating or time.monotonic() < self._beat_due:
            return
        self._beat_due = time.monotonic() + self.settings.heartbeat_s
        self.status.publish("core", self._started_ts, trading_state=float(self.trading_state), events=float(self._seq))

    def _publish(self, records: Records) -> None:
        records["seq"] = np.arange(self._seq, self._seq + len(records))
        records["ts"] = self._seq + 1
        self._seq += len(records)
        self._journal.append(RecordKind.EVENT, Direction.EVENT, records)
        self._journal.commit()
        if self.silent:
            self._events.seq += len(records)
        else:
            self._events.send(records)

    def _tell(self, kind: EventKind, **fields: int) -> None:
        record = np.zeros(1, EVENT)
        record["kind"] = kind
        record["instrument"] = -1
        for name, value in fields.items():
            record[name] = value
        self._publish(record)

    def _tell_order(self, order: np.void, kind: EventKind, state: OrderState, **fields: int) -> None:
        self._publish(self._of_order(order, kind, state, **fields))

    @staticmethod
    def _of_order(order: np.void, kind: EventKind, state: OrderState, **fields: int) -> Records:
        order["state"] = state
        record = np.zeros(1, EVENT)
        record[0] = order
        record["kind"] = kind
        for name, value in fields.items():
            record[name] = value
        return record

    def _refuse(self, command: np.void, reason: Reason, state: int = 0) -> None:
        fields = {name: int(command[name]) for name in SAME}
        self._tell(EventKind.ORDER_REFUSED, reason=int(reason), aux=int(command["kind"]), state=state, **fields)

    def _act(self, command: np.void) -> None:
        kind = CommandKind(int(command["kind"]))
        if 0 < command["wall_ts"] < time.time_ns():
            self._refuse(command, Reason.COMMAND_TOO_LATE)
        elif kind == CommandKind.NEW:
            self._new(command)
        elif kind == CommandKind.SET_TRADING_STATE:
            self.set_state(
                TradingState(int(command["value"])),
                account=int(command["account"]),
                strategy=int(command["strategy"]),
                request_id=int(command["request_id"]),
            )
        elif kind == CommandKind.CANCEL_ALL:
            self._cancel_all(command)
            self.set_state(self.trading_state, request_id=int(command["request_id"]))
        elif kind == CommandKind.KILL:
            account, request_id = int(command["account"]), int(command["request_id"])
            self.set_state(TradingState.HALTED, Reason.KILL_SWITCH, account=account, request_id=request_id)
            self._tell(EventKind.KILLED, aux=int(command["value"]), strategy=-1, account=account, request_id=request_id)
            self._cancel_all(command)
        else:
            self._change(kind, command)

    def _cancel_all(self, command: np.void) -> None:
        for order in list(self.orders.values()):
            asked = all(command[name] in (-1, order[name]) for name in ("instrument", "account", "strategy"))
            if order["state"] in OPEN_STATES and asked:
                order["request_id"] = command["request_id"]
                self._cancel(order)

    def _cancel(self, order: np.void) -> None:
        if order["trigger"] == Trigger.ALGORITHM:
            self._parent_states[int(order["order_id"])] = ParentState.STOPPING
            self._tell_progress(order, int(order["request_id"]), reason=int(Reason.REQUESTED))
        if order["state"] == OrderState.HELD:
            self._tell_order(order, EventKind.HELD_ENDED, OrderState.CANCELLED, reason=int(Reason.REQUESTED))
            return
        self._tell_order(order, EventKind.CANCEL_SUBMITTED, OrderState.PENDING_CANCEL)
        self._tell_order(order, EventKind.ORDER_CANCELLED, OrderState.CANCELLED)

    def _new(self, command: np.void) -> None:
        if int(command["order_id"]) in self.orders:
            self._refuse(command, Reason.DUPLICATE_ORDER_ID)
        elif self.trading_state == TradingState.HALTED:
            self._refuse(command, Reason.TRADING_HALTED)
        elif command["px"] == REFUSED_PX:
            self._refuse(command, Reason.PRICE_COLLAR)
        else:
            made = np.zeros(1, EVENT)
            made[SAME] = np.frombuffer(command.tobytes(), COMMAND)[SAME]
            order = made[0]
            self.orders[int(command["order_id"])] = order
            self.commands[int(command["order_id"])] = command
            fields = {name: int(command[source]) for name, source in TERMS.items()}
            self._terms[int(command["order_id"])] = fields
            if command["trigger"] or command["contingency"] in (Contingency.OTO, Contingency.REPLACE):
                self._tell_order(order, EventKind.ORDER_HELD, OrderState.HELD, **fields)
                if command["trigger"] == Trigger.ALGORITHM:
                    self._tell_progress(order, 0)
                if command["contingency"] == Contingency.REPLACE:
                    self._cancel(self.orders[int(command["parent_id"])])
                return
            both = np.zeros(2, EVENT)
            order["state"] = OrderState.LIVE
            both[:] = order
            both["kind"] = [EventKind.ORDER_SUBMITTED, EventKind.ORDER_ACCEPTED]
            both["state"] = [OrderState.PENDING_NEW, OrderState.LIVE]
            for name, value in fields.items():
                both[name][0] = value
            self._publish(both)
            if order["order_type"] == OrderType.MARKET:
                self._fill(order, int(order["qty"]), 1000)

    def _change(self, kind: CommandKind, command: np.void) -> None:
        order = self.orders.get(int(command["order_id"]))
        if order is None:
            self._refuse(command, Reason.UNKNOWN_ORDER)
        elif order["state"] not in OPEN_STATES:
            self._refuse(command, Reason.ORDER_NOT_OPEN, int(order["state"]))
        elif kind in (CommandKind.PAUSE, CommandKind.RESUME):
            state = ParentState.PAUSED if kind == CommandKind.PAUSE else ParentState.RUNNING
            self._parent_states[int(command["order_id"])] = state
            self._tell_progress(order, int(command["request_id"]), reason=int(Reason.REQUESTED))
        elif command["px"] == REFUSED_PX:
            self._refuse(command, Reason.PRICE_COLLAR, int(order["state"]))
        elif kind == CommandKind.CANCEL:
            order["request_id"] = command["request_id"]
            self._cancel(order)
        elif order["state"] == OrderState.HELD:
            for name in ("request_id", "px", "qty"):
                order[name] = command[name] or order[name]
            terms = self._terms[int(command["order_id"])]
            terms |= {name: int(command[source]) for name, source in TERMS.items() if command[source]}
            self._tell_order(order, EventKind.HELD_AMENDED, OrderState.HELD, **terms)
        else:
            order["request_id"] = command["request_id"]
            self._tell_order(order, EventKind.AMEND_SUBMITTED, OrderState.PENDING_AMEND)
            order["px"] = command["px"] or order["px"]
            order["qty"] = command["qty"] or order["qty"]
            self._tell_order(order, EventKind.ORDER_AMENDED, OrderState.LIVE)

    def _fill(self, order: np.void, qty: int, px: int) -> None:
        self._trade_id += 1
        order["filled_qty"] += qty
        state = OrderState.FILLED if order["filled_qty"] == order["qty"] else OrderState.LIVE
        self._tell_order(
            order,
            EventKind.ORDER_FILLED,
            state,
            last_px=px,
            last_qty=qty,
            fees=12_345_678,
            realized_pnl=250_000_000,
            liquidity=1,
            aux=self._trade_id,
        )
        self._tell(
            EventKind.POSITION,
            instrument=int(order["instrument"]),
            version=int(order["version"]),
            account=int(order["account"]),
            strategy=-1,
            position_qty=int(order["side"]) * int(order["filled_qty"]),
            px=px * 100_000_000,
            last_px=2 * px,
            last_qty=self._trade_id,
            aux=int(order["order_id"]),
        )
