"""``zoms redefine``: a new version of an instrument's definition for the session that runs."""

from __future__ import annotations

import time
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from oms.commands.options import Account, CommandError, DataDir, SettingsFile, running_settings, say

if TYPE_CHECKING:
    from oms.config import Settings
    from oms.instruments import Instrument
    from oms.journal_format import Records
    from oms.journal_reader import JournalTail

ANSWER_S: Final = 10.0
"""How long to wait until the core has cancelled the orders and put the version in force."""
POLL_S: Final = 0.02
CHANGEABLE: Final = (
    "tick",
    "lot",
    "min_qty",
    "max_qty",
    "min_notional",
    "maker_fee_rate",
    "taker_fee_rate",
    "max_leverage",
    "margin_tiers",
    "option_margin",
)
"""What two versions of one contract may differ in."""
TABLES: Final = ("margin_tiers", "option_margin")
"""Those of them that are more than one text."""


def newest(settings: Settings, instrument: Instrument) -> Instrument:
    """The highest version of an instrument that the account knows."""
    from oms.definitions import read_definitions

    known = [each for each in read_definitions(settings.definitions_file) if each.id == instrument.id]
    return max([instrument, *known], key=lambda each: each.version)


def next_version(settings: Settings, symbol: str, changes: list[str]) -> Instrument:
    """The next version of an instrument, with ``key=value`` changes.

    Raises
    ------
    CommandError
        When a change is none of ``CHANGEABLE``, none is given, or the instrument cannot be like that.
    ConfigError
        When one of its numbers cannot be used.
    """
    import msgspec

    from oms.settings import check_grid
    from oms.traded import traded_instrument

    before = newest(settings, traded_instrument(settings, symbol))
    given = dict(change.partition("=")[::2] for change in changes)
    for name in given:
        if name not in CHANGEABLE or name in TABLES:
            allowed = ", ".join(each for each in CHANGEABLE if each not in TABLES)
            raise CommandError(f"{name!r} cannot be changed by hand: give {allowed} as name=value, or --settings FILE")
    if not given:
        raise CommandError(f"say what changes in {symbol}, such as tick=0.5")
    try:
        changed = msgspec.structs.replace(before, version=before.version + 1, **given)
    except ValueError as error:
        raise CommandError(str(error)) from None
    remedies = {name: on_lot(changed, name) for name in ("min_qty", "max_qty") if name not in given}
    off_lot = [name for name, text in remedies.items() if Decimal(text) != Decimal(getattr(before, name))]
    if off_lot:
        limits = " and ".join(f"{name} {getattr(before, name)}" for name in off_lot)
        remedy = " ".join(f"{name}={remedies[name]}" for name in off_lot)
        raise CommandError(f"{limits} would not be on {before.symbol}'s lot {changed.lot}: give {remedy} too")
    check_grid(changed)
    return changed


def on_lot(instrument: Instrument, name: str) -> str:
    """Its ``min_qty`` or ``max_qty``; where that is off the lot the nearest inside that is on it, one lot at least."""
    lots = Fraction(getattr(instrument, name)) / Fraction(instrument.lot)
    return instrument.qty_from_lots((ceil(lots) if name == "min_qty" else floor(lots)) or ceil(lots))


def newer_versions(settings: Settings, path: Path) -> list[Instrument]:
    """Every instrument of a settings file that has a higher version there than the account knows.

    Raises
    ------
    CommandError
        When one is another contract, or none is newer.
    """
    from oms.config import load_settings

    found = []
    known = {each.id: newest(settings, each) for each in settings.instruments}
    for each in load_settings(path, {"replay": {"file": ""}}).instruments:
        before = known.get(each.id)
        if before is None or each.version <= before.version:
            continue
        for name in each.__struct_fields__:
            old, new = getattr(before, name), getattr(each, name)
            if name != "version" and name not in CHANGEABLE and old != new:
                raise CommandError(
                    f"{each.symbol} has {name} {new} in {path}, the session {old}: that is another contract, give it an"
                    " id of its own"
                )
        found.append(each)
    if not found:
        raise CommandError(f"no instrument has a higher version in {path} than in the session: raise its version")
    return found


def send_definitions(settings: Settings, instruments: list[Instrument]) -> None:
    """Send new versions to the running core, and tell what its journal says of each.

    They are added to the account's definitions first, so that every reader knows them when the core uses them.

    Raises
    ------
    CommandError
        When the core refuses one, or does not answer.
    """
    import numpy as np

    from oms.bus import Pusher, new_context
    from oms.definitions import add_definitions
    from oms.journal_reader import JournalTail
    from oms.journal_segments import sessions
    from oms.records import RecordKind, Source

    records: Records = np.concatenate([each.definition() for each in instruments])
    add_definitions(settings.definitions_file, instruments)
    tail = JournalTail(sessions(settings.journal_dir)[-1], only_durable=True)
    for _ in tail.read():
        pass  # what there was before
    context = new_context()
    pusher = Pusher(context, settings.core_endpoint, RecordKind.DEFINITION, Source.EXECUTION)
    try:
        pusher.send(records)
        wait_for_versions(tail, instruments)
    finally:
        pusher.close()
        context.destroy(linger=500)


def wait_for_versions(tail: JournalTail, instruments: list[Instrument]) -> None:
    """Tell of each instrument what became of its new version; raises ``CommandError`` when the core refuses one."""
    from oms.records import EventKind, InstrumentState, Reason, RecordKind

    waited = {each.id: each for each in instruments}
    deadline = time.monotonic() + ANSWER_S
    state = "has not answered: see zoms status"
    while waited and time.monotonic() < deadline:
        for entry in tail.read():
            for event in entry.records if entry.kind == RecordKind.EVENT else ():
                instrument = waited.get(int(event["instrument"]))
                if instrument is None:
                    continue
                reason = Reason(int(event["reason"])).name
                if event["kind"] == EventKind.DEFINITION_REFUSED and event["px"] == instrument.version:
                    raise CommandError(
                        f"the core has not taken version {instrument.version} of {instrument.symbol}: {reason} "
                        "(docs/reasons.md)"
                    )
                if event["kind"] != EventKind.INSTRUMENT:
                    continue
                if event["aux"] == InstrumentState.SWITCHING:
                    state = "waits until its open orders are cancelled"
                elif event["aux"] == InstrumentState.OFF_GRID:
                    say(f"{instrument.symbol} waits for an adjustment: {reason} (docs/instruments.md)")
                    del waited[instrument.id]
                elif event["px"] == instrument.version:
                    say(f"{instrument.symbol} trades in version {instrument.version} from its next snapshot on")
                    del waited[instrument.id]
        time.sleep(POLL_S)
    for each in waited.values():
        raise CommandError(f"version {each.version} of {each.symbol} was sent, and the core {state}")


def redefine(
    symbol: Annotated[
        str | None, typer.Argument(help="Instrument, such as BTCUSDT or BTCUSDT.binance_usdm.", metavar="INSTRUMENT")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Argument(help="What changes, such as tick=0.5 lot=0.005 min_qty=0.005.", metavar="NAME=VALUE..."),
    ] = None,
    account: Account = None,
    data_dir: DataDir = None,
    settings_file: SettingsFile = None,
) -> None:
    """Bring a new version of an instrument: its orders are cancelled, then the new tick, lot and limits apply.

    With --settings every instrument is sent whose version there is higher than in the session.
    """
    if (symbol is None) == (settings_file is None):
        raise CommandError("name an instrument and its changes, or give --settings FILE")
    settings = running_settings(account, data_dir)
    if symbol is None:
        assert settings_file is not None
        send_definitions(settings, newer_versions(settings, settings_file))
    else:
        send_definitions(settings, [next_version(settings, symbol, changes or [])])
