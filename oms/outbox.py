"""What the core wants to send, held in order until the journal has it as durable as it is to be.

Where a thread of the journal's syncs, that thread sends: nothing that may leave waits for the core's turn. The sockets
are then that thread's alone until it has ended.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from oms.bus import Publisher, Pusher, Records, Sender
from oms.journal import Journal
from oms.records import CommandKind, RecordKind

_LEAVES: Final = np.ones(256, np.bool_)
_LEAVES[[int(CommandKind.HOLD), int(CommandKind.HELD_AMEND), int(CommandKind.HELD_CANCEL)]] = False
"""By CommandKind: whether the exchange is asked; the others are in the journal only."""


class Held(NamedTuple):
    """What one step, or the loop itself, has to send; ``None`` or ``cause_ts`` 0: nothing of the kind."""

    commands: Records | None = None
    events: Records | None = None
    definitions: Records | None = None
    cause_ts: int = 0


class Outbox:
    """Requests to the exchange, events and definitions, on their way out.

    Parameters
    ----------
    journal : Journal
    events : Publisher
        Its socket tells definitions too.
    orders : Pusher or None
        None: requests have been answered in the core, and go nowhere.
    on_sent : callable
        Told the ``cause_ts`` of requests when they leave.
    bound : int
        Bytes that may wait for the disk before no more should come.
    """

    def __init__(
        self,
        journal: Journal,
        events: Publisher,
        orders: Pusher | None,
        on_sent: Callable[[int], None],
        bound: int,
    ) -> None:
        self._journal = journal
        self._events = events
        self._orders = orders
        self._definitions = Sender(events.socket, RecordKind.DEFINITION, events.source)
        self._on_sent = on_sent
        self._bound = bound
        self._new: list[Held] = []
        self._taken = self._sent = 0  # events; the one is written by who adds, the other by who sends
        journal.deliver_to(self._send)

    def add(self, commands: Records, events: Records, cause_ts: int) -> None:
        """Take the output of a step that has been appended to the journal; the records must not change any more."""
        leaving = commands[_LEAVES[commands["kind"]]] if len(commands) else commands
        self._new.append(Held(leaving, events, None, cause_ts))
        self._taken += len(events)

    def add_definitions(self, definitions: Records) -> None:
        """Take definitions in force, to be told once what has put them in force is durable."""
        self._new.append(Held(definitions=definitions))

    def commit(self) -> None:
        """Commit the journal; what was added leaves as soon as it may.

        Raises
        ------
        JournalError
            When a write or a sync has failed; then nothing leaves any more.
        """
        new, self._new = self._new, []
        self._journal.commit(new)

    def _send(self, ready: list[Held]) -> None:
        commands = _joined([each.commands for each in ready])
        if commands is not None:
            if self._orders is not None:
                self._orders.send(commands)
            for each in ready:
                if each.commands is not None and len(each.commands) and each.cause_ts:
                    self._on_sent(each.cause_ts)
        events = _joined([each.events for each in ready])
        if events is not None:
            self._events.send(events)
            self._sent += len(events)
        for each in ready:
            if each.definitions is not None:
                self._definitions.send(each.definitions)

    @property
    def held_events(self) -> int:
        """Events that wait for the disk."""
        return self._taken - self._sent

    @property
    def full(self) -> bool:
        """Whether so much waits for the disk that no more should be added."""
        return self._journal.pending_bytes > self._bound

    def wait(self, timeout_s: float) -> None:
        """Wait until the disk has got further; raises as ``commit`` does."""
        if select.select([self._journal.wake_fd], [], [], timeout_s)[0]:
            self._journal.take_wake()
        self.commit()

    def finish(self) -> None:
        """Wait until everything is durable; it has been sent once the journal is closed."""
        self.commit()
        self._journal.wait_durable()


def _joined(parts: list[Records | None]) -> Records | None:
    records = [part for part in parts if part is not None and len(part)]
    if not records:
        return None
    return records[0] if len(records) == 1 else np.concatenate(records)
