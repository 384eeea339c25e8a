"""A sandbox of OKX and an order gateway that trades on it, for one test each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from gateways.orders.clock import Clock
from gateways.orders.okx import Okx
from gateways.sandbox.okx.venue import Venue
from gateways.sandbox.server import Sandbox
from gateways.sandbox.stand_ins import STAND_INS
from gateways.sidecar import open_recording
from oms.instruments import Instrument
from tests.gateways.orders.booth import DEADLINE_S, Booth
from tests.gateways.sandbox.desk import RECORDING

SWAP: Final = STAND_INS["binance_usdm", "BTCUSDT"][0]
INVERSE_SWAP: Final = STAND_INS["binance_coinm", "BTCUSD_PERP"][0]
(SPOT,) = (each for each in STAND_INS["binance_spot", "BTCUSDT"] if each.venue == "okx_spot")
RECORDINGS: Final = {
    SWAP.symbol: RECORDING,
    SPOT.symbol: RECORDING.with_name("spot_btcusdt_20240808_30s.gz"),
    INVERSE_SWAP.symbol: Path(__file__).resolve().parents[2] / "data" / "coinm_btcusd_perp_20240808.gz",
}


class OkxBooth(Booth):
    """As ``Booth``."""

    @property
    def okx(self) -> Okx:
        """The venue."""
        venue = self.venue
        assert isinstance(venue, Okx)
        return venue

    @property
    def side(self) -> Venue:
        """The sandbox's side of what is OKX's own."""
        venue = self.sandbox.venue
        assert isinstance(venue, Venue)
        return venue


def on_booth(
    clock: Callable[[], Clock] = Clock,
    instrument: Instrument = SWAP,
    *,
    is_open: bool = True,
    deadline_s: float = DEADLINE_S,
    **options: Any,
) -> Callable[[Callable[[OkxBooth], Awaitable[None]]], Callable[[], None]]:
    """As ``tests.gateways.orders.booth.on_booth``."""

    async def run(body: Callable[[OkxBooth], Awaitable[None]]) -> None:
        async with Sandbox(open_recording(RECORDINGS[instrument.symbol]), instrument) as sandbox:
            sandbox.step(50)
            booth = OkxBooth(sandbox, clock(), **options)
            try:
                async with asyncio.timeout(deadline_s):
                    if is_open:
                        await booth.open()
                    await body(booth)
            except TimeoutError:
                raise AssertionError(f"nothing more came; the gateway said: {booth.lines[-20:]}") from None
            finally:
                await booth.close()

    def decorate(body: Callable[[OkxBooth], Awaitable[None]]) -> Callable[[], None]:
        def test() -> None:
            asyncio.run(run(body))

        test.__name__ = body.__name__
        test.__doc__ = body.__doc__
        return test

    return decorate
