"""What a venue trades over a recording of another venue, or over its own where the settings do not define that."""

from __future__ import annotations

from typing import Final

from gateways.sidecar import Recording
from gateways.venues import VENUES
from oms.checks import ConfigError
from oms.config import Settings
from oms.instruments import Instrument

STAND_INS: Final = {
    ("binance_usdm", "BTCUSDT"): (
        Instrument(
            id=0,
            symbol="BTC-USDT-SWAP",
            venue="okx",
            kind="linear_perpetual",
            tick="0.1",
            lot="0.01",
            multiplier="0.01",
            base="BTC",
            quote="USDT",
            min_qty="0.01",
            max_qty="1000000",
            max_leverage="100",
        ),
        Instrument(
            id=0,
            symbol="BTC-USDT",
            venue="htx_linear",
            kind="linear_perpetual",
            tick="0.1",
            lot="1",
            multiplier="0.001",
            base="BTC",
            quote="USDT",
            min_qty="1",
            max_qty="500000",
            max_leverage="200",
        ),
    ),
    ("binance_spot", "BTCUSDT"): (
        Instrument(
            id=0,
            symbol="btcusdt",
            venue="htx_spot",
            kind="spot",
            tick="0.01",
            lot="0.00001",
            base="BTC",
            quote="USDT",
            min_qty="0.00001",
            max_qty="1000",
            min_notional="10",
            maker_fee_rate="0.002",
            taker_fee_rate="0.002",
        ),
        Instrument(
            id=0,
            symbol="BTC-USDT",
            venue="okx_spot",
            kind="spot",
            tick="0.01",
            lot="0.00000001",
            base="BTC",
            quote="USDT",
            min_qty="0.00001",
            max_qty="10000",
            maker_fee_rate="0.0008",
            taker_fee_rate="0.001",
        ),
    ),
    ("binance_coinm", "BTCUSD_PERP"): (
        Instrument(
            id=0,
            symbol="BTC-USD-SWAP",
            venue="okx",
            kind="inverse_perpetual",
            tick="0.1",
            lot="1",
            multiplier="100",
            base="BTC",
            quote="USD",
            min_qty="1",
            max_qty="100000",
            max_leverage="100",
        ),
        Instrument(
            id=0,
            symbol="BTCUSD_PERP",
            venue="binance_coinm",
            kind="inverse_perpetual",
            tick="0.1",
            lot="1",
            multiplier="100",
            base="BTC",
            quote="USD",
            maker_fee_rate="0.0001",
            taker_fee_rate="0.0005",
            min_qty="1",
            max_qty="1000000",
            max_leverage="125",
        ),
    ),
}
"""By venue and symbol of the recording: contracts as their exchanges list them, but for prices of OKX's BTC-USDT, which
are whole tenths there and have the recording's two decimals here. Settings may define them otherwise."""


def check_market(instrument: Instrument, recording: Recording) -> None:
    """Raise ``ConfigError`` unless a recording is of an instrument, or may stand for its market."""
    found = STAND_INS.get((recording.venue, recording.symbol), ())
    if recording.venue != instrument.venue and instrument.symbol not in [each.symbol for each in found]:
        raise ConfigError(
            f"{recording.path} is of {recording.symbol} at {recording.venue}, and does not stand for "
            f"{instrument.symbol} at {instrument.venue}"
        )


def traded_on(recording: Recording, family: str, settings: Settings) -> Instrument:
    """What an exchange's sandbox trades over a recording: what is recorded, where that is the exchange's own.

    Raises
    ------
    ConfigError
        When it trades nothing that the recording could stand for.
    """
    for instrument in STAND_INS.get((recording.venue, recording.symbol), ()):
        if VENUES[instrument.venue].family == family:
            wanted = (instrument.symbol, instrument.venue)
            own = [each for each in settings.instruments if (each.symbol, each.venue) == wanted]
            return own[0] if own else instrument
    recorded = VENUES.get(recording.venue)
    if recorded is not None and recorded.family == family:
        return settings.instrument(f"{recording.symbol}.{recording.venue}")
    raise ConfigError(
        f"{recording.path} is of {recording.symbol} at {recording.venue}, and stands for nothing at {family}: give a "
        f"recording of it"
    )
