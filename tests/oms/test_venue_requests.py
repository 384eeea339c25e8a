"""Requests of one turn of the core go to the processes of their venues, each in its order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from oms.bus import Puller, Pusher, new_context
from oms.records import COMMAND, RecordKind, Source
from oms.venue_requests import VenueRequests

ANYWHERE = "tcp://127.0.0.1:*"
PATIENCE_MS = 10_000


class Venues:
    """Requests of two venues, and what reaches each: instruments 0 and 2 are of the first, 1 of the second."""

    def __init__(self) -> None:
        self.context = new_context()
        self.pullers = [Puller(self.context, ANYWHERE) for _ in range(2)]
        pushers = [Pusher(self.context, each.endpoint, RecordKind.COMMAND, Source.CORE) for each in self.pullers]
        self.requests = VenueRequests(pushers, {0: 0, 1: 1, 2: 0})

    def send(self, *instruments: int) -> None:
        """Ask for an order in each of some instruments, numbered by their place."""
        commands = np.zeros(len(instruments), COMMAND)
        commands["instrument"] = instruments
        commands["order_id"] = np.arange(len(instruments))
        self.requests.send_bytes(commands.tobytes())

    def received(self, venue: int) -> list[int]:
        """The orders of the next frame of a venue."""
        assert self.pullers[venue].socket.poll(PATIENCE_MS)
        frame = self.pullers[venue].receive()
        assert frame is not None
        assert frame.lost == 0
        return [int(each) for each in frame.records["order_id"]]

    def is_quiet(self, venue: int) -> bool:
        return self.pullers[venue].receive() is None


@pytest.fixture
def venues() -> Iterator[Venues]:
    made = Venues()
    yield made
    made.requests.close()
    for puller in made.pullers:
        puller.close()
    made.context.destroy(linger=0)


def test_frame_with_requests_for_several_venues_is_split(venues: Venues) -> None:
    venues.send(1, 0, 2, 1)
    assert (venues.received(0), venues.received(1)) == ([1, 2], [0, 3])
    venues.send(0)
    venues.send(1, 1)
    assert (venues.received(0), venues.received(1)) == ([0], [0, 1])
    assert venues.is_quiet(0)
    assert venues.is_quiet(1)


def test_request_about_an_instrument_of_no_venue_goes_to_one_that_refuses_it(venues: Venues) -> None:
    venues.send(9)
    assert venues.received(0) == [0]
