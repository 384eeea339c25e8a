"""Whether a venue can be traded at, as the core is told by others than the venue's own processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import zmq

from oms.bus import Records, Sender, new_socket, takes_output
from oms.config import Settings
from oms.records import REPORT, TICK, Reason, RecordKind, ReportKind, Source, TickFlag, TickKind


def closed_entry(settings: Settings, reason: Reason, venue: str = "") -> Records:
    """Reports by which no new order leaves any more, until the venue's process says otherwise.

    Parameters
    ----------
    settings
    reason
        Why none does.
    venue
        Whose instruments; empty: all.
    """
    numbers = [each.id for each in settings.instruments if venue in ("", each.venue)]
    reports = np.zeros(len(numbers), REPORT)
    reports["kind"] = ReportKind.ORDER_ENTRY
    reports["instrument"] = numbers
    reports["reason"] = reason
    return reports


def stale_books(settings: Settings, venue: str) -> Records:
    """Ticks by which the books of a venue are not traded on until its process sends them anew."""
    numbers = [each.id for each in settings.live_instruments if each.venue == venue]
    ticks = np.zeros(len(numbers), TICK)
    ticks["kind"] = TickKind.STALE
    ticks["instrument"] = numbers
    ticks["flags"] = TickFlag.FIRST | TickFlag.LAST
    return ticks


class VenueCloser:
    """Tells the core that a process of a venue has ended, so that no order is sent there which nobody would take, and
    no book is traded on which nobody keeps.

    What the core cannot take at once is tried again with each ``step``, until it has been sent or the process is ready
    again. A new core begins with every venue closed and no book.

    Parameters
    ----------
    settings, context
    """

    def __init__(self, settings: Settings, context: zmq.Context[Any]) -> None:
        self._settings = settings
        self._socket = new_socket(context, zmq.PUSH)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._socket.connect(settings.core_endpoint)
        self._reports = Sender(self._socket, RecordKind.REPORT, Source.SUPERVISOR)
        self._ticks = Sender(self._socket, RecordKind.TICK, Source.SUPERVISOR)
        self._close: dict[str, Callable[[str], None]] = {"orders": self._close_entry, "gateway": self._close_books}
        self._due: set[tuple[str, str]] = set()

    def on_exit(self, role: str, venue: str) -> None:
        """Take note that a process has ended."""
        if role in self._close:
            self._due.add((role, venue))

    def on_ready(self, role: str, venue: str) -> None:
        """Take note that a process is there, and says itself how things stand."""
        self._due.discard((role, venue))

    def step(self) -> None:
        """Tell the core what it has not been told yet, as far as it takes it."""
        for role, venue in sorted(self._due):
            if not takes_output(self._socket):
                return
            self._close[role](venue)
            self._due.discard((role, venue))

    def _close_entry(self, venue: str) -> None:
        self._reports.send(closed_entry(self._settings, Reason.EXCHANGE_UNAVAILABLE, venue))

    def _close_books(self, venue: str) -> None:
        self._ticks.send(stale_books(self._settings, venue))
