"""A liquidation in a whole backtest: on both clocks and on bars, in the ledger, the metrics and what is printed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from backtest.ledger import ACCOUNT
from backtest.market import Rows
from backtest.performance import report_of
from backtest.run import Backtest, run_backtest
from oms.cli import app
from oms.compiled import JIT
from oms.config import ConfigError, load_settings
from oms.margin_tiers import MarginTier
from oms.records import CASH_SCALE, TICK, TickFlag, TickKind
from tests.backtest.venue import BOTH, MS, START_NS, STRATEGIES, instrument, settings_of
from tests.docs.pages import ROOT, blocks, console_commands
from tests.limits import rich_account

pytestmark = pytest.mark.pure

TIERS: Final = (MarginTier(notional="0", initial_rate="0.05", maintenance_rate="0.05"),)
CONTRACT: Final = instrument(maker_fee_rate="0", taker_fee_rate="0", max_leverage="20", margin_tiers=TIERS)
WALLET: Final = "binance_usdm.USDT"
FEED_NS: Final = 5 * MS
PAGE: Final = ROOT / "docs/liquidation.md"


def falling(prices: range, step_ns: int = 100 * MS) -> Rows:
    """Full books around each mid price in turn, known ``FEED_NS`` after they were so at the exchange."""
    ticks = np.zeros(2 * len(prices), TICK)
    for at, px in enumerate(prices):
        for row, side in zip(ticks[2 * at : 2 * at + 2], (1, -1), strict=True):
            row["exch_ts"] = START_NS + at * step_ns
            row["local_ts"] = START_NS + at * step_ns + FEED_NS
            row["kind"] = TickKind.SNAPSHOT
            row["side"], row["px"], row["qty"] = side, px - side, 1_000
    ticks["update_id"] = np.repeat(np.arange(len(prices)) + 1, 2)
    ticks["flags"][::2] = TickFlag.FIRST
    ticks["flags"][1::2] = TickFlag.LAST
    return ticks


def ran(ticks: Rows, clock: str = "local", count: int = 1, **matching: Any) -> Backtest:
    """A backtest of ``count`` strategies that take 10 lots in all on 1000 of the currency."""
    account = msgspec.structs.replace(rich_account([CONTRACT]), leverage="20", balances={WALLET: "1000"})
    strategy = {"file": str(STRATEGIES / "all_in.py"), "instrument": "TEST0", "parameters": {"lots": 10.0 / count}}
    settings = settings_of(
        CONTRACT,
        matching={"model": "displayed", **matching},
        accounts={"paper": msgspec.to_builtins(account)},
        strategies=[strategy] * count,
    )
    return run_backtest(settings, ticks, clock=clock)


@pytest.mark.parametrize("count", [1, 2])
def test_the_results_tell_of_it_and_come_to_what_the_account_holds(count: int) -> None:
    backtest = ran(falling(range(1_000, 900, -1)), count=count)
    assert [(each.side, each.qty, each.price) for each in backtest.result.liquidations] == [
        ("long", str(10 // count), "901")
    ] * count
    assert backtest.core.st[0]["strategies"]["memory"][:count, 1].tolist() == [1] * count
    performance = backtest.performance()
    balance = int(backtest.core.st[0]["wallets"]["balance"][0, 0])
    assert balance == 0
    assert performance.whole.sample.equity[-1] == balance
    assert performance.whole.sample.equity.min() >= 0
    moves = performance.ledger.moves_of(performance.ledger.rows_of(owner=ACCOUNT))
    assert moves["realized_pnl"].sum() - moves["fee"].sum() == balance - 1_000 * CASH_SCALE
    report = report_of(performance)
    assert report.whole.metrics["liquidations"] == count
    assert [each.metrics["liquidations"] for each in report.strategies] == [1] * count
    assert [(each.is_liquidated, each.is_open, each.exit_price) for each in report.trades] == [
        (True, False, "901")
    ] * count
    assert report.whole.metrics["total_return"] == -1


def test_a_trade_that_the_strategy_ends_is_not_marked() -> None:
    report = report_of(ran(falling(range(1_000, 960, -1))).performance())
    assert report.whole.metrics["liquidations"] == 0
    assert [each.is_liquidated for each in report.trades] == [False]


@pytest.mark.parametrize(("clock", "known_ns"), [("local", 0), ("dual", -FEED_NS)])
def test_it_comes_when_the_exchange_sees_the_mark(clock: str, known_ns: int) -> None:
    backtest = ran(falling(range(1_000, 900, -1)), clock, response_latency_us=2_000)
    (told,) = backtest.result.liquidations
    assert told.price == "901"
    assert told.ts == START_NS + 52 * 100 * MS + FEED_NS + known_ns + 2 * MS  # the mark is 948


@pytest.mark.parametrize(("clock", "known_ns"), [("local", 0), ("dual", -FEED_NS)])
def test_the_venues_mark_counts_on_both_clocks(clock: str, known_ns: int) -> None:
    books = falling(range(1_000, 999, -1))
    marks = np.zeros(3, TICK)
    marks["exch_ts"] = START_NS + MS * np.array([1_000, 2_000, 3_000])
    marks["local_ts"] = marks["exch_ts"] + FEED_NS
    marks["kind"], marks["flags"], marks["px"] = TickKind.MARK, BOTH, [990, 949, 948]
    (told,) = ran(np.concatenate([books, marks]), clock).result.liquidations
    assert told.ts == START_NS + 3_000 * MS + FEED_NS + known_ns


@pytest.mark.parametrize("clock", ["local", "dual"])
def test_off_it_goes_on(clock: str) -> None:
    backtest = ran(falling(range(1_000, 900, -1)), clock, liquidation="off")
    assert backtest.result.liquidations == ()
    assert backtest.result.instruments[0].position == "10"


def bars(*rows: tuple[int, int, int, int]) -> Rows:
    """Bars of a minute: open, high, low, close."""
    ticks = np.zeros(len(rows), TICK)
    for at, (row, (px_open, high, low, close)) in enumerate(zip(ticks, rows, strict=True)):
        row["exch_ts"], row["local_ts"] = START_NS + at * 60_000 * MS, START_NS + (at + 1) * 60_000 * MS
        row["px"], row["px_2"], row["qty_2"], row["update_id"], row["qty"] = close, px_open, high, low, 100
    ticks["kind"] = TickKind.BAR
    ticks["flags"] = BOTH
    return ticks


def test_a_bar_s_low_is_enough() -> None:
    rows = (
        (1_000, 1_001, 999, 1_000),
        (1_001, 1_002, 990, 1_000),
        (1_000, 1_001, 940, 1_000),
        (1_000, 1_001, 999, 1_000),
    )
    backtest = ran(bars(*rows), model="bar")
    (told,) = backtest.result.liquidations
    assert (told.price, told.ts) == ("901", START_NS + 3 * 60_000 * MS)
    assert backtest.result.instruments[0].position == "0"


@pytest.mark.skipif(not JIT, reason="five runs")
def test_every_model_liquidates() -> None:
    for model in ("touch", "no_partial_fill", "partial_fill", "next_tick", "probabilistic"):
        assert len(ran(falling(range(1_000, 900, -1)), model=model).result.liquidations) == 1, model


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"liquidation": "maybe"}, "maybe"),
        ({"liquidation": "mark", "liquidation_fee_rate": "1.5"}, "liquidation_fee_rate 1.5 must be 0 to 1"),
        ({"liquidation": "mark", "liquidation_fee_rate": "-0.1"}, "liquidation_fee_rate -0.1 must be 0 to 1"),
        ({"liquidation": "mark", "liquidation_fee_rate": "much"}, "liquidation_fee_rate"),
        ({"liquidation_fee_rate": "0.01"}, 'set liquidation = "mark"'),
    ],
)
def test_settings_that_cannot_be_used_are_refused(given: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_settings(None, {"replay": {"file": "none"}, "matching": given})


def test_the_page_s_example_is_liquidated_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, language in (("all_in.py", "python"), ("prices.csv", "csv"), ("leveraged.toml", "toml")):
        Path(name).write_text(blocks(PAGE, language)[0])
    (words,) = console_commands(PAGE)
    printed = CliRunner().invoke(app, words[1:])
    assert printed.exit_code == 0, printed.output
    assert blocks(PAGE, "text")[0] in printed.stdout
    assert re.search(r"^liquidations +1 *$", printed.stdout, re.MULTILINE)
    figures = json.loads(CliRunner().invoke(app, [*words[1:], "--json"]).stdout)
    (told,) = figures["liquidations"]
    assert (told["side"], told["qty"], told["price"], told["fee"]) == ("long", "3.000", "56696.7", "0")
    assert float(figures["performance"]["whole"]["curve"]["equity"][-1]) == pytest.approx(0.1)
    off = Path("leveraged.toml").read_text() + '\n[matching]\nliquidation = "off"\n'
    Path("leveraged.toml").write_text(off)
    assert "liquidated" not in CliRunner().invoke(app, words[1:]).stdout
