"""A whole session with real orders at each venue, while its processes are killed: ``make thorough``."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateways.credentials import variable
from gateways.sandbox.server import Sandbox
from gateways.sidecar import open_recording
from oms.config import load_settings
from oms.records import TradingState
from oms.session import TradingSession
from rpc.client import Client
from tests.firm.settings import MARKETS, USDM, Market, settings_file
from tests.gateways.live.test_process import ServedSandbox
from tests.test_killed_processes import LOOK_EVERY_S, Script, Watched

SPEED = 3.0

pytestmark = [pytest.mark.timeout(600), pytest.mark.thorough]


class ServedMarket(ServedSandbox):
    """A market's sandbox."""

    def __init__(self, market: Market) -> None:
        super().__init__(loop=True)
        recording = open_recording(market.recording)
        self.sandbox = Sandbox(recording, market.instrument, loop=True, balance=market.balance)


@pytest.fixture(params=[name for name in MARKETS if name != USDM.venue])
def market(request: pytest.FixtureRequest) -> Market:
    """Each of those that ``test_session`` does not trade."""
    return MARKETS[request.param]


@pytest.fixture
def playing(market: Market, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedMarket]:
    """A sandbox whose market goes on, and its keys in the environment."""
    with ServedMarket(market) as serving:
        sandbox = serving.sandbox
        for part, name in (("key", "apiKey"), ("secret", "secret"), ("passphrase", "password")):
            monkeypatch.setenv(variable(market.venue, part), sandbox.login[name])
        serving.call(lambda: sandbox.step(50))
        moving = serving.call(lambda: asyncio.ensure_future(sandbox.play(SPEED)))
        yield serving
        serving.call(moving.cancel)


def test_core_and_exchange_agree_whatever_is_killed(market: Market, playing: ServedMarket, tmp_path: Path) -> None:
    sandbox = playing.sandbox
    path = settings_file(tmp_path, port=sandbox.port, ca_pem=sandbox.ca_pem, more=market.market_maker, market=market)
    overrides = {"mode": "firm", "firm": {"trade": True}, "rpc_endpoint": f"ipc://{tmp_path}/rpc"}
    settings = load_settings(path, {**overrides, "data_dir": os.fspath(tmp_path / "data")})
    account = sandbox.venue.exchange.accounts[0]
    names = (market.symbol, market.instrument.symbol)  # what alone is called so is told without its venue

    def qty() -> str:
        """What the exchange's fills come to."""
        return market.instrument.qty_from_lots(sum(fill.order.side * fill.qty for fill in account.fills))

    def told_qty(client: Client) -> str:
        """What the core's position comes to: of none, as of spot that is all sold, nothing is told."""
        told = [each for each in client.positions() if each.symbol in names and each.strategy is None]
        return told[0].qty if told else market.instrument.qty_from_lots(0)

    with TradingSession(settings) as session:
        children, counter = session.supervisor.children, session.figures.now
        (orders,) = (name for name in children if name.startswith("orders"))

        def killed(name: str) -> Callable[[], bool]:
            before = children[orders].restarts
            os.kill(children[name].pid, signal.SIGKILL)
            return lambda: children[orders].restarts > before and counter(orders, "trades") > 0

        def more_fills() -> Callable[[], bool]:
            before = len(account.fills)
            return lambda: len(account.fills) > before + 3

        def script() -> Script:
            yield more_fills()
            yield killed(orders)
            yield more_fills()
            yield killed("core")
            assert counter("core", "trading_state") == TradingState.HALTED
            assert not account.open_orders  # nobody watched them meanwhile
            with Client("trader", settings.rpc_endpoint) as client:
                yield lambda: told_qty(client) == qty()
                client.set_trading_state("active")
            yield more_fills()

        watched = Watched(session, script())
        session.run(watched.look, LOOK_EVERY_S)
        assert watched.finished, session.problems()
        assert session.supervisor.failure == ""
        summary = session.summary()
    assert not account.open_orders
    (shown,) = [each for each in summary["positions"] if each["instrument"] in names]
    assert shown["qty"] == qty()
