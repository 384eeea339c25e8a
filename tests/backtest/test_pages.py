"""The Python on the pages about backtests and exchange models, run as it stands."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numba
import pytest

from backtest.execution_plot import LEGEND
from backtest.metrics import METRICS
from backtest.optimise.folds import KINDS
from backtest.optimise.pruning import PRUNERS
from backtest.optimise.samplers import SAMPLERS
from oms.compiled import cached_in, callback
from oms.core.state import STATE
from oms.exchange_model import use_model
from oms.records import COMMAND, TICK, OrderState, TimeInForce
from tests.backtest.consistency import check_model
from tests.backtest.venue import SIDES, Venue, mirrored_book
from tests.docs.pages import ROOT, blocks


@pytest.fixture
def touch(tmp_path: Path) -> Venue:
    """A venue with the example model of docs/matching.md."""
    file = tmp_path / "touch.py"
    file.write_text(blocks(ROOT / "docs/matching.md", "python")[0])
    spec = importlib.util.spec_from_file_location("touch_of_the_page", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    functions = {"on_request": COMMAND, "on_depth": TICK, "on_trade": TICK}
    with cached_in(tmp_path):
        model = {
            name: callback(getattr(module, name), numba.from_dtype(dtype), STATE, checked=False)
            for name, dtype in functions.items()
        }
    venue = Venue()
    use_model(venue.st, model)
    venue.kept_alive = model
    return venue


@SIDES
def test_the_example_model_does_what_the_page_says(touch: Venue, side: int) -> None:
    mirrored_book(touch, side, {1: 10}, {1: 1})
    taker = touch.submit(side, 1000 + side, 50)
    assert touch.fills(taker) == [(1000 + side, 50)]
    resting = touch.submit(side, 1000, 50)
    immediate = touch.submit(side, 1000, 50, TimeInForce.IOC)
    assert touch.state(immediate) is OrderState.EXPIRED
    moved = touch.submit(side, 1000 - side * 2, 50)
    touch.amend(moved, px=1000 - side)
    cancelled = touch.submit(side, 1000, 50)
    touch.cancel(cancelled)
    check_model(touch.st)
    touch.show((-side, 1000, 1))
    assert touch.fills(resting) == [(1000, 50)]
    assert touch.state(moved) is OrderState.LIVE
    assert touch.state(cancelled) is OrderState.CANCELLED
    check_model(touch.st)


def test_the_backtest_from_python_runs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    exec(blocks(ROOT / "docs/backtest.md", "python")[0], {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert int(lines[0].split()[0]) > 3


def test_the_execution_report_from_python_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    exec(blocks(ROOT / "docs/execution-report.md", "python")[0], {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("buy 0.")
    assert "filled, 100 %, in " in lines[1]
    assert "benchmark" in "".join(lines)
    assert lines[-1].strip() == LEGEND


def test_the_results_from_python_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    exec(blocks(ROOT / "docs/results.md", "python")[0].replace("sheet.html", str(tmp_path / "sheet.html")), {})
    out = capsys.readouterr().out
    assert out.splitlines()[0].endswith(" USDT")
    assert "the data are 20 s long" in out
    assert "shape: (3, 11)" in out
    assert (tmp_path / "sheet.html").exists()


def test_the_search_from_python_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("ZOMS_HOME", str(tmp_path))
    exec(blocks(ROOT / "docs/optimise.md", "python")[0], {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("{'half_spread_ticks': ")
    assert [line[:6] for line in lines[1:3]] == ["fold 1", "fold 2"]
    assert lines[3].startswith("Overfitting(tries=6, deflated_sharpe=None")
    assert len(lines) == 4 + 1 + 18


@pytest.mark.pure
def test_the_page_of_searches_names_every_choice() -> None:
    text = (ROOT / "docs/optimise.md").read_text()
    for name in (*SAMPLERS, *PRUNERS, *KINDS):
        assert f"`{name}" in text or name == "none"


@pytest.mark.pure
def test_the_page_of_results_has_every_metric_as_it_is_defined() -> None:
    rows = [f"| `{each.name}` | {each.unit} | {each.formula} | {each.source} |" for each in METRICS]
    assert "\n".join(rows) in (ROOT / "docs/results.md").read_text()
