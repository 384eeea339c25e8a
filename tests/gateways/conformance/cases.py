"""The venues that every test here runs against, and what differs between them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import pytest
from msgspec.structs import replace

import gateways
from gateways.orders.clock import Clock
from gateways.sandbox.faults import Fault
from gateways.sandbox.htx.spot_views import FIRST_ACCOUNT_ID
from gateways.sandbox.server import DEFAULT_BALANCE
from gateways.sandbox.stand_ins import STAND_INS
from gateways.sidecar import open_recording
from oms.instruments import Instrument
from oms.records import CASH_SCALE, ReportKind, TimeInForce
from tests.gateways.okx.booth import SPOT as OKX_SPOT
from tests.gateways.orders.booth import Booth, on_booth
from tests.gateways.reference import COINM_FILE
from tests.gateways.sandbox.desk import shipped_instrument

RECORDINGS: Final = Path(gateways.__file__).parent / "recordings"

NewRequest = Callable[[Instrument, int, str, str, str], dict[str, Any]]
"""A new order as a client writes it: instrument, side, quantity, price (empty: at the market), client order id."""


def binance_order(instrument: Instrument, side: int, qty: str, px: str, client_id: str) -> dict[str, Any]:
    """Of Binance's markets."""
    terms = {"type": "LIMIT", "timeInForce": "GTC", "price": px} if px else {"type": "MARKET"}
    named = {"newClientOrderId": client_id} if client_id else {}
    way = "BUY" if side > 0 else "SELL"
    return {"symbol": instrument.symbol, "side": way, "quantity": qty, **terms, **named}


def okx_order(instrument: Instrument, side: int, qty: str, px: str, client_id: str) -> dict[str, Any]:
    """Of OKX's markets."""
    mode = {"tdMode": "cash", "tgtCcy": "base_ccy"} if instrument.kind == "spot" else {"tdMode": "cross"}
    terms = {"ordType": "limit", "px": px} if px else {"ordType": "market"}
    named = {"clOrdId": client_id} if client_id else {}
    way = "buy" if side > 0 else "sell"
    return {"instId": instrument.symbol, "side": way, "sz": qty, **mode, **terms, **named}


def htx_order(instrument: Instrument, side: int, qty: str, px: str, client_id: str) -> dict[str, Any]:
    """Of HTX's contracts."""
    terms = {"type": "limit", "price": px} if px else {"type": "market"}
    named = {"client_order_id": int(client_id)} if client_id else {}
    way = "buy" if side > 0 else "sell"
    return {"contract_code": instrument.symbol, "margin_mode": "cross", "side": way, "volume": qty, **terms, **named}


def htx_spot_order(instrument: Instrument, side: int, qty: str, px: str, client_id: str) -> dict[str, Any]:
    """Of HTX's spot market, which is told what to spend and not how much to buy: a price that takes stands for it."""
    way = "buy" if side > 0 else "sell"
    terms = {"type": f"{way}-limit", "price": px} if px else {"type": f"{way}-ioc", "price": str(61_800 + 1_800 * side)}
    named = {"client-order-id": client_id} if client_id else {}
    return {"account-id": str(FIRST_ACCOUNT_ID), "symbol": instrument.symbol, "amount": qty, **terms, **named}


class Case(NamedTuple):
    """A venue.

    Attributes
    ----------
    instrument : Instrument
        What is traded: what is recorded, or what the recording stands for.
    symbol : str
        What ccxt calls it.
    tenth : str
        As much of it as a tenth of a bitcoin is, or about as much.
    new_request : function
        Writes the request for ``new_order``.
    orders : pair
        So many new orders in so many seconds are taken.
    new_order, cancel_order, amend_order : str
        ccxt's methods.
    bad_signature : str
        The exchange's code for it.
    trend : int
        Which way the recorded market goes at first.
    stop_query : dict
        ccxt's parameters by which conditional orders are asked for.
    amends : bool
        Whether an order can be given other terms.
    amends_px : bool
        Whether that may be another price, or more lots.
    buys_at_market : bool
        Whether a buy at the market is asked for by how much to buy.
    amends_to_the_same : bool
        Whether an amend may ask for what the order has already.
    expires_all_or_nothing : bool
        A FOK order that finds too little is taken and expires, and not refused.
    post_only_end : ReportKind
        How a post-only order ends that would take; refused at once, or taken first.
    has_least_px : bool
        Whether a buy far below the market is refused.
    answers_tell_fills : bool
        The answer to a new order says what it has filled, and not only that it was taken.
    keeps_stops : bool
        Whether the gateway has stops stand at the exchange.
    stop_has_price : bool
        A conditional order is asked for with a price.
    stop_terms : dict
        What else ccxt is given with it.
    by : str
        The venue by which the gateway trades it; empty: the exchange's own one.
    balance : int
        Cash at first, in the settlement currency, which does not cover thousands of bitcoins.
    """

    name: str
    recording: Path
    instrument: Instrument
    symbol: str
    tenth: str
    new_request: NewRequest
    orders: tuple[int, float]
    new_order: str
    cancel_order: str
    amend_order: str
    bad_signature: str
    trend: int
    stop_query: Mapping[str, Any]
    amends: bool = True
    amends_px: bool = True
    buys_at_market: bool = True
    amends_to_the_same: bool = False
    expires_all_or_nothing: bool = False
    post_only_end: ReportKind = ReportKind.REJECTED
    has_least_px: bool = True
    answers_tell_fills: bool = True
    keeps_stops: bool = False
    stop_has_price: bool = False
    stop_terms: Mapping[str, Any] = MappingProxyType({})
    by: str = ""
    balance: int = DEFAULT_BALANCE

    def __str__(self) -> str:
        return self.name

    @property
    def venue(self) -> str:
        """Ours of its names: there may be several cases of one."""
        return self.by or self.instrument.venue

    @property
    def traded(self) -> Instrument:
        """What the gateway trades: the exchange's instrument under the venue's name."""
        return replace(self.instrument, venue=self.venue)


USDM: Final = RECORDINGS / "usdm_btcusdt_20240808_60s.gz"
SPOT: Final = RECORDINGS / "spot_btcusdt_20240808_30s.gz"

STANDING_IN: Final = {
    each.venue: each for recorded in ("binance_usdm", "binance_spot") for each in STAND_INS[recorded, "BTCUSDT"]
}

OKX_SWAP: Final = Case(
    "okx",
    USDM,
    STANDING_IN["okx"],
    "BTC/USDT:USDT",
    tenth="10",
    new_request=okx_order,
    orders=(60, 2.0),
    new_order="privatePostTradeOrder",
    cancel_order="privatePostTradeCancelOrder",
    amend_order="privatePostTradeAmendOrder",
    bad_signature="50113",
    trend=1,
    stop_query={"trigger": True},
    amends_to_the_same=True,
    expires_all_or_nothing=True,
    post_only_end=ReportKind.EXPIRED,
    has_least_px=False,
    answers_tell_fills=False,
    keeps_stops=True,
)
CASES: Final = (
    Case(
        "binance_usdm",
        USDM,
        shipped_instrument(USDM),
        "BTC/USDT:USDT",
        tenth="0.1",
        new_request=binance_order,
        orders=(300, 10.0),
        new_order="fapiPrivatePostOrder",
        cancel_order="fapiPrivateDeleteOrder",
        amend_order="fapiPrivatePutOrder",
        bad_signature="-1022",
        trend=1,
        stop_query={"trigger": True},
        keeps_stops=True,
    ),
    Case(
        "binance_spot",
        SPOT,
        shipped_instrument(SPOT),
        "BTC/USDT",
        tenth="0.1",
        new_request=binance_order,
        orders=(50, 10.0),
        new_order="privatePostOrder",
        cancel_order="privateDeleteOrder",
        amend_order="request",
        bad_signature="-1022",
        trend=-1,
        stop_query={},
        amends_px=False,
        expires_all_or_nothing=True,
        stop_has_price=True,
    ),
    OKX_SWAP,
    OKX_SWAP._replace(
        name="okx_spot",
        recording=SPOT,
        instrument=OKX_SPOT,
        symbol="BTC/USDT",
        tenth="0.1",
        trend=-1,
        keeps_stops=False,
    ),
    OKX_SWAP._replace(
        name="okx inverse",
        recording=COINM_FILE,
        instrument=STAND_INS["binance_coinm", "BTCUSD_PERP"][0],
        symbol="BTC/USD:BTC",
        tenth="100",
        balance=CASH_SCALE,
    ),
    Case(
        "binance_coinm",
        COINM_FILE,
        shipped_instrument(COINM_FILE),
        "BTC/USD:BTC",
        tenth="100",
        new_request=binance_order,
        orders=(300, 10.0),
        new_order="dapiPrivatePostOrder",
        cancel_order="dapiPrivateDeleteOrder",
        amend_order="dapiPrivatePutOrder",
        bad_signature="-1022",
        trend=1,
        stop_query={"trigger": True},
        keeps_stops=True,
        balance=CASH_SCALE,
    ),
    Case(
        "htx_linear",
        USDM,
        STANDING_IN["htx_linear"],
        "BTC/USDT:USDT",
        tenth="100",
        new_request=htx_order,
        orders=(72, 3.0),
        new_order="contractPrivatePostV5TradeOrder",
        cancel_order="contractPrivatePostV5TradeCancelOrder",
        amend_order="",
        bad_signature="Verification failure",
        trend=1,
        stop_query={"trigger": True},
        amends=False,
        amends_px=False,
        expires_all_or_nothing=True,
        post_only_end=ReportKind.EXPIRED,
        has_least_px=False,
        answers_tell_fills=False,
        stop_terms={"type": "trigger"},
    ),
    Case(
        "htx_spot",
        SPOT,
        STANDING_IN["htx_spot"],
        "BTC/USDT",
        tenth="0.1",
        new_request=htx_spot_order,
        orders=(100, 2.0),
        new_order="spotPrivatePostV1OrderOrdersPlace",
        cancel_order="spotPrivatePostV1OrderOrdersOrderIdSubmitcancel",
        amend_order="",
        bad_signature="api-signature-not-valid",
        trend=-1,
        stop_query={},
        amends=False,
        amends_px=False,
        buys_at_market=False,
        expires_all_or_nothing=True,
        post_only_end=ReportKind.CANCELLED,
        answers_tell_fills=False,
        stop_has_price=True,
    ),
)

okx_by_ccxt: dict[str, Any] = {
    "new_order": "privatePostTradeBatchOrders",
    "new_request": lambda *terms: [okx_order(*terms)],
    "post_only_end": ReportKind.CANCELLED,
}
GENERIC: Final = tuple(
    case._replace(
        name=by,
        by=by,
        cancel_order="cancel_order",
        amend_order="edit_order",
        keeps_stops=False,
        answers_tell_fills=False,
        **changes,
    )
    for case in CASES
    for name, by, changes in (
        ("binance_spot", "ccxt_binance_spot", {"amends": False}),
        ("binance_usdm", "ccxt_binanceusdm_linear", {"amends_to_the_same": True}),
        ("okx", "ccxt_okx_linear", okx_by_ccxt),
    )
    if case.name == name
)
"""The same exchanges by ccxt's unified methods, as those are traded that zoms has no gateway of its own for."""

ALIKE: Final = ("binance_coinm", "okx_spot", "okx inverse", "htx_spot", *(case.name for case in GENERIC))
"""Venues that are another one's code with other names and numbers, or ccxt's, or have tests of their own: ``make
thorough`` runs all of it on them."""
BRIEFLY: Final = ("binance_spot", "okx", "htx_linear")
"""Venues on which ``make test`` lets only the first of several things go wrong."""

Rows = Any
"""A mark of pytest's that gives a test its ``case``, or that and a ``fault``."""


def amends(case: Case) -> bool:
    """Whether a venue does."""
    return case.amends


def rows(*faults: Fault | None, of: Callable[[Case], bool] = lambda _: True) -> Rows:
    """Every venue that is wanted; with each of the faults, where there are some."""
    found = []
    for case in filter(of, (*CASES, *GENERIC)):
        for number, fault in enumerate(faults or (None,)):
            is_rare = case.name in ALIKE or (case.name in BRIEFLY and number > 0)
            marks = (pytest.mark.thorough,) if is_rare else ()
            name = f"{case}-{fault.name if fault else 'no fault'}" if faults else str(case)
            found.append(pytest.param(*((case, fault) if faults else (case,)), marks=marks, id=name))
    return pytest.mark.parametrize(("case", "fault") if faults else ("case",), found)


every_venue: Final = rows()
every_amending_venue: Final = rows(of=amends)
every_other_venue: Final = rows(of=lambda case: not case.amends)
every_known_venue: Final = rows(of=lambda case: not case.by)
"""Those that zoms has a gateway of its own for."""
every_recorded_venue: Final = pytest.mark.parametrize(
    "case", [case for case in CASES if open_recording(case.recording).venue == case.venue], ids=str
)
"""Those whose own messages are recorded."""

Body = Callable[["Stand"], Awaitable[None]]


class Stand:
    """A booth at a venue, in units that all venues share: currency amounts as text."""

    def __init__(self, booth: Booth, case: Case) -> None:
        self.booth = booth
        self.case = case
        instrument = booth.instrument
        self.lots = instrument.qty_to_lots(case.tenth)
        """A tenth of a bitcoin."""
        self.far = instrument.px_to_ticks("61000")
        """A price at which a buy rests."""
        self.few = self.lots // 10
        """A hundredth."""
        self.least = self.lots // 100

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

    def take(self, side: int, qty: int) -> int:
        """Ask for an order that takes what there is: at the market, where the venue has that; its id."""
        if side < 0 or self.case.buys_at_market:
            placed: int = self.booth.place(side, qty)
        else:
            px = self.booth.best(-side) + side * 500
            placed = self.booth.place(side, qty, px, time_in_force=TimeInForce.IOC)
        return placed

    async def elsewhere(self, side: int, qty: int, px: int = 0, client_id: str = "") -> int:
        """An order that somebody else places on the account: in lots, at ticks or at the market; its id."""
        instrument = self.booth.instrument
        price = instrument.px_from_ticks(px) if px else ""
        request = self.case.new_request(instrument, side, instrument.qty_from_lots(qty), price, client_id)
        await getattr(self.booth.exchange, self.case.new_order)(request)
        return max(self.booth.sandbox.venue.exchange.orders)


def on_stand(
    clock: Callable[[], Clock] = Clock, at: Rows = every_venue, **options: Any
) -> Callable[[Body], Callable[[Case], None]]:
    """Turn a coroutine over a ``Stand`` whose gateway trades into a test of every venue, or of those ``at`` which;
    options are the booth's."""

    def decorate(body: Body) -> Callable[[Case], None]:
        @at
        def test(case: Case) -> None:
            async def on_this(booth: Booth) -> None:
                await body(Stand(booth, case))

            market: dict[str, Any] = {"recording": case.recording, "instrument": case.instrument, "traded": case.traded}
            on_booth(clock, **market, balance=case.balance, **options)(on_this)()

        test.__name__ = body.__name__
        test.__doc__ = body.__doc__
        tested: Callable[[Case], None] = test
        return tested

    return decorate
