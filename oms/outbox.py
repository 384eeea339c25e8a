"""What the core wants to send, held in order until the journal has it as durable as it is to be.

Where a thread of the journal's syncs, that thread sends: nothing that may leave waits for the core's turn. The sockets
are then that thread's alone until it has ended.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Final, NamedTuple

from oms.bus import Publisher, Records, Sender
from oms.journal import Journal
from oms.records import COMMAND, EVENT, CommandKind, RecordKind
from oms.venue_requests import Requests

_STAYING: Final = bytes([CommandKind.HOLD, CommandKind.HELD_AMEND, CommandKind.HELD_CANCEL])
"""Kinds of requests that are in the journal only; the exchange is asked for all others."""
_SIZE: Final = COMMAND.itemsize
_KIND: Final = int(COMMAND.fields["kind"][1]) if COMMAND.fields else 0


class Held(NamedTuple):
    """The bytes of what one step, or the loop itself, has to send; ``cause_ts`` 0: no request that anyone waits for."""

    commands: bytes = b""
    events: bytes = b""
    definitions: bytes = b""
    cause_ts: int = 0


class Outbox:
    """Requests to the exchange, events and definitions, on their way out.

    Parameters
    ----------
    journal : Journal
    events : Publisher
        Its socket tells definitions too.
    orders : Requests or None
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
        orders: Requests | None,
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

    def add(self, commands: bytes, events: bytes, cause_ts: int) -> None:
        """Take the requests and events of a step that have been appended to the journal."""
        leaving = _leaving(commands)
        self._new.append(Held(leaving, events, cause_ts=cause_ts if leaving else 0))
        self._taken += len(events) // EVENT.itemsize

    def add_definitions(self, definitions: Records) -> None:
        """Take definitions in force, to be told once what has put them in force is durable."""
        self._new.append(Held(definitions=definitions.tobytes()))

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
        if self._orders is not None:
            self._orders.send_bytes(b"".join([each.commands for each in ready]))
        for each in ready:
            if each.cause_ts:
                self._on_sent(each.cause_ts)
        events = b"".join([each.events for each in ready])
        self._events.send_bytes(events)
        self._sent += len(events) // EVENT.itemsize
        for each in ready:
            self._definitions.send_bytes(each.definitions)

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


def _leaving(commands: bytes) -> bytes:
    """Those of some requests that leave."""
    kinds = commands[_KIND::_SIZE]
    if not any(kind in kinds for kind in _STAYING):
        return commands
    return b"".join(
        commands[number * _SIZE : (number + 1) * _SIZE] for number, kind in enumerate(kinds) if kind not in _STAYING
    )
