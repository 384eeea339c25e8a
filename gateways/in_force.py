"""The definition of an instrument that the core has in force: what a gateway's ticks are counted in."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import zmq

from oms.bus import Subscriber
from oms.config import Settings
from oms.instruments import Instrument
from oms.records import RecordKind


class InForce:
    """Follows what the core says: once a heartbeat, and as soon as a version is put in force.

    Attributes
    ----------
    instrument : Instrument
        The definition in force, as far as is known; before the core has said anything the settings' one.
    heard : int
        Times that the core has said which it is.
    unknown : int
        Of them those whose version is not among the account's definitions: then the one before stays.
    """

    def __init__(self, settings: Settings, context: zmq.Context[Any], instrument: Instrument) -> None:
        self.instrument = instrument
        self.heard = 0
        self.unknown = 0
        self._definitions = settings.definitions()
        self._frames = Subscriber(context, [settings.events_endpoint], [RecordKind.DEFINITION])

    def look(self) -> Instrument:
        """Take what the core has said, and return the definition in force."""
        while (frame := self._frames.receive()) is not None:
            for said in frame.records[frame.records["instrument"] == self.instrument.id]:
                self.heard += 1
                self._take(int(said["version"]))
        return self.instrument

    def _take(self, version: int) -> None:
        if version == self.instrument.version:
            return
        found = self._definitions.of(self.instrument.id, version)
        if found is not None:
            self.instrument = found
            return
        if not self.unknown:
            sys.stderr.write(
                f"{self.instrument.symbol} trades in version {version}, which is not among the account's definitions:"
                " its ticks are refused until it is; bring versions by zoms redefine\n"
            )
        self.unknown += 1

    def wait(self, timeout_s: float, going_on: Callable[[], bool]) -> Instrument:
        """Wait until the core has said which it is, at most so long, and as long as ``going_on()``."""
        deadline = time.monotonic() + timeout_s
        while not self.heard and going_on() and (left_s := deadline - time.monotonic()) > 0:
            self._frames.socket.poll(int(min(left_s, 0.05) * 1000) + 1)
            self.look()
        return self.instrument

    def close(self) -> None:
        self._frames.close()
