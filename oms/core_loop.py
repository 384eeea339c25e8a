"""The core's loop: drain the sockets, step the compiled core once per frame, journal, then let the output leave.

Whatever has arrived is taken together and nothing is waited for: low load gives low latency, high load gives large
batches. Every record that can change an order, and every event, is in the journal before it leaves this process; where
the journal is synced beside the loop, the loop goes on and what leaves waits (``oms.outbox``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from oms import engine
from oms.assembly import PAPER_ACCOUNT, Core
from oms.bus import Publisher, Puller, Records, Subscriber
from oms.config import JournalSettings
from oms.core.state import State
from oms.definition_rows import DEFINITION
from oms.journal import Direction, Journal
from oms.journal_frames import OutputFrames
from oms.latency import LatencyHistogram
from oms.outbox import Outbox
from oms.records import COMMAND, TICK, BookState, CommandKind, Reason, RecordKind, TickFlag, TickKind, TradingState
from oms.settings import MAX_VENUES, SOURCES_A_VENUE
from oms.snapshot import Place
from oms.tick_feed import MAX_SOURCES, TickFeed
from oms.venue_requests import Requests

MIB: Final = 1024 * 1024
FRAMES_PER_TURN: Final = 128
"""Tick frames taken before commands get their turn again."""
DEFAULT_SETTINGS: Final = JournalSettings()
EVERYTHING: Final[Mapping[int, Sequence[int]]] = MappingProxyType({})
ASK_ANEW: Final = -1
QUIET_AFTER_S: Final = 5.0
"""Without a tick for this long the market is taken for silent, and no order is priced on it."""

assert MAX_VENUES * SOURCES_A_VENUE <= MAX_SOURCES


class CoreLoop:
    """One core with its sockets and its journal.

    Parameters
    ----------
    core : Core
    ticks : Subscriber
        TICK frames.
    inputs : Puller
        COMMAND, REPORT, DEFINITION, ORDER_NAME and TERMS frames; and of TICK ones such as say that a book is stale,
        because the process that kept it has ended.
    events : Publisher
        EVENT frames; its session is the journal's. Its socket also tells the definitions in force, in DEFINITION
        frames: once a heartbeat, and as soon as one has changed.
    journal : Journal
    orders : Requests or None
        Where requests go when an exchange answers them; None: the exchange model in the core does.
    settings : JournalSettings
        Which inputs are journalled, and how much may wait for the disk.
    instruments_of : mapping of int to sequence of int
        By source of TICK frames whose ticks they bring; a source that is missing may bring those of all.
    """

    def __init__(
        self,
        core: Core,
        *,
        ticks: Subscriber,
        inputs: Puller,
        events: Publisher,
        journal: Journal,
        orders: Requests | None = None,
        settings: JournalSettings = DEFAULT_SETTINGS,
        instruments_of: Mapping[int, Sequence[int]] = EVERYTHING,
    ) -> None:
        self.core = core
        self.ticks = ticks
        self.inputs = inputs
        self.events = events
        self.journal = journal
        self.orders = orders
        self._instruments_of = instruments_of
        self.tick_to_order = LatencyHistogram()
        self.tick_to_step = LatencyHistogram()
        self.lag = LatencyHistogram()
        self._st: State = core.st
        self._st[0]["external"] = 0 if orders is None else 1
        # Views of single fields: reading one costs a fraction of what a record's field does.
        self._event_count = self._st["event_count"]
        self._command_count = self._st["command_count"]
        self._report_count = self._st["report_count"]
        self._parent_count = self._st["parent_count"]
        self._events_lost = self._st["events_lost"]
        self._switching = self._st["switching"]
        self._frames = OutputFrames(self._st, journal)
        self._journals_ticks = settings.inputs == "all"
        self._outbox = Outbox(journal, events, orders, self._on_sent, settings.held_mb * MIB)
        self.feed = TickFeed(
            core.st,
            ticks,
            inputs.socket,
            self._flush_and_commit,
            self._on_ticks_lost,
            self._journal_ticks if self._journals_ticks else None,
        )
        self._changing = ASK_ANEW  # instruments, as far as has been told
        self._heard_at = time.monotonic()
        self._is_quiet = False
        self._own_tick_count = 0
        self._take_input: dict[int, Callable[[Records], None]] = {
            RecordKind.COMMAND: self._take_commands,
            RecordKind.REPORT: self._take_reports,
            RecordKind.DEFINITION: self._take_definitions,
            RecordKind.ORDER_NAME: self._take_names,
            RecordKind.TERMS: self._take_terms,
            RecordKind.TICK: self._take_stale,
        }

    def turn(self, timeout_ms: int) -> None:
        """Wait for input at most ``timeout_ms``, then take what has arrived.

        Raises
        ------
        JournalError
            When the journal cannot be written or synced: the core must stop.
        """
        if self._outbox.full:
            self._outbox.wait(timeout_ms / 1e3)
            return
        if self.feed.turn(FRAMES_PER_TURN, timeout_ms):
            self._heard_at = time.monotonic()
            self.lag.record((time.time_ns() - self.feed.sent_ts) / 1e3)
            self._is_quiet = False
        elif not self._is_quiet and time.monotonic() - self._heard_at > QUIET_AFTER_S:
            self._is_quiet = True
            self._step_own_ticks(self._own_ticks(TickKind.QUIET))
        self.drain_inputs()

    def drain_inputs(self) -> None:
        """Take every command and report that has arrived, commit them together, and send what may leave."""
        for frame in self.inputs.drain(FRAMES_PER_TURN):
            take = self._take_input.get(frame.header.kind)
            if take is None:
                self.inputs.malformed += 1
                self.inputs.last_error = f"a frame of kind {frame.header.kind} is no input of the core"
                continue
            take(frame.records)
        if self._switching[0] != self._changing:
            self._tell_definitions()
        self._outbox.commit()

    def _tell_definitions(self) -> None:
        """Publish the definitions in force, once what has put them in force is as durable as it is to be."""
        self._changing = int(self._switching[0])
        rows = self._st["instruments"][0]
        (known,) = np.nonzero(rows["defined"])
        definitions = np.zeros(len(known), DEFINITION)
        definitions["instrument"] = known
        definitions["version"] = rows["version"][known]
        definitions["row"] = rows[known]
        self._outbox.add_definitions(definitions)

    def _take_commands(self, commands: Records) -> None:
        taken = np.frombuffer(bytearray(commands.tobytes()), COMMAND)  # a copy field by field takes ten times as long
        engine.stamp_commands(self._st, taken, time.time_ns())
        self.journal.append(RecordKind.COMMAND, Direction.INPUT, taken)
        start = 0
        while start < len(taken):
            start = engine.step_commands(self._st, taken, start)
            self._flush(0)

    def _take_names(self, names: Records) -> None:
        """What clients call the orders of the frame behind this one: for the journal alone."""
        self.journal.append(RecordKind.ORDER_NAME, Direction.INPUT, names)

    def _take_terms(self, terms: Records) -> None:
        """Which algorithms are to work the orders of the frame behind this one."""
        self.journal.append(RecordKind.TERMS, Direction.INPUT, terms)
        engine.take_terms(self._st, terms)

    def _take_reports(self, reports: Records) -> None:
        start = 0
        while start < len(reports):
            start = engine.step_reports(self._st, reports, start)
            self._flush(0, Direction.INPUT)

    def _take_stale(self, ticks: Records) -> None:
        """The process that kept these books has ended; they come anew with the next one."""
        stale = ticks["kind"] == TickKind.STALE
        if not stale.all():
            self.inputs.malformed += 1
            self.inputs.last_error = "a tick that does not say that a book is stale is no input of the core"
        self._make_stale(ticks["instrument"][stale].tolist(), Reason.GATEWAY_STALE)
        self._is_quiet = False  # a tick, but nothing was heard of any market

    def _take_definitions(self, definitions: Records) -> None:
        self.journal.append(RecordKind.DEFINITION, Direction.INPUT, definitions)
        start = 0
        while start < len(definitions):
            start = engine.step_definitions(self._st, definitions, start)
            self._flush(0)
        self._changing = ASK_ANEW  # it may be done already

    def _flush(self, cause_ts: int, reports: Direction = Direction.OUTPUT) -> None:
        """Journal what the last step wrote; it leaves when that is committed.

        Reports that the step took from ``step_reports`` are input, others are the exchange model's.
        """
        events = int(self._event_count[0])
        if not events:
            return
        if self._events_lost[0]:
            raise RuntimeError(f"{self._events_lost[0]} events found the core's output full: stopping, fail closed")
        counts = (int(self._report_count[0]), int(self._command_count[0]), int(self._parent_count[0]), events)
        framed = self._frames.append(*counts, reports)
        self._outbox.add(framed.commands, framed.events, cause_ts)
        self._event_count[0] = 0
        self._command_count[0] = 0
        self._report_count[0] = 0
        self._parent_count[0] = 0

    def _flush_and_commit(self, cause_ts: int) -> None:
        if cause_ts:
            self.tick_to_step.record((time.time_ns() - cause_ts) / 1e3)
        self._flush(cause_ts)
        self._outbox.commit()

    def _on_sent(self, cause_ts: int) -> None:
        self.tick_to_order.record((time.time_ns() - cause_ts) / 1e3)

    def _journal_ticks(self, ticks: Records, cause_ts: int) -> None:
        self.journal.append(RecordKind.TICK, Direction.INPUT, ticks, cause_ts)

    def _own_ticks(self, kind: TickKind, instruments: Sequence[int] = (-1,)) -> Records:
        """Ticks of the loop's own at the core's present time."""
        ticks = np.zeros(len(instruments), TICK)
        ticks["instrument"] = instruments
        ticks["kind"] = kind
        ticks["local_ts"] = self._st["now"][0]
        ticks["flags"] = TickFlag.FIRST | TickFlag.LAST
        return ticks

    def _step_own_ticks(self, ticks: Records) -> None:
        """Step ticks that the loop itself has made; their ``cause_ts`` is 0."""
        if self._journals_ticks:
            self._journal_ticks(ticks, 0)
        start = 0
        while start < len(ticks):
            start = engine.step_ticks(self._st, ticks, start, 0)
            self._flush(0)

    def _on_ticks_lost(self, source: int) -> None:
        """Ticks of a source were lost on the bus: none of its books is right any more until its next snapshot."""
        numbers = self._instruments_of.get(source)
        if numbers is None:
            numbers = np.flatnonzero(self._st[0]["instruments"]["defined"]).tolist()
        self._make_stale(numbers, Reason.TICKS_LOST)

    def _make_stale(self, numbers: Sequence[int], reason: Reason) -> None:
        if not self._st["ticks"][0]:
            return  # nothing is known of any market yet
        stale = self._own_ticks(TickKind.STALE, numbers)
        stale["qty"] = reason
        self._own_tick_count += len(stale)
        self._step_own_ticks(stale)

    def report(self) -> None:
        """Publish the positions and the definitions in force, once a heartbeat."""
        self._step_own_ticks(self._own_ticks(TickKind.HEARTBEAT))
        self._tell_definitions()
        self._outbox.commit()

    def set_trading_state(
        self, trading_state: TradingState, reason: Reason, account: int = PAPER_ACCOUNT, strategy: int = -1
    ) -> None:
        """Set the trading state of an account, or of a strategy, from the host, by a command like any other."""
        command = np.zeros(1, COMMAND)
        command["kind"] = CommandKind.SET_TRADING_STATE
        command["account"] = account
        command["instrument"] = -1
        command["strategy"] = strategy
        command["value"] = trading_state
        command["px"] = reason
        self._take_commands(command)
        self._outbox.commit()

    def ask_instruments(self, instruments: Sequence[int]) -> None:
        """Have instruments say how they stand, and those that wait for a new version go on."""
        asked = np.zeros(len(instruments), DEFINITION)
        asked["instrument"] = instruments
        self._take_definitions(asked)
        self._outbox.commit()

    def take_reports(self, reports: Records) -> None:
        """Apply reports of the host's own, as those of an exchange."""
        self._take_reports(reports)
        self._outbox.commit()

    def place(self) -> Place:
        """Where in the journal the state now is; only between turns."""
        self._outbox.commit()
        return self.place_at_end()

    def place_at_end(self) -> Place:
        """The same once the loop is closed."""
        journal = self.journal
        return Place(journal.session, journal.segment, journal.next_number, int(self._st["event_seq"][0]))

    @property
    def held_events(self) -> int:
        """Events that wait for the disk."""
        return self._outbox.held_events

    def counters(self) -> dict[str, float]:
        """The core's heartbeat counters."""
        s = self._st[0]
        return {
            "ticks": float(int(s["ticks"]) - self._own_tick_count),
            "tick_frames": float(self.feed.frames),
            "ticks_lost": float(self.feed.lost),
            "ticks_refused": float(s["ticks_refused"]),
            "malformed": float(self.feed.malformed + self.inputs.malformed),
            "orders": float(s["orders_sent"]),
            "refused": float(s["orders_refused"]),
            "fills": float(s["fills"]),
            "reports_ignored": float(s["reports_ignored"]),
            "open_orders": float(s["open_orders"]),
            "events": float(int(s["event_seq"]) - self._outbox.held_events),
            "books_synced": float(np.count_nonzero(s["books"]["state"] == BookState.SYNCED)),
            "strategies_halted": float(np.count_nonzero(s["strategies"]["halted"])),
            "journal_bytes": float(self.journal.bytes_written),
            "trading_state": float(s["scopes"][PAPER_ACCOUNT]["trading_state"]),
            "now_ts": float(s["now"]),
            "lag_p50_us": self.lag.percentile(50),
            **self.tick_to_step.counters("tick_to_step"),
            **self.tick_to_order.counters("tick_to_order"),
        }

    def close(self) -> None:
        """End the session in good order: send what is still held, close the journal, then the sockets."""
        self._outbox.finish()
        self.journal.close()
        for socket in (self.ticks, self.inputs, self.events, self.orders):
            if socket is not None:
                socket.close()
