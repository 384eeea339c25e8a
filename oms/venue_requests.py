"""Requests on their way to the exchanges: each to the process of its instrument's venue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import numpy as np

from oms.bus import Pusher
from oms.core.state import MAX_INSTRUMENTS
from oms.records import COMMAND

_SIZE: Final = COMMAND.itemsize


class Requests(Protocol):
    """What takes COMMAND records for exchanges: a ``Pusher``, or ``VenueRequests``."""

    def send_bytes(self, payload: bytes) -> None:
        """Send records, given as their bytes."""

    def close(self) -> None:
        """Send nothing more."""


class VenueRequests:
    """Sends each request to the process of its instrument's venue, in the order in which they come.

    Parameters
    ----------
    pushers
        Of COMMAND frames, one a venue.
    instruments
        By number of an instrument which of them it is. What is about another instrument goes to the first one, which
        refuses it.
    """

    def __init__(self, pushers: Sequence[Pusher], instruments: Mapping[int, int]) -> None:
        self._pushers = tuple(pushers)
        self._places = np.zeros(MAX_INSTRUMENTS, np.intp)
        for number, place in instruments.items():
            self._places[number] = place

    def send_bytes(self, payload: bytes) -> None:
        """Send COMMAND records, given as their bytes."""
        if len(self._pushers) == 1:
            self._pushers[0].send_bytes(payload)
            return
        commands = np.frombuffer(payload, COMMAND)
        places = self._places[commands["instrument"]]
        for place in dict.fromkeys(places.tolist()):
            self._pushers[place].send_bytes(commands[places == place].tobytes())

    def close(self) -> None:
        """Close the sockets."""
        for pusher in self._pushers:
            pusher.close()
