"""The tear sheet: what stands on the page and in the picture is the result."""

from __future__ import annotations

import json
import struct
import sys
from decimal import Decimal
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects
import pytest

from backtest.metrics import METRICS, value_text
from backtest.performance import Performance, performance_of, report_of
from backtest.tear_sheet import TearSheetError, check_tear_sheet, save_tear_sheet
from backtest.tear_sheet_html import LISTED_TRADES, tear_sheet_html
from backtest.whole_file import FileError
from oms.records import CASH_SCALE, EVENT, EventKind
from tests.backtest.runs import DAY_START, long_run
from tests.backtest.test_performance import long_performance, long_settings
from tests.oms.core.builders import record


class Page(HTMLParser):
    """The tables, the plots and the scripts of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.plots: dict[str, dict[str, Any]] = {}
        self.notes: list[str] = []
        self.loads: list[str] = []
        self.title = ""
        self._table = self._plot = self._in = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.loads += [given[name] for name in ("src", "href") if name in given]
        self._in = tag
        if tag == "table":
            self._table = given["id"]
            self.tables[self._table] = []
        elif tag == "tr":
            self.tables[self._table].append([])
        elif tag in ("td", "th"):
            self.tables[self._table][-1].append("")
        elif tag == "script":
            self._plot = given.get("data-plot", "")
        elif (tag == "p" and "note" in given.get("class", "")) or tag == "li":
            self.notes.append("")
            self._in = "note"

    def handle_data(self, data: str) -> None:
        if self._in in ("td", "th"):
            self.tables[self._table][-1][-1] += data
        elif self._in == "script" and self._plot:
            self.plots[self._plot] = json.loads(data)
            self._plot = ""
        elif self._in == "note":
            self.notes[-1] += data
        elif self._in == "h1":
            self.title = data

    def handle_endtag(self, tag: str) -> None:
        self._in = ""


@cache
def page_of(count: int = 1, days: int = 40) -> Page:
    return Page(tear_sheet_html(long_performance(days, count)))


def trace(plot: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = [each for each in plot["data"] if each["name"] == name]
    return found


# The page


def test_every_plot_is_one_that_plotly_draws() -> None:
    for plot in page_of(3).plots.values():
        plotly.graph_objects.Figure(plot)  # raises for what it does not know


def test_equity_and_drawdown_are_the_results() -> None:
    report = report_of(long_performance())
    plot = page_of().plots["equity"]
    assert trace(plot, "whole")["y"] == [float(each) for each in report.whole.curve.equity]
    assert min(trace(plot, "drawdown")["y"]) == pytest.approx(report.whole.metrics["max_drawdown"])
    assert trace(plot, "whole")["x"][0] == "2024-01-01T00:00:00.000000"


def test_each_instrument_has_its_price_its_fills_and_its_position() -> None:
    settings = long_settings(3)
    events, marks = long_run(40, *settings.instruments)
    plots = page_of(3).plots
    assert list(plots) == ["equity", "instrument-0", "instrument-1", "instrument-2"]
    for number in range(3):
        plot = plots[f"instrument-{number}"]
        own = marks[marks["instrument"] == number]
        assert trace(plot, "price")["y"] == (own["half_ticks"] / 2).tolist()
        for side, name in ((1, "buy"), (-1, "sell")):
            fills = events[(events["instrument"] == number) & (events["side"] == side)]
            assert trace(plot, name)["y"] == fills["last_px"].tolist()
            assert trace(plot, name)["text"] == [f"{qty}" for qty in fills["last_qty"].tolist()]
        held = [int((fills_until(events, number, ts)).sum()) for ts in own["ts"].tolist()]
        assert trace(plot, "position")["y"] == held


def fills_until(events: Any, instrument: int, ts: int) -> Any:
    found = events[(events["instrument"] == instrument) & (events["ts"] <= ts)]
    return found["side"] * found["last_qty"]


def test_of_very_many_fills_one_in_so_many_is_drawn_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backtest.tear_sheet_html.MOST_FILLS", 100)
    text = tear_sheet_html(long_performance())
    assert "TEST0.binance_usdm (one in 3 of 240 fills is drawn)" in text
    plot = Page(text).plots["instrument-0"]
    assert len(trace(plot, "buy")["y"]) + len(trace(plot, "sell")["y"]) == 80


def test_the_metrics_are_the_results() -> None:
    performance = long_performance(40, 3)
    head, *rows = page_of(3).tables["metrics"]
    assert head == ["", "whole", "TEST0.binance_usdm", "TEST1.binance_usdm", "TEST2.binance_usdm"]
    for metric, row in zip(METRICS, rows, strict=True):
        values = [scope.figures.values[metric.name] for scope in performance.distinct_scopes]
        assert row == [metric.title, *(value_text(metric, value) for value in values)]


def test_the_months_are_the_results() -> None:
    report = report_of(long_performance())
    head, row = page_of().tables["months"]
    assert head == ["", *(f"{number:02d}" for number in range(1, 13)), "year"]
    assert row[0] == "2024"
    assert row[1:3] == [f"{each.total_return:.2%}" for each in report.whole.months]
    assert row[3:-1] == [""] * 10
    assert row[-1] == f"{report.whole.metrics['total_return']:.2%}"


def test_the_trades_are_the_results() -> None:
    trades = report_of(long_performance()).trades
    _, *rows = page_of().tables["trades"]
    assert [row[8] for row in rows] == [f"{each.net_pnl} {each.settlement}" for each in trades]
    assert [row[5] for row in rows] == [each.qty for each in trades]


def test_only_the_latest_trades_are_listed_and_that_is_said() -> None:
    settings = long_settings()
    count = LISTED_TRADES + 5
    events, marks = long_run(100, *settings.instruments, trips=count)
    text = tear_sheet_html(performance_of(settings, events, marks, ["market_maker"]))
    assert len(Page(text).tables["trades"]) == LISTED_TRADES + 1
    assert "<p>5 earlier trades are not listed.</p>" in text


def test_short_data_are_said_to_be_short() -> None:
    notes = page_of(1, 12).notes
    assert "12 days of data and 120 closed trades are too few to judge a strategy" in notes[0]
    assert any(note.startswith("no Sharpe ratio, Sortino ratio: the data are 12 days long") for note in notes)
    assert page_of().notes == []


def test_a_failure_stands_first_and_no_figure_with_it() -> None:
    settings = long_settings()
    why = "strategy market_maker failed at <noon>"
    performance = performance_of(settings, *long_run(40, *settings.instruments), ["market_maker"], failures=[why])
    page = Page(tear_sheet_html(performance))
    assert page.notes[0] == why
    assert {cell for row in page.tables["metrics"][1:] for cell in row[1:]} == {"-"}
    assert page.tables["months"][1:] == []


def test_the_page_loads_nothing_and_has_no_button_that_sends_it_away() -> None:
    assert page_of(3).loads == []
    assert "showSendToCloud: false" in tear_sheet_html(long_performance())


def test_names_cannot_break_the_page() -> None:
    settings = long_settings()
    evil = "</script><b>&"
    performance = performance_of(settings, *long_run(40, *settings.instruments), [evil])
    page = Page(tear_sheet_html(performance))
    assert page.title == f"Backtest: {evil}"
    assert page.tables["trades"][1][2] == evil


def test_slippage_by_algorithm_is_on_the_page() -> None:
    settings = long_settings()
    events, marks = long_run(2, *settings.instruments, trips=3)
    progress = record(
        EVENT, kind=EventKind.PROGRESS, ts=DAY_START, order_id=77, side=1, filled_qty=4, strategy=-1,
        last_px=101 * CASH_SCALE, realized_pnl=100 * CASH_SCALE,
    )  # fmt: skip
    events = np.concatenate([progress, events])
    performance = performance_of(settings, events, marks, ["market_maker"], algorithms={77: "twap"})
    assert Page(tear_sheet_html(performance)).tables["slippage"][1] == [
        "twap", "TEST0.binance_usdm", "1", "4", "100.00", "100.00", "100.00",
    ]  # fmt: skip


def empty() -> Performance:
    settings = long_settings()
    events, marks = long_run(1, *settings.instruments, trips=1)
    return performance_of(settings, events[:0], marks[:0], ["market_maker"])


def test_a_run_without_anything_has_a_page_and_a_picture(tmp_path: Path) -> None:
    for name in ("report.html", "report.png"):
        save_tear_sheet(empty(), tmp_path / name)
        assert (tmp_path / name).stat().st_size > 5_000


# Files


def test_the_page_is_written(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    save_tear_sheet(long_performance(), path)
    page = Page(path.read_text(encoding="utf-8"))
    assert Decimal(page.plots["equity"]["data"][0]["y"][0]) == Decimal(report_of(long_performance()).whole.capital)


@pytest.mark.parametrize("count", [1, 3])
def test_the_picture_is_as_high_as_its_instruments_need(count: int, tmp_path: Path) -> None:
    path = tmp_path / "report.png"
    save_tear_sheet(long_performance(40, count), path)
    image = path.read_bytes()
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", image[16:24]) == (1400, 240 * (2 + 2 * count))
    assert len(image) > 50_000


@pytest.mark.parametrize("name", ["report.pdf", "report", "report.html.txt"])
def test_a_file_of_another_kind_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(TearSheetError, match=r"is neither HTML nor PNG: name it like report"):
        save_tear_sheet(long_performance(), tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_folder_that_is_not_there_is_named_before_anything_is_run(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=f"there is no folder {tmp_path}/nowhere"):
        check_tear_sheet(tmp_path / "nowhere" / "report.html")


def test_a_file_that_cannot_be_written_is_named_before_anything_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(FileError, match=r"folder\.html cannot be written: .*folder\.html is a folder"):
        check_tear_sheet(tmp_path / "folder.html")
    monkeypatch.setattr("os.access", lambda path, mode: False)  # to the superuser nothing is read-only
    with pytest.raises(FileError, match=f"report.html cannot be written: {tmp_path} is read-only"):
        check_tear_sheet(tmp_path / "report.html")


@pytest.mark.parametrize(("name", "library"), [("report.html", "plotly"), ("report.png", "matplotlib")])
def test_what_is_not_installed_is_named(name: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [each for each in sys.modules if each.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(TearSheetError, match=rf"needs {library}.*pip install 'zoms\[plots\]'"):
        check_tear_sheet(Path(name))
