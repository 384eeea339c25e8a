"""What the core wants to send, held in order until the journal has it as durable as it is to be."""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from oms.bus import Publisher, Pusher, Records
from oms.journal import Journal
from oms.records import CommandKind

_LEAVES: Final = np.ones(256, np.bool_)
_LEAVES[[int(CommandKind.HOLD), int(CommandKind.HELD_AMEND), int(CommandKind.HELD_CANCEL)]] = False
"""By CommandKind: whether the exchange is asked; the others are in the journal only."""


class Held(NamedTuple):
    """The output of one step: it may leave once the journal is durable up to ``position``."""

    position: int
    commands: Records
    events: Records
    cause_ts: int


class Outbox:
    """Requests to the exchange and events, on their way out.

    Parameters
    ----------
    journal : Journal
    events : Publisher
    orders : Pusher or None
        None: requests have been answered in the core, and go nowhere.
    on_sent : callable
        Told the ``cause_ts`` of requests when they leave.
    bound : int
        Bytes that may wait for the disk before no more should come.

    Attributes
    ----------
    held_events : int
        Events that wait.
    """

    def __init__(
        self,
        journal: Journal,
        events: Publisher,
        orders: Pusher | None,
        on_sent: Callable[[int], None],
        bound: int,
    ) -> None:
        self.held_events = 0
        self._journal = journal
        self._events = events
        self._orders = orders
        self._on_sent = on_sent
        self._bound = bound
        self._new: list[Held] = []
        self._held: deque[Held] = deque()

    def add(self, commands: Records, events: Records, cause_ts: int) -> None:
        """Take the output of a step that has been appended to the journal; the records are copied."""
        self._new.append(Held(0, commands[_LEAVES[commands["kind"]]], events.copy(), cause_ts))
        self.held_events += len(events)

    def commit(self) -> None:
        """Commit the journal, and send what may leave now.

        Raises
        ------
        JournalError
            When a write or a sync has failed; then nothing leaves any more.
        """
        position = self._journal.commit()
        for held in self._new:
            self._held.append(held._replace(position=position))
        self._new.clear()
        self.release()

    def release(self) -> None:
        """Send everything that is durable, in order; raises as ``commit`` does."""
        held = self._held
        durable = self._journal.durable()
        if not held or held[0].position > durable:
            return
        ready: list[Held] = []
        while held and held[0].position <= durable:
            ready.append(held.popleft())
        self._send(ready)

    def _send(self, ready: list[Held]) -> None:
        commands = _joined([each.commands for each in ready if len(each.commands)])
        if commands is not None:
            if self._orders is not None:
                self._orders.send(commands)
            for each in ready:
                if len(each.commands) and each.cause_ts:
                    self._on_sent(each.cause_ts)
        events = _joined([each.events for each in ready if len(each.events)])
        if events is not None:
            self._events.send(events)
            self.held_events -= len(events)

    def take_wake(self) -> None:
        """The journal has woken the loop: send what may leave now."""
        self._journal.take_wake()
        self.release()

    @property
    def full(self) -> bool:
        """Whether so much waits for the disk that no more should be added."""
        return self._journal.pending_bytes > self._bound

    def wait(self, timeout_s: float) -> None:
        """Wait until the disk has got further, and send what may leave then."""
        if select.select([self._journal.wake_fd], [], [], timeout_s)[0]:
            self.take_wake()

    def finish(self) -> None:
        """Wait until everything is durable, and send it."""
        self.commit()
        self._journal.wait_durable()
        self.release()


def _joined(parts: list[Records]) -> Records | None:
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
