"""The other side of the ``gateway`` benchmark, a process of its own: ``python -m benchmarks._gateway_hop WHICH ...``.

``live`` is the gateway's own code; ``raw`` hands each frame of a picows connection to a pyzmq socket as it is.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import Any

import picows
import uvloop
import zmq

from benchmarks._market import INSTRUMENT, market_maker_settings
from gateways.live.binance import USDM
from gateways.live.client import Policy
from gateways.live.market_data import LiveData
from gateways.live.route import Route, route_of
from gateways.venues import VENUES
from oms.bus import Publisher, new_context
from oms.compiled import compile_entries
from oms.config import SandboxSettings
from oms.instruments import Instrument
from oms.records import RecordKind, Source

PATIENT = Policy(silent_s=3600.0, snapshot_every_s=0.05)


class _Forwarding(picows.WSListener):
    """Sends on what comes."""

    def __init__(self, socket: zmq.Socket[Any]) -> None:
        self._socket = socket

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type == picows.WSMsgType.TEXT:
            self._socket.send(frame.get_payload_as_bytes())


def listened_to(endpoint: str) -> Publisher:
    """A socket that drops nothing, with its subscriber."""
    publisher = Publisher(new_context(), endpoint, RecordKind.TICK, Source.GATEWAY, lossless=True)
    while not publisher.poll_subscribers(timeout_ms=100):
        pass
    return publisher


async def raw(route: Route, instrument: Instrument, endpoint: str) -> None:
    """Connect again and again, as often as the connection ends."""
    socket = listened_to(endpoint).socket

    async def opened(address: Any) -> Any:
        return await route.connected(address.host, address.port)

    while True:
        transport, _ = await picows.ws_connect(
            lambda: _Forwarding(socket),
            USDM.feeds(instrument)[0].url,
            ssl_context=route.tls,
            socket_factory=opened,
        )
        await transport.wait_disconnected()


async def live(route: Route, instrument: Instrument, endpoint: str) -> None:
    """The gateway as its process runs it."""
    data = LiveData([instrument], route, listened_to(endpoint), PATIENT)
    running = asyncio.ensure_future(data.run())
    while not running.done():
        data.look()
        await asyncio.wait((running,), timeout=0.05)
    await running


if __name__ == "__main__":
    which, port, ca_file, address = sys.argv[1:]
    compile_entries()
    way = route_of(SandboxSettings(port=int(port), ca=ca_file), VENUES["binance_usdm"].hosts)
    traded = market_maker_settings("").instrument(INSTRUMENT)
    gc.collect()
    gc.freeze()
    uvloop.run({"raw": raw, "live": live}[which](way, traded, address))
