"""A whole session with real orders on a sandbox while everything goes wrong and its processes are killed.

A seed fixes what is done and what goes wrong; how it interleaves is the machine's, so a seed that fails is tried again
as it is: ``ZOMS_CHAOS_SEED=1234 ZOMS_CHAOS_SEEDS=1 make thorough``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateways.sandbox.faults import FaultPlan
from gateways.sandbox.htx.front import Front as HtxFront
from gateways.sandbox.server import Sandbox
from gateways.sidecar import open_recording
from oms.config import write_session
from tests.firm.desk import Chaos, FirmDesk
from tests.firm.settings import ALIKE, MARKETS, USDM, Market, firm_settings
from tests.firm.zygote import Zygote
from tests.gateways.orders.test_chaos import RATES

ACTIONS = 200
RARELY = {"reconcile_s": 1e6, "dead_man_s": 3600.0}
"""What is done again and again is further apart than the waits that the clock skips."""
FIRST_SEED = int(os.environ.get("ZOMS_CHAOS_SEED", "1000"))
VENUE = os.environ.get("ZOMS_CHAOS_VENUE", USDM.venue)
SEEDS = int(os.environ.get("ZOMS_CHAOS_SEEDS", "1000"))


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    session_file = write_session(firm_settings(tmp_path_factory.mktemp("zygote"), more=USDM.market_maker))
    with Zygote(session_file) as ready:
        yield ready


def run_seed(seed: int, zygote: Zygote, folder: Path, market: Market = USDM) -> None:
    async def body() -> None:
        recording = open_recording(market.recording)
        async with Sandbox(recording, market.instrument, loop=True, balance=market.balance) as sandbox:
            sandbox.step(50)
            if isinstance(sandbox.venue, HtxFront):
                sandbox.venue.limits.charge = lambda *_: {}  # type: ignore[method-assign]  # waits take no time here
            desk = FirmDesk(
                sandbox,
                zygote,
                folder,
                market,
                market.market_maker,
                firm={"trade": True, "orders_at_end": "keep", **RARELY},
            )
            try:
                desk.start_core()
                desk.start_data()
                await desk.core_is_ready()
                await desk.start_orders()
                await desk.orders_leave()
                await Chaos(desk, seed).run(ACTIONS, FaultPlan(seed, RATES))
                await desk.stop_orders()
                await desk.stop_core()
                desk.check_equal()
                assert sandbox.venue.exchange.orders
            finally:
                await desk.close()

    asyncio.run(body())


@pytest.mark.parametrize("seed", range(2))
def test_core_has_what_the_exchange_has(seed: int, zygote: Zygote, tmp_path: Path) -> None:
    run_seed(seed, zygote, tmp_path)


@pytest.mark.parametrize(
    "venue",
    [
        pytest.param(name, marks=pytest.mark.thorough) if name in ALIKE else name
        for name in MARKETS
        if name != USDM.venue
    ],
)
def test_every_venue(venue: str, zygote: Zygote, tmp_path: Path) -> None:
    run_seed(1, zygote, tmp_path, MARKETS[venue])


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SEEDS))
def test_core_has_what_the_exchange_has_thoroughly(seed: int, zygote: Zygote, tmp_path: Path) -> None:
    run_seed(seed, zygote, tmp_path, MARKETS[VENUE])
