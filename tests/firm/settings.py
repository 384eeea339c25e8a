"""Settings of sessions with real orders, against a sandbox or nothing at all."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

import gateways
from gateways.sandbox.server import DEFAULT_BALANCE
from gateways.sandbox.stand_ins import STAND_INS
from oms.config import Settings, load_settings, qualified_symbol
from oms.instruments import Instrument
from oms.records import CASH_SCALE
from tests.gateways.reference import COINM_FILE

ACCOUNT: Final = "desk"
RECORDINGS: Final = Path(gateways.__file__).parent / "recordings"


class Market(NamedTuple):
    """What a session trades, and the recording that is its market.

    Attributes
    ----------
    qty : pair of int
        Lots of the smallest and the largest order.
    """

    instrument: Instrument
    recording: Path
    max_order_qty: str
    max_position: str
    qty: tuple[int, int]
    balances: str = ""
    balance: int = DEFAULT_BALANCE
    """What the sandbox's account begins with, cash in the settlement currency."""
    is_shipped: bool = True

    @property
    def venue(self) -> str:
        return self.instrument.venue

    @property
    def symbol(self) -> str:
        return qualified_symbol(self.instrument)

    @property
    def market_maker(self) -> str:
        """A strategy on it whose orders are of the smallest size, as settings say it."""
        lots = f"order_lots = {self.qty[0]:.1f}, max_position_lots = {10 * self.qty[0]:.1f}"
        return f'''
[[strategies]]
file = "market_maker"
instrument = "{self.symbol}"
parameters = {{ {lots} }}
'''

    @property
    def currencies(self) -> str:
        """The reporting currency, and how what a contract settles in becomes it, as settings say them."""
        if not self.instrument.inverse:
            return ""
        quote, settlement = self.instrument.quote, self.instrument.settlement
        return f'reporting_currency = "{quote}"\ncurrencies.{settlement}.instrument = "{self.symbol}"'

    @property
    def definition(self) -> str:
        """The instrument as settings say it, where zoms does not ship it."""
        return "" if self.is_shipped else definition_text(self.instrument)


def definition_text(instrument: Instrument) -> str:
    """An instrument as settings say it."""
    said = {name: value for name, value in msgspec.structs.asdict(instrument).items() if value or name == "id"}
    return "\n[[instruments]]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in said.items())


def _shipped(name: str) -> Instrument:
    return load_settings().instrument(name)


USDM: Final = Market(
    _shipped("BTCUSDT.binance_usdm"),
    RECORDINGS / "usdm_btcusdt_20240808_60s.gz",
    "0.1",
    "0.5",
    (10, 130),
    balances='"binance_usdm.USDT" = "100000"',
)
SPOT: Final = Market(
    _shipped("BTCUSDT.binance_spot"), RECORDINGS / "spot_btcusdt_20240808_30s.gz", "0.1", "0.5", (100, 13_000)
)
_STANDING_IN: Final = {(recorded, each.venue): each for (recorded, _), found in STAND_INS.items() for each in found}
OKX: Final = Market(_STANDING_IN["binance_usdm", "okx"], USDM.recording, "10", "50", (10, 1_300), is_shipped=False)
OKX_SPOT: Final = Market(
    _STANDING_IN["binance_spot", "okx_spot"],
    SPOT.recording,
    "0.1",
    "0.5",
    (100_000, 13_000_000),
    is_shipped=False,
)
COINM: Final = Market(
    _STANDING_IN["binance_coinm", "binance_coinm"],
    COINM_FILE,
    "60",
    "300",
    (1, 80),
    balance=10 * CASH_SCALE,
    is_shipped=False,
)
OKX_INVERSE: Final = COINM._replace(instrument=_STANDING_IN["binance_coinm", "okx"])
HTX: Final = Market(
    _STANDING_IN["binance_usdm", "htx_linear"], USDM.recording, "100", "500", (10, 130), is_shipped=False
)
HTX_SPOT: Final = Market(
    _STANDING_IN["binance_spot", "htx_spot"], SPOT.recording, "0.1", "0.5", (100, 13_000), is_shipped=False
)
MARKETS: Final = {market.venue: market for market in (USDM, SPOT, COINM, OKX, OKX_SPOT, HTX, HTX_SPOT)} | {
    "okx inverse": OKX_INVERSE
}
ALIKE: Final = ("binance_coinm", "okx_spot", "okx inverse", "htx_spot")
"""Of these, those that are much like another one: ``make thorough`` runs them."""

SYMBOL: Final = USDM.symbol


def settings_text(market: Market) -> str:
    """A session on one instrument, with limits of its own and without a strategy; ``{port}`` and ``{ca}`` are open."""
    return f"""
account = "{ACCOUNT}"
heartbeat_s = 0.1
{market.currencies}

[live]
instruments = ["{market.symbol}"]

[live.sandbox.{market.venue}]
port = {{port}}
ca = "{{ca}}"

[accounts.{ACCOUNT}]
position_mode = "netting"
margin_mode = "cross"
cost_basis = "average"
leverage = "5"
day_reset = "00:00 UTC"
balances = {{{{ {market.balances} }}}}
max_gross_exposure = "60000"
max_net_exposure = "60000"
max_leverage = "3"
max_open_orders = 20
max_daily_loss = "1000"
max_drawdown = "2000"
max_orders_per_second = 20
max_cancels_per_second = 40

[risk."{market.symbol}"]
max_order_qty = "{market.max_order_qty}"
max_order_notional = "10000"
price_collar = "0.02"
max_position = "{market.max_position}"
max_open_orders = 10
max_orders_per_second = 10
max_book_age_ms = 5000
duplicate_window_ms = 10
{market.definition}"""


SETTINGS: Final = settings_text(USDM)


class Served(NamedTuple):
    """A market's sandbox on this machine."""

    market: Market
    port: int = 1
    ca_pem: bytes = b""


BOTH: Final = (Served(USDM), Served(OKX))


def several_settings_file(folder: Path, served: Sequence[Served] = BOTH, more: str = "") -> Path:
    """Write the settings of a session on several venues, and ``more`` behind them, to a file."""
    symbols = [each.market.symbol for each in served]
    text = ""
    for number, (market, port, ca_pem) in enumerate(served):
        ca = folder / f"{market.venue}.pem"
        ca.write_bytes(ca_pem)
        own = settings_text(market._replace(is_shipped=True)).format(port=port, ca=ca)
        tables = own[own.index("[live.sandbox") : own.index("[accounts")] + own[own.index("[risk.") :]
        text += (tables if number else own) + definition_text(msgspec.structs.replace(market.instrument, id=number))
    path = folder / "firm.toml"
    path.write_text(text.replace(f'instruments = ["{symbols[0]}"]', f"instruments = {json.dumps(symbols)}") + more)
    return path


def settings_file(folder: Path, *, port: int = 1, ca_pem: bytes = b"", more: str = "", market: Market = USDM) -> Path:
    """Write a market's settings, and ``more`` behind them, to a file."""
    ca = folder / "ca.pem"
    ca.write_bytes(ca_pem)
    path = folder / "firm.toml"
    path.write_text(settings_text(market).format(port=port, ca=ca) + more)
    return path


def firm_settings(
    folder: Path,
    *,
    trade: bool = True,
    more: str = "",
    market: Market = USDM,
    served: Sequence[Served] = (),
    **given: Any,
) -> Settings:
    """The settings of a session that may trade, in one market or in several."""
    path = several_settings_file(folder, served, more) if served else settings_file(folder, more=more, market=market)
    overrides = {"mode": "firm", "firm": {"trade": trade}, "data_dir": os.fspath(folder / "data")}
    return load_settings(path, {**overrides, **given})
