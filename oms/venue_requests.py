"""Requests on their way to the exchanges: each to the process of its instrument's venue."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from oms.bus import Pusher
from oms.records import COMMAND

_SIZE: Final = COMMAND.itemsize
_OFFSET: Final = int(COMMAND.fields["instrument"][1]) if COMMAND.fields else 0
_INSTRUMENT: Final = struct.Struct("<" + COMMAND["instrument"].char)


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
    places
        By number of an instrument which of them it is. What is about another instrument goes to the first one, which
        refuses it.
    """

    def __init__(self, pushers: Sequence[Pusher], places: Mapping[int, int]) -> None:
        self._pushers = tuple(pushers)
        self._places = dict(places)

    def send_bytes(self, payload: bytes) -> None:
        """Send COMMAND records, given as their bytes; those of one venue in one frame."""
        if len(self._pushers) == 1:
            self._pushers[0].send_bytes(payload)
            return
        parts: dict[int, list[bytes]] = {}
        for start in range(0, len(payload), _SIZE):
            (instrument,) = _INSTRUMENT.unpack_from(payload, start + _OFFSET)
            parts.setdefault(self._places.get(instrument, 0), []).append(payload[start : start + _SIZE])
        for place, records in parts.items():
            self._pushers[place].send_bytes(b"".join(records))

    def close(self) -> None:
        """Close the sockets."""
        for pusher in self._pushers:
            pusher.close()
