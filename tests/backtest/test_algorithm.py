"""One parent order over a recording: it is worked as in a session, and measured by what the market was."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from backtest.algorithm import ParentRequest, ParentRun, run_parent
from backtest.data.opening import open_sources
from backtest.execution import execution_report
from backtest.market import market_of
from backtest.run import BacktestError, run_backtest
from oms.algorithms import AlgorithmError, read_algorithms
from oms.commands.backtest import run_algorithm, with_algorithm
from oms.config import Settings
from oms.core.state import TERMS_RING
from oms.decimals import GridError
from oms.instruments import Instrument
from oms.records import EventKind, OrderState, Reason
from tests.backtest.test_run import DEMO, demo_settings, demo_ticks
from tests.backtest.venue import STRATEGIES
from tests.docs.pages import ROOT, blocks

QTY = "0.4"
PARAMETERS: dict[str, dict[str, str]] = {
    "iceberg": {"display_qty": "0.05"},
    "twap": {"duration_s": "10"},
    "vwap": {"duration_s": "10"},
    "shortfall": {"duration_s": "10"},
    "stop": {"trail_ticks": "1"},
}
"""What each algorithm is given beside its defaults."""
LIMITED = {"sniper": 300, "iceberg": 0}
"""Algorithms that need a limit price, and how many ticks worse than the first mid it is."""


@cache
def quiet() -> Settings:
    return demo_settings(strategies=[])


@cache
def recorded() -> Instrument:
    return quiet().instrument("BTCUSDT.binance_usdm")


def ran(algorithm: str, side: str = "buy", **fields: Any) -> ParentRun:
    given = {"qty": QTY, "parameters": PARAMETERS.get(algorithm, {}), **fields}
    return run_parent(quiet(), demo_ticks(), recorded(), ParentRequest(algorithm, side, **given))


def limit_of(algorithm: str, side: str) -> str | None:
    if algorithm not in LIMITED:
        return None
    mid = int(market_of(recorded(), demo_ticks()).mids["half_ticks"][0]) // 2
    return recorded().px_from_ticks(mid + (1 if side == "buy" else -1) * LIMITED[algorithm])


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("algorithm", sorted(read_algorithms(())))
def test_every_algorithm_works_an_order_over_the_recording(algorithm: str, side: str) -> None:
    run = ran(algorithm, side, price=limit_of(algorithm, side))
    parent = run.parent
    report = execution_report(parent, market_of(recorded(), demo_ticks()))
    assert parent.filled_qty <= parent.target_qty
    assert parent.filled_qty > 0
    assert report.average_price is not None
    assert report.benchmark("arrival").slippage_bps is not None
    if run.state == OrderState.FILLED:
        assert parent.filled_qty == parent.target_qty
        (slippage,) = run.backtest.performance().slippage
        assert (slippage.algorithm, slippage.parents, slippage.filled) == (algorithm, 1, report.filled)
        arrival = float(report.benchmark("arrival").slippage_bps or "nan")
        assert slippage.slippage_bps == slippage.worst_bps == pytest.approx(arrival, abs=1e-4)
    assert run.backtest.result.problems == ()
    position = run.backtest.core.st[0]["positions"][0, recorded().id, 0]
    assert int(position["qty"]) == parent.side * parent.filled_qty


def test_a_run_comes_out_the_same_every_time() -> None:
    first, second = ran("iceberg", price=limit_of("iceberg", "buy")), ran("iceberg", price=limit_of("iceberg", "buy"))
    assert np.array_equal(first.backtest.events, second.backtest.events)


def test_it_starts_when_it_is_to() -> None:
    ticks = demo_ticks()
    run = ran("best-limit", start_s=5)
    assert abs(run.parent.start_ts - int(ticks["local_ts"][0]) - 5_000_000_000) < 100_000_000


@pytest.mark.parametrize(
    ("fields", "error", "told"),
    [
        ({"algorithm": "twop"}, BacktestError, "there is no algorithm 'twop': there are best-limit, "),
        ({"side": "long"}, BacktestError, "side 'long' is neither buy nor sell"),
        ({"qty": "0.0005"}, GridError, "0.0005"),
        ({"price": "61000.05"}, GridError, "61000.05"),
        ({"parameters": {"much": "1"}}, AlgorithmError, "best-limit has no parameter 'much'"),
        ({"start_s": 1e6}, BacktestError, "the data end before the order starts"),
        ({"qty": "99999999"}, BacktestError, "the order was refused: QTY_ABOVE_MAX"),
    ],
)
def test_what_cannot_be_is_named(fields: dict[str, Any], error: type[Exception], told: str) -> None:
    request = {"algorithm": "best-limit", "side": "buy", "qty": QTY, **fields}
    with pytest.raises(error, match=told):
        run_parent(quiet(), demo_ticks(), recorded(), ParentRequest(**request))


def test_an_order_beyond_the_position_limit_says_so() -> None:
    (problem,) = ran("best-limit", qty="1.2").backtest.result.problems
    assert problem.startswith("the order is for 1.200 and max_position of BTCUSDT.binance_usdm is 1.000: ")


def test_the_algorithm_of_every_order_is_known_however_many_there_are() -> None:
    strategies = [{"file": str(STRATEGIES / "restarter.py"), "instrument": "BTCUSDT.binance_usdm"}]
    backtest = run_backtest(demo_settings(strategies=strategies), demo_ticks())
    held = backtest.events[backtest.events["kind"] == EventKind.ORDER_HELD]
    assert len(held) > TERMS_RING
    assert set(backtest.algorithms) == set(held["order_id"].tolist())
    assert {each.algorithm for each in backtest.performance().slippage} == {"best-limit"}


def test_parameters_that_do_not_go_together_reject_the_order() -> None:
    run = ran("stop", parameters={})
    assert (run.state, run.reason) == (OrderState.REJECTED, Reason.BAD_PARAMETER)


def test_the_page_s_own_algorithm_works(tmp_path: Path) -> None:
    (tmp_path / "patient.py").write_text(blocks(ROOT / "docs" / "own-algorithms.md", "python")[0])
    chosen, name = with_algorithm(quiet(), str(tmp_path / "patient.py"))
    request = ParentRequest(name, "buy", QTY, parameters={"patience_s": "5"})
    run = run_parent(chosen, demo_ticks(), recorded(), request)
    assert (name, run.state) == ("patient", OrderState.FILLED)


def test_every_figure_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = demo_settings(strategies=[], replay={"file": str(DEMO), "duration_s": 15})
    request = ParentRequest("twap", "sell", QTY, parameters={"duration_s": "8"})
    run_algorithm(chosen, open_sources([DEMO], chosen)[0], request, "local", tmp_path / "plot.png", as_json=False)
    told = capsys.readouterr().out
    for figure in ("arrival", "TWAP", "VWAP", "POV", "shortfall", "off schedule", "twap: filled"):
        assert figure in told
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    run_algorithm(chosen, open_sources([DEMO], chosen)[0], request, "local", None, as_json=True)
    assert msgspec.json.decode(capsys.readouterr().out)["state"] == "filled"
