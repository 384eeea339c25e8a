"""Downloading history through ccxt: trades, bars, mark prices and funding rates, a file a day, to be gone on with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from backtest.data.clocks import DataError
from backtest.data.history import day_file, history_folder, write_day

KINDS: Final = ("trades", "bars", "mark", "funding")

CCXT_IDS: Final = {"binance_spot": "binance", "binance_usdm": "binanceusdm", "binance_coinm": "binancecoinm"}
"""ccxt's names of venues, where they are not the part of ours ahead of ``_``."""

MARKET_TYPES: Final = {"binance": ["spot"], "binanceusdm": ["linear"], "binancecoinm": ["inverse"]}
"""What Binance's exchanges load, so that no other market's servers are asked."""

PAGE: Final = 1_000
TRADES_WINDOW_MS: Final = 3_600_000
"""Trades are asked for by the hour: Binance answers for no longer."""

MS_PER_DAY: Final = 86_400_000
RETRIES: Final = 5
FIRST_WAIT_S: Final = 1.0

Row = Sequence[object]


class DownloadError(DataError):
    """History that cannot be had; the message says what to do."""


class Request(NamedTuple):
    """What is asked for."""

    venue: str
    symbol: str
    """The venue's own name of the instrument, such as ``BTCUSDT``."""
    kind: str
    """One of ``KINDS``."""
    first: date
    last: date
    """This day included."""
    interval: str = "1m"
    """Of bars, and of the bars that mark prices are taken from."""

    @property
    def folder_name(self) -> str:
        """The folder of its kind."""
        return f"bars-{self.interval}" if self.kind == "bars" else self.kind

    def days(self) -> list[date]:
        """Every day that is asked for."""
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]


def new_exchange(venue: str) -> Any:
    """A ccxt exchange for public data of one of our venues.

    Raises
    ------
    DownloadError
        When ccxt is not installed, or has no such exchange.
    """
    try:
        import ccxt
    except ImportError:
        raise DownloadError("zoms download needs ccxt: pip install 'zoms[download]'") from None
    name = CCXT_IDS.get(venue, venue.partition("_")[0])
    if name not in ccxt.exchanges:
        raise DownloadError(f"ccxt has no exchange {name!r}: venue {venue!r} cannot be downloaded from")
    options: dict[str, object] = {"fetchCurrencies": False}
    if name in MARKET_TYPES:
        options |= {"fetchMargins": False, "fetchMarkets": {"types": MARKET_TYPES[name]}}
    return getattr(ccxt, name)({"enableRateLimit": True, "options": options})


class Downloader:
    """Downloads one request, day by day.

    Parameters
    ----------
    exchange : ccxt exchange
        Its numbers are made decimal text.
    request : Request
    data_dir : Path
        ``history`` in it is written to.
    today : date, optional
        UTC; days from this one on are not over and are refused.
    wait : callable
        How to wait before a network error is tried again, in seconds.

    Raises
    ------
    DownloadError
        When the request cannot be, or the venue does not trade the symbol.
    """

    def __init__(
        self,
        exchange: Any,
        request: Request,
        data_dir: Path,
        *,
        today: date | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        if request.kind not in KINDS:
            raise DownloadError(f"kind {request.kind!r} is none of {', '.join(KINDS)}")
        today = today or datetime.now(UTC).date()
        if request.first > request.last:
            raise DownloadError(f"the first day {request.first} is after the last {request.last}")
        if request.last >= today:
            raise DownloadError(f"{request.last} (UTC) is not over: the last day can be {today - timedelta(days=1)}")
        exchange.number = str  # decimal text as the venue sends it, not doubles
        self._exchange = exchange
        self._request = request
        self._wait = wait
        self.folder = history_folder(data_dir, request.venue, request.symbol, request.folder_name)
        self._symbol = self._symbol_at_venue()
        self.instrument = f"{request.symbol}.{request.venue}"

    def missing(self) -> list[date]:
        """The days that are not on disk yet."""
        return [day for day in self._request.days() if not day_file(self.folder, day).exists()]

    def days(self) -> Iterator[tuple[date, int]]:
        """Download each missing day, and yield it with its rows when it is on disk.

        Raises
        ------
        DownloadError
            When the venue refuses, does not answer several times, or gives what cannot be stored.
        """
        pages = {"trades": self._trades, "bars": self._bars, "mark": self._mark, "funding": self._funding}
        for day in self.missing():
            start_ms = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000
            rows = pages[self._request.kind](start_ms, start_ms + MS_PER_DAY)
            yield day, write_day(day_file(self.folder, day), self.instrument, self._request.kind, rows)

    def _symbol_at_venue(self) -> str:
        markets = self._ask("load_markets")
        found = [market["symbol"] for market in markets.values() if market["id"] == self._request.symbol]
        if not found:
            raise DownloadError(f"{self._request.venue} has no instrument {self._request.symbol!r}")
        return str(found[0])

    def _trades(self, start_ms: int, end_ms: int) -> Iterator[list[Row]]:
        """Pages of trades: each begins at the last one's time, and what came already is left out by its id."""
        since, seen = start_ms, set[str]()
        while since < end_ms:
            until = min(since + TRADES_WINDOW_MS, end_ms) - 1
            page = sorted(self._ask("fetch_trades", self._symbol, since, PAGE, {"until": until}), key=_trade_order)
            new = [each for each in page if str(each["id"]) not in seen and since <= each["timestamp"] <= until]
            if new:
                yield [[each[name] for name in ("timestamp", "id", "price", "amount", "side")] for each in new]
            if len(page) < PAGE:
                since, seen = until + 1, set()
                continue
            last = page[-1]["timestamp"]
            if not new or last == page[0]["timestamp"]:
                raise DownloadError(
                    f"{self.instrument} has over {PAGE} trades at {last} ms: they cannot be paged by time"
                )
            since, seen = last, {str(each["id"]) for each in page if each["timestamp"] == last}

    def _candles(self, start_ms: int, end_ms: int, parameters: dict[str, str]) -> Iterator[list[list[Any]]]:
        step = int(self._exchange.parse_timeframe(self._request.interval)) * 1_000
        since = start_ms
        while since < end_ms:
            page = self._ask("fetch_ohlcv", self._symbol, self._request.interval, since, PAGE, parameters)
            own = [row for row in page if since <= row[0] < end_ms]
            if not own:
                return
            yield own
            since = own[-1][0] + step

    def _bars(self, start_ms: int, end_ms: int) -> Iterator[list[Row]]:
        for page in self._candles(start_ms, end_ms, {}):
            yield [row[:6] for row in page]

    def _mark(self, start_ms: int, end_ms: int) -> Iterator[list[Row]]:
        """The mark price at the end of each bar of it, at that time."""
        step = int(self._exchange.parse_timeframe(self._request.interval)) * 1_000
        for page in self._candles(start_ms, end_ms, {"price": "mark"}):
            yield [[row[0] + step, row[4]] for row in page]

    def _funding(self, start_ms: int, end_ms: int) -> Iterator[list[Row]]:
        page = self._ask("fetch_funding_rate_history", self._symbol, start_ms, PAGE, {"until": end_ms - 1})
        yield [[row["timestamp"], row["fundingRate"]] for row in page if start_ms <= row["timestamp"] < end_ms]

    def _ask(self, method: str, *arguments: object) -> Any:
        """Call the exchange; a network error is tried again after a while."""
        import ccxt

        wait_s = FIRST_WAIT_S
        for tries in range(RETRIES):
            try:
                return getattr(self._exchange, method)(*arguments)
            except ccxt.NetworkError as error:
                if tries == RETRIES - 1:
                    raise DownloadError(
                        f"{self._request.venue} does not answer, tried {RETRIES} times: {error}"
                    ) from None
            except ccxt.BaseError as error:
                raise DownloadError(f"{self._request.venue} refuses {method}: {error}") from None
            self._wait(wait_s)
            wait_s *= 2
        raise AssertionError("unreachable")


def _trade_order(trade: dict[str, Any]) -> tuple[int, int, str]:
    """By time, then by the number that an id is: as text 10 would come ahead of 9."""
    number = str(trade["id"])
    return trade["timestamp"], len(number), number
