"""A sandbox of HTX and an order gateway that trades on it, for one test each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from gateways.orders.clock import Clock
from gateways.orders.htx_linear import HtxLinear
from gateways.sandbox.htx.linear_venue import LinearVenue
from gateways.sandbox.server import Sandbox
from gateways.sandbox.stand_ins import STAND_INS
from gateways.sidecar import open_recording
from oms.instruments import Instrument
from tests.gateways.orders.booth import DEADLINE_S, Booth
from tests.gateways.reference import SPOT_FILE
from tests.gateways.sandbox.desk import RECORDING

CONTRACT: Final = next(each for each in STAND_INS["binance_usdm", "BTCUSDT"] if each.venue == "htx_linear")
SPOT: Final = next(each for each in STAND_INS["binance_spot", "BTCUSDT"] if each.venue == "htx_spot")
RECORDINGS: Final = {CONTRACT.venue: RECORDING, SPOT.venue: SPOT_FILE}


class HtxBooth(Booth):
    """As ``Booth``."""

    @property
    def htx(self) -> HtxLinear:
        """The venue."""
        venue = self.venue
        assert isinstance(venue, HtxLinear)
        return venue

    @property
    def side(self) -> LinearVenue:
        """The sandbox's side of what is HTX's own."""
        venue = self.sandbox.venue
        assert isinstance(venue, LinearVenue)
        return venue


def on_booth(
    clock: Callable[[], Clock] = Clock, instrument: Instrument = CONTRACT, *, is_open: bool = True, **options: Any
) -> Callable[[Callable[[HtxBooth], Awaitable[None]]], Callable[[], None]]:
    """As ``tests.gateways.orders.booth.on_booth``."""

    async def run(body: Callable[[HtxBooth], Awaitable[None]]) -> None:
        async with Sandbox(open_recording(RECORDINGS[instrument.venue]), instrument) as sandbox:
            sandbox.step(50)
            booth = HtxBooth(sandbox, clock(), **options)
            try:
                async with asyncio.timeout(DEADLINE_S):
                    if is_open:
                        await booth.open()
                    await body(booth)
            except TimeoutError:
                raise AssertionError(f"nothing more came; the gateway said: {booth.lines[-20:]}") from None
            finally:
                await booth.close()

    def decorate(body: Callable[[HtxBooth], Awaitable[None]]) -> Callable[[], None]:
        def test() -> None:
            asyncio.run(run(body))

        test.__name__ = body.__name__
        test.__doc__ = body.__doc__
        return test

    return decorate
