"""Whole sessions on live market data of two sandboxes: on paper, and with real orders while processes are killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from gateways.credentials import variable
from oms.config import Settings, load_settings
from oms.records import OrderState, Reason, TradingState
from oms.session import TradingSession
from oms.snapshot import read_snapshot, snapshots
from rpc.client import Client
from tests.firm.settings import ACCOUNT, OKX, USDM, Market, Served, several_settings_file
from tests.gateways.live.test_process import ServedSandbox
from tests.test_killed_processes import LOOK_EVERY_S, Script, Watched

TERMS: Final = {"base": "BTC", "quote": "USDT", "maker_fee_rate": "0.0002", "taker_fee_rate": "0.0005"}
MARKETS: Final = tuple(
    market._replace(instrument=msgspec.structs.replace(market.instrument, **TERMS)) for market in (USDM, OKX)
)
VENUES: Final = [market.venue for market in MARKETS]
SYMBOLS: Final = [market.symbol for market in MARKETS]
MARKET_MAKERS = "".join(f'\n[[strategies]]\nfile = "market_maker"\ninstrument = "{symbol}"\n' for symbol in SYMBOLS)
SPEED = 1.0
TARGET = Decimal("0.15")
"""BTC that one venue's largest order (0.1) does not come to."""

pytestmark = pytest.mark.timeout(300)


class Playing:
    """The sandboxes of all venues, whose markets go on."""

    def __init__(self, serving: dict[str, ServedSandbox]) -> None:
        self.serving = serving
        self.accounts: dict[str, Any] = {
            venue: each.sandbox.venue.exchange.accounts[0] for venue, each in serving.items()
        }

    def settings(self, folder: Path, mode: str, more: str = "") -> Settings:
        served = [
            Served(market, each.sandbox.port, each.sandbox.ca_pem)
            for market, each in zip(MARKETS, self.serving.values(), strict=True)
        ]
        path = several_settings_file(folder, served, more)
        overrides = {"mode": mode, "data_dir": os.fspath(folder / "data"), "rpc_endpoint": f"ipc://{folder}/rpc"}
        return load_settings(path, overrides | ({"firm": {"trade": True}} if mode == "firm" else {}))

    def fills(self) -> dict[str, int]:
        return {venue: len(account.fills) for venue, account in self.accounts.items()}

    def far_bid(self, market: Market) -> str:
        """A price at which nobody will sell."""
        bid_px = self.serving[market.venue].sandbox.venue.exchange.bid_px
        return market.instrument.px_from_ticks(bid_px - bid_px // 100)

    def exposure(self) -> Decimal:
        """What the positions at all venues come to, BTC."""
        return sum((qty_of(market, self.accounts[market.venue].qty) for market in MARKETS), Decimal(0))


def qty_of(market: Market, lots: int) -> Decimal:
    """A quantity in BTC."""
    return lots * Decimal(market.instrument.lot) * Decimal(market.instrument.multiplier)


@pytest.fixture
def playing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Playing]:
    """Sandboxes whose markets go on, and their keys in the environment."""
    with ExitStack() as opened:
        serving = {
            market.venue: opened.enter_context(ServedSandbox(market.instrument, loop=True)) for market in MARKETS
        }
        for venue, each in serving.items():
            for part, name in (("key", "apiKey"), ("secret", "secret"), ("passphrase", "password")):
                monkeypatch.setenv(variable(venue, part), each.sandbox.login[name])
            each.call(lambda sandbox=each.sandbox: sandbox.step(50))
            market = each.call(lambda sandbox=each.sandbox: asyncio.ensure_future(sandbox.play(SPEED)))
            opened.callback(each.call, market.cancel)
        yield Playing(serving)


def test_the_same_settings_trade_on_paper(playing: Playing, tmp_path: Path) -> None:
    settings = playing.settings(tmp_path, "paper", MARKET_MAKERS)
    with TradingSession(settings) as session:
        counter = session.figures.now

        def script() -> Script:
            yield lambda: counter("core", "books_synced") == len(VENUES) and counter("core", "fills") > 3

        watched = Watched(session, script())
        assert session.run(watched.look, LOOK_EVERY_S), session.problems()
        assert watched.finished
        assert all(counter(f"gateway.{venue}", "ticks") > 0 for venue in VENUES)
    assert session.summary()["live"] == SYMBOLS
    assert not any(each.sandbox.venue.exchange.orders for each in playing.serving.values())


def test_core_and_exchanges_agree_whatever_is_killed(playing: Playing, tmp_path: Path) -> None:
    """Orders over two venues go on where one of them is away, and at both when it is back."""
    settings = playing.settings(tmp_path, "firm")
    orders = f"orders.{OKX.venue}"
    with TradingSession(settings) as session:
        children, counter, entry = session.supervisor.children, session.figures.now, session.figures.entry

        def route(side: Any, until: Decimal) -> Callable[[], bool]:
            with Client("router", settings.rpc_endpoint) as client:
                client.start_algorithm("sor", SYMBOLS[0], side, TARGET, venues=SYMBOLS[1:])
            return lambda: playing.exposure() == until

        def killed(name: str) -> Callable[[], bool]:
            before = children[orders].restarts
            os.kill(children[name].pid, signal.SIGKILL)
            return lambda: children[orders].restarts > before and everybody_trades()

        def everybody_trades() -> bool:
            counters = (counter("orders", "trades"), counter("core", "books_synced"))
            return session.supervisor.complete and counters == (len(VENUES), len(VENUES))

        def routed_everywhere() -> Script:
            before = playing.fills()
            while True:  # where all of it is to be had depends on two markets that move
                yield route("buy", TARGET)
                if all(count > before[venue] for venue, count in playing.fills().items()):
                    return
                yield route("sell", Decimal(0))

        def script() -> Script:
            yield everybody_trades
            yield from routed_everywhere()
            back = killed(orders)
            yield lambda: entry[OKX.symbol] is Reason.EXCHANGE_UNAVAILABLE
            assert entry[USDM.symbol] is Reason.NONE
            before = playing.fills()
            yield route("sell", Decimal(0))
            assert playing.fills()[USDM.venue] > before[USDM.venue]
            yield back
            yield from routed_everywhere()
            with Client("trader", settings.rpc_endpoint) as client:
                for market, qty in zip(MARKETS, ("0.01", "1"), strict=True):
                    client.place(market.symbol, "buy", qty, playing.far_bid(market))
            yield lambda: all(len(account.open_orders) == 1 for account in playing.accounts.values())
            yield killed("core")
            assert counter("core", "trading_state") == TradingState.HALTED
            assert not any(account.open_orders for account in playing.accounts.values())  # nobody watched them
            with Client("trader", settings.rpc_endpoint) as client:
                client.set_trading_state("active")
            yield route("sell", Decimal(0))

        watched = Watched(session, script())
        session.run(watched.look, LOOK_EVERY_S)
        assert watched.finished
        assert session.supervisor.failure == ""
        assert counter("orders", "left_open", default=1) == 0
    assert settings.account_dir.name == f"{ACCOUNT}.firm"
    check_equal(settings, playing)


def check_equal(settings: Settings, playing: Playing) -> None:
    """What the core has left behind is what the exchanges have."""
    tables = read_snapshot(snapshots(settings.snapshot_dir)[0]).tables
    assert not [row for row in tables["orders"] if row["order_id"] and row["state"] == OrderState.LIVE]
    wallets = {str(wallet): number for number, wallet in enumerate(settings.wallets)}
    for market in MARKETS:
        account = playing.accounts[market.venue]
        number = settings.instrument(market.symbol).id
        assert not account.open_orders
        assert int(tables["positions"][0, number, 0]["qty"]) == account.qty
        assert int(tables["wallets"][0, wallets[f"{market.venue}.USDT"]]["balance"]) == account.wallet
