"""The venues that every test here runs against, and what differs between them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

import gateways
from gateways.orders.clock import Clock
from gateways.sandbox.server import DEFAULT_BALANCE
from oms.records import CASH_SCALE, ReportKind
from tests.gateways.orders.booth import Booth, on_booth
from tests.gateways.reference import COINM_FILE

RECORDINGS: Final = Path(gateways.__file__).parent / "recordings"


class Case(NamedTuple):
    """A venue.

    Attributes
    ----------
    symbol : str
        What ccxt calls the instrument.
    amends_px : bool
        Whether an order can be given another price, or more lots.
    expires_all_or_nothing : bool
        A FOK order that finds too little is taken and expires, and not refused.
    new_order, cancel_order, amend_order : str
        ccxt's methods.
    trend : int
        Which way the recorded market goes at first.
    stop_has_price : bool
        A conditional order is asked for with a price.
    stop_query : dict
        ccxt's parameters by which conditional orders are asked for.
    coin : int
        What is ordered for one bitcoin, about: contracts, where quantities are.
    balance : int
        Cash at first, in the settlement currency, which does not cover thousands of bitcoins.
    """

    name: str
    recording: Path
    symbol: str
    amends_px: bool
    expires_all_or_nothing: bool
    new_order: str
    cancel_order: str
    amend_order: str
    trend: int
    stop_has_price: bool
    stop_query: Mapping[str, Any]
    coin: int = 1
    balance: int = DEFAULT_BALANCE

    def __str__(self) -> str:
        return self.name

    def qty(self, bitcoins: str) -> str:
        """What is ordered for so many bitcoins."""
        return f"{(Decimal(bitcoins) * self.coin).normalize():f}"


CASES: Final = (
    Case(
        "binance_usdm",
        RECORDINGS / "usdm_btcusdt_20240808_60s.gz",
        "BTC/USDT:USDT",
        amends_px=True,
        expires_all_or_nothing=False,
        new_order="fapiPrivatePostOrder",
        cancel_order="fapiPrivateDeleteOrder",
        amend_order="fapiPrivatePutOrder",
        trend=1,
        stop_has_price=False,
        stop_query={"trigger": True},
    ),
    Case(
        "binance_spot",
        RECORDINGS / "spot_btcusdt_20240808_30s.gz",
        "BTC/USDT",
        amends_px=False,
        expires_all_or_nothing=True,
        new_order="privatePostOrder",
        cancel_order="privateDeleteOrder",
        amend_order="request",
        trend=-1,
        stop_has_price=True,
        stop_query={},
    ),
    Case(
        "binance_coinm",
        COINM_FILE,
        "BTC/USD:BTC",
        amends_px=True,
        expires_all_or_nothing=False,
        new_order="dapiPrivatePostOrder",
        cancel_order="dapiPrivateDeleteOrder",
        amend_order="dapiPrivatePutOrder",
        trend=1,
        stop_has_price=False,
        stop_query={"trigger": True},
        coin=1_000,
        balance=CASH_SCALE,
    ),
)

every_venue: Final = pytest.mark.parametrize("case", CASES, ids=str)

Body = Callable[["Stand"], Awaitable[None]]


class Stand:
    """A booth at a venue, in units that all venues share: currency amounts as text."""

    def __init__(self, booth: Booth, case: Case) -> None:
        self.booth = booth
        self.case = case
        instrument = booth.instrument
        self.lots = instrument.qty_to_lots(case.qty("0.1"))
        """A tenth of a bitcoin."""
        self.far = instrument.px_to_ticks("61000")
        """A price at which a buy rests."""
        self.few = instrument.qty_to_lots(case.qty("0.01"))
        """A hundredth."""
        self.least = instrument.qty_to_lots(case.qty("0.001"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.booth, name)

    @property
    def fills(self) -> list[Any]:
        """The reports of fills."""
        return [each for each in self.booth.reports if each["kind"] == ReportKind.FILL]

    def holdings(self) -> dict[str, int]:
        """What the exchange says that the account has, cash by currency."""
        account = self.booth.account
        instrument = self.booth.instrument
        if instrument.kind == "spot":
            return {instrument.base: account.base_wallet, instrument.quote: account.wallet}
        return {instrument.settlement: account.wallet}

    def check(self) -> None:
        """Each fill was told once, with its terms, and the wallets are the exchange's to the last digit."""
        told = [(int(each["trade_id"]), int(each["px"]), int(each["qty"])) for each in self.fills]
        assert told == [(fill.trade_id, fill.px, fill.qty) for fill in self.booth.account.fills]
        assert self.booth.known.cash == self.holdings()

    async def elsewhere(self, side: str, qty: str, price: str = "", **more: Any) -> Any:
        """An order that somebody else places on the account."""
        terms = {"type": "LIMIT", "timeInForce": "GTC", "price": price} if price else {"type": "MARKET"}
        wanted = {"symbol": self.booth.instrument.symbol, "side": side, "quantity": self.case.qty(qty)}
        request = {**wanted, **terms, **more}
        return await getattr(self.booth.exchange, self.case.new_order)(request)


def on_stand(clock: Callable[[], Clock] = Clock, **options: Any) -> Callable[[Body], Callable[[Case], None]]:
    """Turn a coroutine over a ``Stand`` whose gateway trades into a test of every venue; options are the booth's."""

    def decorate(body: Body) -> Callable[[Case], None]:
        @every_venue
        def test(case: Case) -> None:
            async def on_this(booth: Booth) -> None:
                await body(Stand(booth, case))

            on_booth(clock, recording=case.recording, balance=case.balance, **options)(on_this)()

        test.__name__ = body.__name__
        test.__doc__ = body.__doc__
        tested: Callable[[Case], None] = test
        return tested

    return decorate
