"""What zoms calls a venue and ccxt an exchange, and a bare ccxt for it: of the kill switch and the doctor.

Both must work when nothing else does, so this knows no settings: keys, host names, ccxt.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from gateways.credentials import Credentials

REQUEST_S: Final = 10.0
"""How long one request may take."""


class Venue(msgspec.Struct, frozen=True, kw_only=True):
    """How one exchange is asked, all through ccxt's own functions."""

    name: str
    exchange: str
    """ccxt's name of it."""
    hosts: tuple[str, ...]
    """Host names that a sandbox stands for."""
    options: Mapping[str, Any]
    order_kinds: Mapping[str, Mapping[str, Any]]
    """Kinds of orders that it keeps apart, and the parameters by which ccxt is asked for each."""
    receive_window_s: float
    """How old a request may be when the exchange takes it."""


VENUES: Final = {
    venue.name: venue
    for venue in (
        Venue(
            name="binance_usdm",
            exchange="binanceusdm",
            hosts=("api.binance.com", "fapi.binance.com", "fstream.binance.com"),
            options={
                "fetchCurrencies": False,
                "fetchMargins": False,
                "fetchMarkets": {"types": ["linear"]},
                "fetchOpenOrders": {"warnWithoutSymbol": False},
            },
            order_kinds={"order": {}, "conditional order": {"trigger": True}},
            receive_window_s=10.0,
        ),
    )
}


class Sandbox(msgspec.Struct, frozen=True):
    """A sandbox exchange on this machine that stands for the venue."""

    port: int
    ca: Path
    """Its authority's certificate."""


@asynccontextmanager
async def connected(venue: Venue, credentials: Credentials, sandbox: Sandbox | None = None) -> AsyncIterator[Any]:
    """A ccxt exchange within the block, which asks the venue, or the sandbox that stands for it.

    Raises
    ------
    ImportError
        When ccxt is not installed.
    """
    import ccxt.async_support as ccxt

    given: dict[str, Any] = {"apiKey": credentials.key, "secret": credentials.secret}
    given |= {"options": dict(venue.options), "enableRateLimit": False, "timeout": int(REQUEST_S * 1000)}
    if sandbox is not None:
        from gateways.sandbox.pointing import pointed_session

        given["session"] = pointed_session(sandbox.port, sandbox.ca.read_bytes(), venue.hosts)
    exchange = getattr(ccxt, venue.exchange)(given)
    try:
        yield exchange
    finally:
        await exchange.close()
        if sandbox is not None:
            await given["session"].close()  # ccxt leaves it to whoever gave it


def one_line(error: BaseException) -> str:
    """An exchange's error in one line, with its type; such a text may be a whole page."""
    return f"{type(error).__name__} {' '.join(str(error).split())}".strip()[:300]
