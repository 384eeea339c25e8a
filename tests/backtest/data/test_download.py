"""Downloading through an unmodified ccxt from a server that speaks Binance's REST, and reading what was stored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from backtest.data import download as module
from backtest.data.bars import BarSource, resample
from backtest.data.download import Downloader, DownloadError, Request, new_exchange
from backtest.data.opening import open_source
from backtest.data.source import Source
from oms.cli import app
from oms.records import TickKind
from tests.backtest.data.support import all_ticks, shipped_settings
from tests.backtest.data.venue_server import VenueServer, serving

DAY = date(2024, 3, 5)
NEXT = date(2024, 3, 6)
TODAY = date(2024, 3, 8)
START_MS = int(datetime(2024, 3, 5, tzinfo=UTC).timestamp()) * 1_000
DAY_MS = 86_400_000


@pytest.fixture
def server() -> Iterator[VenueServer]:
    server = VenueServer()
    with serving(server):
        yield server


def exchange(server: VenueServer) -> Any:
    """ccxt as ``zoms download`` makes it, with the server for the venue's hosts."""
    found = new_exchange("binance_usdm")
    found.enableRateLimit = False
    found.urls["api"] = {
        name: url.replace("https://fapi.binance.com", server.url) for name, url in found.urls["api"].items()
    }
    return found


def downloader(server: VenueServer, folder: Path, kind: str = "trades", last: date = DAY, **more: Any) -> Downloader:
    request = Request("binance_usdm", "BTCUSDT", kind, DAY, last)
    return Downloader(exchange(server), request, folder, today=TODAY, **more)


def trades(*stamps: int) -> list[tuple[int, int, str, str, bool]]:
    return [(i + 1, ts, f"{60_000 + i % 7}.10", f"0.{i % 9 + 1:03d}", i % 2 == 0) for i, ts in enumerate(stamps)]


def opened(folder: Path) -> Source | BarSource:
    return open_source(folder, shipped_settings())


def test_trades_of_two_days_come_back_as_ticks(server: VenueServer, tmp_path: Path) -> None:
    """Some in one ms, over 1000 in an hour, hours without any, and the edges of the days."""
    busy = [START_MS + 5_000 + i // 3 for i in range(2_500)]
    server.trades = trades(
        START_MS - 1, START_MS, *busy, START_MS + 10 * 3_600_000, START_MS + 2 * DAY_MS - 1, START_MS + 2 * DAY_MS
    )
    job = downloader(server, tmp_path, last=NEXT)
    assert list(job.days()) == [(DAY, 2_502), (NEXT, 1)]
    source = opened(job.folder)
    assert isinstance(source, Source)
    ticks = all_ticks(source)
    expected = server.trades[1:-1]
    assert ticks["update_id"].tolist() == [number for number, *_ in expected]
    assert ticks["exch_ts"].tolist() == [ts * 10**6 for _, ts, *_ in expected]
    assert ticks["side"].tolist() == [-1 if maker else 1 for *_, maker in expected]
    usdm = shipped_settings().instrument("BTCUSDT.binance_usdm")
    assert ticks["px"].tolist() == [usdm.px_to_ticks(px) for _, _, px, *_ in expected]
    assert ticks["qty"].tolist() == [usdm.qty_to_lots(qty) for _, _, _, qty, _ in expected]
    assert source.reading.inexact == 0


def test_what_is_on_disk_is_not_asked_for_again(server: VenueServer, tmp_path: Path) -> None:
    server.trades = trades(START_MS + 1, START_MS + DAY_MS + 1)
    assert next(downloader(server, tmp_path, last=NEXT).days()) == (DAY, 1)
    server.asked.clear()
    again = downloader(server, tmp_path, last=NEXT)
    assert again.missing() == [NEXT]
    assert list(again.days()) == [(NEXT, 1)]
    starts = [int(query["startTime"]) for path, query in server.asked if path.endswith("aggTrades")]
    assert min(starts) == START_MS + DAY_MS
    assert len(starts) == 24
    assert not list(tmp_path.rglob("*.partial"))


def test_a_day_that_breaks_off_is_begun_anew(server: VenueServer, tmp_path: Path) -> None:
    server.trades = trades(START_MS + 1)
    waits: list[float] = []
    job = downloader(server, tmp_path, wait=waits.append)
    server.failures = module.RETRIES
    with pytest.raises(DownloadError, match="does not answer, tried 5 times"):
        list(job.days())
    assert waits == [1.0, 2.0, 4.0, 8.0]
    assert job.missing() == [DAY]
    server.failures = 2
    assert list(job.days()) == [(DAY, 1)]


def test_more_trades_in_a_ms_than_a_page_holds_are_an_error(server: VenueServer, tmp_path: Path) -> None:
    server.trades = trades(*[START_MS + 7] * 1_001)
    with pytest.raises(DownloadError, match="has over 1000 trades at"):
        list(downloader(server, tmp_path).days())
    assert not list(tmp_path.rglob("*.parquet"))


def test_bars_of_two_days(server: VenueServer, tmp_path: Path) -> None:
    job = downloader(server, tmp_path, "bars", NEXT)
    assert [rows for _, rows in job.days()] == [1_440, 1_440]
    assert job.folder == tmp_path / "history/binance_usdm/BTCUSDT/bars-1m"
    source = opened(job.folder)
    assert isinstance(source, BarSource)
    bars = source.read()
    assert (len(bars), source.interval_ns) == (2_880, 60 * 10**9)
    assert bars[["open", "high", "low", "close", "volume"]][0].tolist() == (101, 120, 90, 105, 5_500)
    assert len(resample(bars, 86_400 * 10**9)) == 2


def test_mark_prices_are_known_at_the_end_of_their_bar(server: VenueServer, tmp_path: Path) -> None:
    job = downloader(server, tmp_path, "mark")
    assert list(job.days()) == [(DAY, 1_440)]
    assert any(path.endswith("markPriceKlines") for path, _ in server.asked)
    source = opened(job.folder)
    assert isinstance(source, Source)
    ticks = all_ticks(source)
    assert set(ticks["kind"].tolist()) == {TickKind.MARK}
    assert ticks["local_ts"][0] == (START_MS + 60_000) * 10**6
    assert ticks["px"][:2].tolist() == [105, 115]


def test_funding_rates(server: VenueServer, tmp_path: Path) -> None:
    job = downloader(server, tmp_path, "funding")
    assert list(job.days()) == [(DAY, 3)]
    source = opened(job.folder)
    assert isinstance(source, Source)
    ticks = all_ticks(source)
    assert ticks["kind"].tolist() == [TickKind.FUNDING] * 3
    assert ticks["qty"].tolist() == [-12_345] * 3


def test_a_day_without_rows_is_not_stored(server: VenueServer, tmp_path: Path) -> None:
    job = downloader(server, tmp_path)
    assert list(job.days()) == [(DAY, 0)]
    assert job.missing() == [DAY]
    assert list(job.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "news"}, "kind 'news' is none of trades, bars, mark, funding"),
        ({"last": date(2024, 3, 4)}, "the first day 2024-03-05 is after the last 2024-03-04"),
        ({"last": TODAY}, r"2024-03-08 \(UTC\) is not over: the last day can be 2024-03-07"),
        ({"symbol": "ETHBTC"}, "binance_usdm has no instrument 'ETHBTC'"),
    ],
)
def test_what_cannot_be_downloaded_is_named(
    server: VenueServer, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    request = Request("binance_usdm", "BTCUSDT", "trades", DAY, DAY)._replace(**change)
    with pytest.raises(DownloadError, match=words):
        Downloader(exchange(server), request, tmp_path, today=TODAY)


def test_an_exchange_that_ccxt_does_not_have_is_named() -> None:
    with pytest.raises(DownloadError, match="ccxt has no exchange 'bitmex'"):
        new_exchange("bitmex")


def test_the_command_downloads_and_says_what_was_there(
    server: VenueServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.trades = trades(START_MS + 1, START_MS + 2)
    local = exchange(server)
    monkeypatch.setattr(module, "new_exchange", lambda venue: local)
    words = [
        "download",
        "BTCUSDT.binance_usdm",
        "--from",
        "2024-03-05",
        "--to",
        "2024-03-05",
        "--data-dir",
        str(tmp_path),
    ]
    folder = tmp_path / "history/binance_usdm/BTCUSDT/trades"
    for said in ("2 rows of 1 days in {}, 0 days were there\n", "0 rows of 0 days in {}, 1 days were there\n"):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        assert done.stdout == said.format(folder)
    assert "is no day: write it like" in str(CliRunner().invoke(app, [*words[:3], "soon", *words[4:]]).exception)
