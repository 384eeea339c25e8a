"""Reports that the core makes itself where it plays the exchange: settlement at the expiry, and funding.

They are reports like any other: journalled, applied once, each with its event.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.book import mid_half_ticks
from oms.core.instrument_states import tell_instrument
from oms.core.positions import funding_of
from oms.core.reports import apply_report
from oms.core.settlement import contract_fits, quote_price
from oms.core.state import MAX_ACCOUNTS, MAX_LEGS, Record
from oms.instrument_kinds import InstrumentKind
from oms.records import OrderFlag, Reason, ReportKind

_FUNDING: Final = int(ReportKind.FUNDING)
_SETTLEMENT: Final = int(ReportKind.SETTLEMENT)
_SHORT_LEG: Final = int(OrderFlag.SHORT_LEG)
_NO_PRICE: Final = int(Reason.NO_PRICE)
_LINEAR_PERPETUAL: Final = int(InstrumentKind.LINEAR_PERPETUAL)
_QUANTO_PERPETUAL: Final = int(InstrumentKind.QUANTO_PERPETUAL)


@kernel
def report_of_position(s: Record, kind: int, account: int, instrument: int, leg: int) -> Record:
    """A report of the core's own about a position, complete but for its amounts."""
    report = s["own_report"]
    report["ts"] = s["now"]
    report["exch_ts"] = s["now"]
    report["trade_id"] = 0
    report["kind"] = kind
    report["fee_known"] = 1
    report["flags"] = _SHORT_LEG if leg == 1 else 0
    report["instrument"] = instrument
    report["version"] = s["instruments"][instrument]["version"]
    report["account"] = account
    report["px"] = 0
    report["fee"] = 0
    report["value"] = 0
    return report


@kernel
def stated_price(s: Record, instrument: int) -> int:
    """The venue's index price of an instrument in 1e-8 of its quote currency, else its mark price; 0: neither."""
    book = s["books"][instrument]
    px = book["index_px"] if book["index_px"] > 0 else book["mark_px"]
    return quote_price(s["instruments"][instrument], 2 * px) if px > 0 else 0


@kernel
def settlement_price(s: Record, instrument: int) -> int:
    """What an expired instrument is settled at, in 1e-8 of the quote currency; 0 when that is not known.

    For a future its own index or mark price, else its underlying's; for an option its underlying's.
    """
    definition = s["instruments"][instrument]
    price = stated_price(s, instrument) if definition["option_kind"] == 0 else 0
    if price == 0 and definition["underlying"] >= 0:
        price = stated_price(s, definition["underlying"])
    return price


@kernel
def settle_expired(s: Record, instrument: int) -> bool:
    """Settle what is held of an expired instrument; True when there was something. Without a price it stays, and that
    is told once."""
    done = False
    price = settlement_price(s, instrument)
    for account in range(MAX_ACCOUNTS):
        for leg in range(MAX_LEGS):
            qty = s["positions"][account, instrument, leg]["qty"]
            if qty == 0:
                continue
            if not contract_fits(s["instruments"][instrument], price, abs(qty)):
                if s["unsettled"][instrument] == 0:
                    s["unsettled"][instrument] = 1
                    tell_instrument(s, instrument, _NO_PRICE)
                continue
            report = report_of_position(s, _SETTLEMENT, account, instrument, leg)
            report["px"] = price
            apply_report(s, report)
            done = True
    return done


@kernel
def pay_fundings(s: Record, instrument: int, rate: int) -> None:
    """Book the funding that is due at ``rate`` (1e-8) on every position in a perpetual, at its mark, else mid price."""
    definition = s["instruments"][instrument]
    if not _LINEAR_PERPETUAL <= definition["kind"] <= _QUANTO_PERPETUAL:
        return
    book = s["books"][instrument]
    half_ticks = 2 * book["mark_px"] if book["mark_px"] > 0 else mid_half_ticks(book)
    for account in range(MAX_ACCOUNTS):
        for leg in range(MAX_LEGS):
            position = s["positions"][account, instrument, leg]
            if position["qty"] == 0 or half_ticks <= 0:
                continue
            report = report_of_position(s, _FUNDING, account, instrument, leg)
            report["fee"] = -funding_of(position, definition, half_ticks, rate)
            report["value"] = rate
            apply_report(s, report)
