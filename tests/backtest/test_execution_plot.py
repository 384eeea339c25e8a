"""What an execution looks like: its report in print, its plot as text and as a picture."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import pytest

from backtest.execution import execution_report
from backtest.execution_plot import plot_text, save_plot
from backtest.market import Market
from backtest.parent_order import ExecutionError, ParentOrder
from oms.commands.execution import FIGURES, print_execution
from oms.records import Liquidity
from tests.backtest.executions import MAKER, TAKER, market_from, parent_of, schedule_from, touch, traded
from tests.oms.core.builders import BUY, SECOND, SELL

SVG: Final = "{http://www.w3.org/2000/svg}"


def market() -> Market:
    return market_from(touch(SECOND, 200), traded(2 * SECOND, 201, 30), touch(7 * SECOND, 204), touch(8 * SECOND, 202))


def order() -> ParentOrder:
    """12 of 20 lots within 8 s, by a schedule of four steps."""
    fills = [
        (2 * SECOND, 201, 5, 0, MAKER),
        (5 * SECOND, 205, 4, 10, TAKER),
        (6 * SECOND - 1, 203, 3, 0, int(Liquidity.NONE)),
        (6 * SECOND, 203, 1, 0, MAKER),
    ]
    schedule = schedule_from([(0, 5), (2 * SECOND, 10), (4 * SECOND, 15), (6 * SECOND, 20)])
    return parent_of(BUY, 20, fills, start_ts=0, end_ts=8 * SECOND, schedule=schedule, limit_px=206)


def test_plot_as_text_shows_filled_and_due_mid_and_fills() -> None:
    assert plot_text(order(), market(), width=8, height=4).splitlines() == [
        "  2.0 |     ···",
        "      |   ··███",
        "      | ·· ████",
        "      |·███████",
        "      +--------",
        "  mid  ▁▁▁▁▁▁█▄",
        "fills   m  t*",
        "       00:00:00.000 00:00:08.000",
        "       mid 100 to 102",
        "       █ filled  · due  ▒ both   fills: m maker, t taker, * several",
    ]


def test_plot_as_text_has_as_many_columns_as_asked_for() -> None:
    lines = plot_text(order(), market(), width=40, height=9).splitlines()
    assert [line.index("|") for line in lines[:9]] == [6] * 9
    assert lines[9] == "      +" + "-" * 40
    assert max(len(line) for line in lines[:12]) == 7 + 40


def test_plot_as_text_shows_what_is_due_below_what_is_filled() -> None:
    early = order()._replace(schedule=schedule_from([(4 * SECOND, 5)]))
    assert plot_text(early, market(), width=8, height=4).splitlines()[3] == "      | ██▒▒▒▒▒"


def test_plot_as_text_of_an_order_without_fills_touch_or_duration() -> None:
    lines = plot_text(parent_of(SELL, 5, start_ts=7, end_ts=7), market_from(traded(1, 200, 1)), width=8, height=2)
    assert lines.splitlines()[:5] == ["  0.5 |", "      |", "      +--------", "  mid", "fills"]
    assert "the mid is not known" in lines


def test_plot_is_drawn_as_a_png(tmp_path: Path) -> None:
    path = tmp_path / "plot.png"
    save_plot(order(), market(), path)
    image = path.read_bytes()
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", image[16:24])
    assert (width, height) == (1000, 650)
    assert len(image) > 10_000


def test_plot_is_drawn_as_an_svg(tmp_path: Path) -> None:
    path = tmp_path / "plot.svg"
    save_plot(order()._replace(schedule=None), market(), path)
    assert ElementTree.parse(path).getroot().tag == f"{SVG}svg"


def test_plot_of_an_order_without_anything_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "plot.png"
    save_plot(parent_of(SELL, 5, start_ts=7, end_ts=7), market_from(traded(1, 200, 1)), path)
    assert path.stat().st_size > 1_000


@pytest.mark.parametrize("name", ["plot.pdf", "plot", "plot.PNG.txt"])
def test_plot_in_a_file_of_another_kind_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ExecutionError, match="name it like plot"):
        save_plot(order(), market(), tmp_path / name)
    assert not (tmp_path / name).exists()


def test_plot_without_matplotlib_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ExecutionError, match=r"plot\.png needs matplotlib.*pip install 'zoms\[plots\]'"):
        save_plot(order(), market(), tmp_path / "plot.png")


def test_printed_report_has_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    known_from_the_start = market_from(touch(0, 200), traded(2 * SECOND, 201, 30), touch(7 * SECOND, 202))
    print_execution(execution_report(order()._replace(children=2), known_from_the_start))
    assert capsys.readouterr().out.splitlines() == [
        "buy 2.0 COIN.somewhere, limit 103.0, 1970-01-01 00:00:00.000 to 1970-01-01 00:00:08.000",
        "1.3 filled, 65 %, in 4 fills of 2 child orders",
        "",
        "average price     101.423076925",
        "maker share       46.15 %",
        "fees              0.0000001 USD",
        "market volume     3.0",
        "participation     43.33 %",
        "time to complete  -",
        "off schedule      -1.0 (-50 %) at 1970-01-01 00:00:04.000",
        "",
        "benchmark    price  slippage bps",
        "arrival        100      142.3077",
        "TWAP       100.125      129.6456",
        "VWAP         100.5       91.8485",
        "POV              -             -",
        "last mid       101       41.8888",
        "",
        "shortfall          USD    bps",
        "execution         1.85   92.5",
        "opportunity        0.7     35",
        "fees         0.0000001      0",
        "total        2.5500001  127.5",
        "",
        "no POV: the recording ends before the market has traded enough for the target",
        "no time to complete: the target was not reached",
    ]


def test_printed_report_says_why_a_figure_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    report = execution_report(parent_of(BUY, 5), market_from(traded(200, 200, 1)))
    print_execution(report)
    lines = capsys.readouterr().out.splitlines()
    assert len(report.absent) == len(FIGURES)
    for name, why in report.absent.items():
        assert f"no {FIGURES[name]}: {why}" in lines
    assert "the touch was not known for 0.000 s: the TWAP leaves that time out" in lines
