"""A server on this machine that answers as Binance USD-M's public REST interface does, and counts what it is asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

MARKET = {
    "symbol": "BTCUSDT",
    "pair": "BTCUSDT",
    "contractType": "PERPETUAL",
    "deliveryDate": 4133404800000,
    "onboardDate": 1569398400000,
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "marginAsset": "USDT",
    "pricePrecision": 2,
    "quantityPrecision": 3,
    "baseAssetPrecision": 8,
    "quotePrecision": 8,
    "underlyingType": "COIN",
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "0.1", "maxPrice": "1000000", "tickSize": "0.10"},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
        {"filterType": "MIN_NOTIONAL", "notional": "5"},
    ],
    "orderTypes": ["LIMIT", "MARKET"],
    "timeInForce": ["GTC"],
}
LIMIT = 1_000


class VenueServer:
    """What the venue has, by time in ms, and what it was asked for.

    Attributes
    ----------
    trades : list of (id, ms, price, quantity, buyer is maker)
    asked : list of (path, query)
    failures : int
        So many requests are answered with 503 first.
    """

    def __init__(self) -> None:
        self.trades: list[tuple[int, int, str, str, bool]] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.failures = 0
        self.url = ""

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        """Status and content for one request."""
        self.asked.append((path, query))
        name = path.rpartition("/")[2]
        if self.failures:
            self.failures -= 1
            return 503, "busy"
        if name == "exchangeInfo":
            return 200, {"timezone": "UTC", "serverTime": 0, "rateLimits": [], "symbols": [MARKET]}
        start, end = int(query["startTime"]), int(query.get("endTime", 2**60))
        if name == "aggTrades":
            return 200, [
                {"a": number, "p": px, "q": qty, "f": number, "l": number, "T": ts, "m": maker}
                for number, ts, px, qty, maker in self.trades
                if start <= ts <= end
            ][:LIMIT]
        if name in ("klines", "markPriceKlines"):
            first = -(-start // 60_000) * 60_000
            stamps: Any = [first + 60_000 * i for i in range(LIMIT)]
            return 200, [
                [
                    ts,
                    "10.10",
                    "12.00",
                    "9.00",
                    f"{10 + ts // 60_000 % 2}.50",
                    "5.500",
                    ts + 59_999,
                    "1",
                    1,
                    "1",
                    "1",
                    "0",
                ]
                for ts in stamps
                if ts <= end
            ]
        if name == "fundingRate":
            stamps = range(-(-start // 28_800_000) * 28_800_000, min(end, start + 10**9) + 1, 28_800_000)
            return 200, [
                {"symbol": "BTCUSDT", "fundingRate": "-0.00012345", "fundingTime": ts, "markPrice": "10"}
                for ts in stamps
            ]
        return 404, {"code": -5000, "msg": f"no path {path}"}


@contextmanager
def serving(server: VenueServer) -> Iterator[None]:
    """Serve on a free port until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            target = urlparse(self.path)
            query = {name: values[0] for name, values in parse_qs(target.query).items()}
            status, content = server.answer(target.path, query)
            body = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield
        finally:
            http.shutdown()
            thread.join()
