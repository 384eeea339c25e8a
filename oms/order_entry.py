"""Whether new orders may leave for a venue, as the core is told by others than the venue's own process."""

from __future__ import annotations

from typing import Any

import numpy as np
import zmq

from oms.bus import Records, Sender, new_socket, takes_output
from oms.config import Settings
from oms.records import REPORT, Reason, RecordKind, ReportKind, Source


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


class EntryCloser:
    """Tells the core that a venue's process has ended, so that no order is sent there which nobody would take.

    Nothing waits for a core that is not there: a new one begins with every venue closed.

    Parameters
    ----------
    settings, context
    """

    def __init__(self, settings: Settings, context: zmq.Context[Any]) -> None:
        self._settings = settings
        socket = new_socket(context, zmq.PUSH)
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.connect(settings.core_endpoint)
        self._sender = Sender(socket, RecordKind.REPORT, Source.SUPERVISOR)

    def close_venue(self, venue: str) -> None:
        """Have the core send no new orders to a venue."""
        if takes_output(self._sender.socket):
            self._sender.send(closed_entry(self._settings, Reason.EXCHANGE_UNAVAILABLE, venue))
