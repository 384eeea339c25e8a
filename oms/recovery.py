"""Recovery: what the sessions before have left, rebuilt from the newest good snapshot and the journal behind it.

It is done in a state of its own, under the definitions of its time, and checked against what the journal says came out.
Only then does the new session take it on, under its own settings. What cannot be rebuilt without doubt is refused:
nothing trades on a guess.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from oms.config import Settings, qualified_symbol
from oms.core.state import MAX_ACCOUNTS, MAX_STRATEGIES, State, begin_books, new_state
from oms.currencies import Wallet
from oms.definition_rows import SET_BY_ASSEMBLY
from oms.durable import DEFINED, Column, begin_session, kept_columns, restored_parts
from oms.instruments import Instrument
from oms.journal_format import JournalError, place_of, session_of
from oms.journal_segments import sessions
from oms.kept_versions import VersionError, keep_versions
from oms.records import REPORT, OrderState, Reason, ReportKind
from oms.replay import Replay, Replayed
from oms.snapshot import Definitions, Place, Snapshot, SnapshotError, lay_over, read_snapshot, restore, snapshots

OPEN_STATES: Final = (
    OrderState.PENDING_NEW,
    OrderState.LIVE,
    OrderState.PENDING_AMEND,
    OrderState.PENDING_CANCEL,
)
GRID: Final = ("kind", "tick", "lot", "multiplier", "settlement")
"""What prices and quantities of an instrument are counted in."""


class RecoveryError(ValueError):
    """What was left cannot be taken on; the message names the damage or the difference, and the remedy."""


@dataclass
class Past:
    """What the sessions before have left.

    Attributes
    ----------
    st : array of STATE, shape (1,)
    definitions : Definitions
        Those of the last session, as far as they are known.
    snapshot : Path or None
        What it began with.
    sessions : list of Replayed
        What was replayed, oldest first.
    clean : bool or None
        The last session ended in good order; None: there was none.
    notes : list of str
        What should be known: snapshots that do not verify, torn ends.
    """

    st: State
    definitions: Definitions
    snapshot: Path | None = None
    sessions: list[Replayed] = field(default_factory=list)
    clean: bool | None = None
    notes: list[str] = field(default_factory=list)


def definitions_of(settings: Settings) -> Definitions:
    """What the numbers in a session's state stand for."""
    return Definitions(
        account=settings.account,
        instruments={str(each.id): _said_of(each) for each in settings.instruments},
        strategies=tuple(each.title for each in settings.strategies),
        wallets=wallet_names(settings.wallets),
    )


def _said_of(instrument: Instrument) -> dict[str, str]:
    said = {name: str(getattr(instrument, name)) for name in GRID}
    return {"name": qualified_symbol(instrument), "version": str(instrument.version), **said}


def in_force(definitions: Definitions, st: State, known: Iterable[Instrument]) -> Definitions:
    """Definitions with each instrument in the version that a state has in force, as far as ``known`` has it."""
    versions = {(str(each.id), str(each.version)): each for each in known}
    instruments = dict(definitions.instruments)
    for number, said in instruments.items():
        version = str(st[0]["instruments"]["version"][int(number)])
        found = versions.get((number, version))
        if found is not None and said.get("version") != version:
            instruments[number] = _said_of(found)
    return msgspec.structs.replace(definitions, instruments=instruments)


def wallet_names(wallets: Iterable[Wallet]) -> tuple[str, ...]:
    """Currency and venue of each wallet, such as ``USDT.binance_usdm``, by number."""
    return tuple(f"{wallet.currency}.{wallet.venue}" for wallet in wallets)


def recover(assembled: State, definitions: Definitions, snapshot_dir: Path, journal_dir: Path) -> Past:
    """Rebuild the state that the last session left.

    Parameters
    ----------
    assembled : array of STATE, shape (1,)
        A state that holds the settings' definitions; it is not changed.
    definitions : Definitions
        Of the settings: for journals from before there were snapshots.
    snapshot_dir, journal_dir : Path

    Raises
    ------
    RecoveryError
        When there are snapshots and none verifies.
    JournalError
        When the journal is damaged, incomplete, or comes to something else than it says.
    """
    past = Past(new_state(), definitions)
    snapshot = _newest_good(snapshot_dir, past.notes)
    left = sessions(journal_dir)
    if snapshot is not None:
        restore(past.st, snapshot, definitions=True)
        past.definitions, past.snapshot = snapshot.definitions, snapshot.path
        place = snapshot.place
    else:
        carry_definitions(past.st, assembled)
        if not left:
            return past
        place = Place(session_of(left[0]), 0, 0, 0)
        first = place_of(left[0])
        if first is not None and first[1] != 0:
            raise JournalError(
                f"journal {left[0]} has no segments before it and no snapshot covers them: restore one from a copy"
            )
    replay = Replay(past.st)
    if snapshot is None or not snapshot.clean:
        _replay(replay, past, journal_dir, place)
    else:
        past.clean = True
    for path in left:
        session = session_of(path)
        if session > place.session:
            begin_session(past.st, session)
            _replay(replay, past, journal_dir, Place(session, 0, 0, 0))
    return past


def _replay(replay: Replay, past: Past, journal_dir: Path, place: Place) -> None:
    done = replay.session(journal_dir, place.session, place.number, place.event_seq)
    past.sessions.append(done)
    past.clean = done.closed
    if done.torn is not None:
        past.notes.append(
            f"journal of session {done.session}: the last entry, at offset {done.torn.offset}, is incomplete"
            f" ({done.torn.size} bytes); it never had effect and is left out"
        )
    if done.unfinished:
        past.notes.append(
            f"journal of session {done.session}: {done.unfinished} requests or reports at its end have no events; they"
            " never had effect and are left out"
        )


def _newest_good(folder: Path, notes: list[str]) -> Snapshot | None:
    problem = ""
    for path in snapshots(folder):
        try:
            return read_snapshot(path)
        except SnapshotError as error:
            problem = str(error)
            notes.append(problem)
    if problem:
        raise RecoveryError(f"no snapshot in {folder} verifies: restore one of them from a copy ({problem})")
    return None


def carry_definitions(target: State, source: State) -> None:
    """Copy what the settings define, addresses apart, and what wallets and strategies' trading states begin with.

    An account's trading state is said by an event when a session begins; a strategy's only when it changes.
    """
    for table, parts in DEFINED.items():
        column = Column(table, "")
        lay_over(column.of(target), column.of(source), parts)
    begin_books(target)
    target[0]["wallets"]["balance"] = source[0]["wallets"]["balance"]
    for name in ("defined", "trading_state"):
        target[0]["scopes"][name][MAX_ACCOUNTS:] = source[0]["scopes"][name][MAX_ACCOUNTS:]


def take_on(st: State, past: Past, definitions: Definitions, known: Iterable[Instrument] = ()) -> Definitions:
    """Lay what was left over a state as assembled, and return the session's definitions: with what is left of others.

    Parameters
    ----------
    st : array of STATE, shape (1,)
        As the settings define it. Where they show what the version in force has replaced, that stays in force.
    past : Past
    definitions : Definitions
        Of the settings.
    known : iterable of Instrument
        Every version that the account has ever used.

    Raises
    ------
    RecoveryError
        When an instrument that has a position or open orders is not what it was, or the settings contradict the version
        that is in force.
    """
    if past.clean is None:
        return definitions
    known = tuple(known)
    past.definitions = in_force(past.definitions, past.st, known)
    names = {int(number): said["name"] for number, said in definitions.instruments.items()}
    both = {
        number: name
        for number, name in names.items()
        if past.definitions.instruments.get(str(number), {}).get("name") == name
    }
    try:
        for number in keep_versions(st, past.st, both, known):
            past.notes.append(f"{both[number]} goes on in version {st[0]['instruments']['version'][number]}")
    except VersionError as error:
        raise RecoveryError(str(error)) from None
    definitions = in_force(definitions, st, known)
    _check_instruments(past, definitions)
    definitions = _place_strategies(past, definitions)
    _place_wallets(past, definitions, st)
    begun = st[0]["scopes"].copy()
    for column in kept_columns(whole=False):
        lay_over(column.of(st), column.of(past.st), restored_parts(column))
    _keep_new_scopes(st, past, begun)
    _number_versions(st)
    return definitions


def _number_versions(st: State) -> None:
    """Give the former and the coming versions the numbers that their instruments have in this session."""
    rows = st[0]["instruments"]
    for table in ("former_definitions", "pending_definitions"):
        versions = st[0][table]
        defined = versions["defined"] != 0
        for name in (*SET_BY_ASSEMBLY, "contract"):
            versions[name][defined] = rows[name][defined]


def _keep_new_scopes(st: State, past: Past, begun: npt.NDArray[np.void]) -> None:
    """A scope that was never in a trading state keeps the one that it is assembled with."""
    scopes = st[0]["scopes"]
    was = past.st[0]["scopes"]["defined"] != 0
    for name in ("trading_state", "reason"):
        scopes[name][~was] = begun[name][~was]
    scopes["defined"][MAX_ACCOUNTS:] |= past.st[0]["scopes"]["defined"][MAX_ACCOUNTS:]


def _place_wallets(past: Past, definitions: Definitions, st: State) -> None:
    """Move what the wallets hold to where their currency and venue now are; a new one has what it is assembled with."""
    names = past.definitions.wallets or definitions.wallets
    held = past.st[0]["wallets"]
    placed = st[0]["wallets"].copy()
    for number, name in enumerate(names):
        if name in definitions.wallets:
            known = held["defined"][:, number] != 0
            placed[known, definitions.wallets.index(name)] = held[known, number]
        elif held["balance"][:, number].any():
            past.notes.append(f"nothing is paid in {name} any more: what the wallet held is in the journal only")
    if definitions.wallets:
        past.st[0]["wallets"][:] = placed


def _check_instruments(past: Past, definitions: Definitions) -> None:
    positions = past.st[0]["positions"]
    for number, was in past.definitions.instruments.items():
        now = definitions.instruments.get(number)
        changes = [name for name in was if name != "version" and (now or {}).get(name) != was[name]]
        if now is not None and not changes:
            continue
        rows = positions[:, int(number)]
        is_used = bool((rows["qty"] != 0).any() or (rows["open_orders"] != 0).any())
        if now is not None and now["name"] != was["name"]:
            if is_used or (rows["fills"] != 0).any():
                raise RecoveryError(
                    f"instrument id {number} is {now['name']} in the settings and was {was['name']}, which has been"
                    f" traded: give {now['name']} an id of its own"
                )
        elif is_used:
            changed = "is no longer defined" if now is None else "has another " + ", ".join(changes)
            raise RecoveryError(
                f"instrument {was['name']} {changed}, and has a position or open orders: start with its former"
                " definition, close them, then change it"
            )


def _place_strategies(past: Past, definitions: Definitions) -> Definitions:
    """Give what each strategy has left to the strategy of its title, wherever that stands now.

    What a strategy that is gone has left moves behind the others, under its title, until it comes back. Order ids are
    made of a strategy's place and a counter, so every counter goes on from the highest.
    """
    free = list(definitions.strategies)
    titles = list(definitions.strategies)
    places = np.arange(MAX_STRATEGIES)
    for number, title in enumerate(past.definitions.strategies):
        if title in free:
            places[number] = free.index(title)
            free[places[number]] = ""
        elif len(titles) < MAX_STRATEGIES:
            places[number] = len(titles)
            titles.append(title)
        else:
            raise RecoveryError(
                f"strategy {title} is no longer there, and there is no place for what it has left: the core holds"
                f" {MAX_STRATEGIES} strategies; start with fewer"
            )
    count = len(past.definitions.strategies)
    if not np.array_equal(places[:count], np.arange(count)):
        _move_strategies(past.st, places[:count])
    return msgspec.structs.replace(definitions, strategies=tuple(titles))


def _move_strategies(st: State, places: npt.NDArray[np.int64]) -> None:
    s = st[0]
    blank = new_state()[0]
    first = np.arange(len(places))
    for table, offset in (
        ("scopes", MAX_ACCOUNTS),
        ("limits", MAX_ACCOUNTS),
        ("positions", MAX_ACCOUNTS),
        ("valuations", MAX_ACCOUNTS),
        ("strategies", 0),
    ):
        rows = s[table][offset + first].copy()
        s[table][offset + first] = blank[table][offset + first]
        s[table][offset + places] = rows
    s["strategies"]["order_counter"] = s["strategies"]["order_counter"].max()
    strategy = s["orders"]["strategy"]
    known = (strategy >= 0) & (strategy < len(places))
    strategy[known] = places[strategy[known]]


def cancelled_by_restart(st: State) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """Reports that end every order which was at an exchange that has ended with the process."""
    s = st[0]
    orders = s["orders"][: s["orders_used"]]
    ended = orders[np.isin(orders["state"], OPEN_STATES)]
    reports = np.zeros(len(ended), REPORT)
    reports["kind"] = ReportKind.CANCELLED
    reports["reason"] = Reason.RESTARTED
    reports["ts"] = reports["exch_ts"] = s["now"]
    for name in ("order_id", "side", "instrument", "version", "account"):
        reports[name] = ended[name]
    return reports
