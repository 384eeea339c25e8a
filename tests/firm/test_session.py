"""Whole sessions on live market data of a sandbox: on paper, and with real orders while its processes are killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateways.credentials import variable
from oms.config import Settings, load_settings
from oms.records import TradingState
from oms.session import TradingSession
from rpc.client import Client
from tests.firm.settings import ACCOUNT, SYMBOL, settings_file
from tests.gateways.live.test_process import ServedSandbox
from tests.test_killed_processes import LOOK_EVERY_S, Script, Watched

VENUE = "binance_usdm"
ORDERS = f"orders.{VENUE}"
MARKET_MAKER = f"""
[[strategies]]
file = "market_maker"
instrument = "{SYMBOL}"
"""
SPEED = 3.0

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def playing(monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedSandbox]:
    """A sandbox whose market goes on, and its keys in the environment."""
    with ServedSandbox(loop=True) as serving:
        sandbox = serving.sandbox
        for part, name in (("key", "apiKey"), ("secret", "secret")):
            monkeypatch.setenv(variable(VENUE, part), sandbox.login[name])
        serving.call(lambda: sandbox.step(50))
        market = serving.call(lambda: asyncio.ensure_future(sandbox.play(SPEED)))
        yield serving
        serving.call(market.cancel)


def settings_of(folder: Path, serving: ServedSandbox, mode: str, more: str = MARKET_MAKER) -> Settings:
    path = settings_file(folder, port=serving.sandbox.port, ca_pem=serving.sandbox.ca_pem, more=more)
    overrides = {"mode": mode, "data_dir": os.fspath(folder / "data"), "rpc_endpoint": f"ipc://{folder}/rpc"}
    return load_settings(path, overrides | ({"firm": {"trade": True}} if mode == "firm" else {}))


def test_the_same_settings_trade_on_paper(playing: ServedSandbox, tmp_path: Path) -> None:
    with TradingSession(settings_of(tmp_path, playing, "paper")) as session:

        def script() -> Script:
            yield lambda: session.figures.now("core", "fills") > 3

        watched = Watched(session, script())
        assert session.run(watched.look, LOOK_EVERY_S), session.problems()
        assert watched.finished
    assert session.summary()["live"] == [SYMBOL]
    assert not playing.sandbox.venue.exchange.orders


def test_core_and_exchange_agree_whatever_is_killed(playing: ServedSandbox, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, playing, "firm")
    account = playing.sandbox.venue.exchange.accounts[0]
    with TradingSession(settings) as session:
        children = session.supervisor.children
        counter = session.figures.now

        def killed(name: str) -> Callable[[], bool]:
            before = children[ORDERS].restarts
            os.kill(children[name].pid, signal.SIGKILL)
            return lambda: children[ORDERS].restarts > before and counter("orders", "trades") > 0

        def more_fills() -> Callable[[], bool]:
            before = len(account.fills)
            return lambda: len(account.fills) > before + 3

        def script() -> Script:
            yield more_fills()
            yield killed(ORDERS)
            yield more_fills()
            yield killed("core")
            assert counter("core", "trading_state") == TradingState.HALTED
            assert not account.open_orders  # nobody watched them meanwhile
            with Client("trader", settings.rpc_endpoint) as client:
                (position,) = [each for each in client.positions() if each.symbol == SYMBOL and each.strategy is None]
                assert position.qty == playing.sandbox.venue.instrument.qty_from_lots(account.qty)
                client.set_trading_state("active")
            yield more_fills()

        watched = Watched(session, script())
        session.run(watched.look, LOOK_EVERY_S)
        assert watched.finished
        assert session.supervisor.failure == ""
        assert session.figures.now("orders", "left_open", default=1) == 0
        summary = session.summary()
    assert not account.open_orders
    instrument = playing.sandbox.venue.instrument
    (position,) = [each for each in summary["positions"] if each["instrument"] == SYMBOL]
    assert position["qty"] == instrument.qty_from_lots(account.qty)
    assert summary["mode"] == "firm"
    assert settings.account_dir.name == f"{ACCOUNT}.firm"
