"""What the core is told when a venue's process ends: in words of the bus, and again until it has been told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from oms.bus import Frame, Puller, new_context
from oms.config import Settings
from oms.order_entry import VenueCloser
from oms.records import Reason, RecordKind, ReportKind, TickKind
from tests.firm.settings import BOTH, firm_settings

PATIENCE_S = 20.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = firm_settings(tmp_path, served=BOTH)
    settings.socket_dir.mkdir(parents=True)
    return settings


@pytest.fixture
def context() -> Iterator[zmq.Context[Any]]:
    made = new_context()
    yield made
    made.destroy(linger=0)


def told(closer: VenueCloser, core: Puller, count: int) -> list[Frame]:
    """The next frames that come while the closer goes on."""
    frames: list[Frame] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(frames) < count:
        assert time.monotonic() < deadline
        closer.step()
        if core.socket.poll(10) and (frame := core.receive()) is not None:
            frames.append(frame)
    return frames


def test_core_that_takes_nothing_is_told_as_soon_as_it_does(settings: Settings, context: zmq.Context[Any]) -> None:
    closer = VenueCloser(settings, context)
    venue, other = settings.venues
    for role in ("orders", "gateway", "rpc"):
        closer.on_exit(role, venue)
    closer.on_exit("orders", other)
    closer.step()
    closer.on_ready("orders", other)
    books, entry = told(closer, Puller(context, settings.core_endpoint), 2)
    of_venue = [each.id for each in settings.instruments if each.venue == venue]
    assert (entry.header.kind, books.header.kind) == (RecordKind.REPORT, RecordKind.TICK)
    assert entry.records["instrument"].tolist() == books.records["instrument"].tolist() == of_venue
    assert set(entry.records["kind"].tolist()) == {ReportKind.ORDER_ENTRY}
    assert set(entry.records["reason"].tolist()) == {Reason.EXCHANGE_UNAVAILABLE}
    assert set(books.records["kind"].tolist()) == {TickKind.STALE}


def test_what_has_been_told_is_not_told_again(settings: Settings, context: zmq.Context[Any]) -> None:
    closer = VenueCloser(settings, context)
    core = Puller(context, settings.core_endpoint)
    venue, other = settings.venues
    closer.on_exit("gateway", venue)
    first = told(closer, core, 1)[0]
    closer.on_exit("gateway", other)
    second = told(closer, core, 1)[0]
    assert first.records["instrument"].tolist() != second.records["instrument"].tolist()
