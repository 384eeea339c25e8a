"""What a restart makes of versions: the one in force stays in force while the settings show what it replaced.

Settings are changed by hand, and often later than the session that was told of a venue's change. Settings that still
have a former version are completed by what is known; settings that contradict what is known are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import numpy as np

from oms.core.kept_version import keep_version
from oms.core.state import State
from oms.definition_rows import SET_BY_ASSEMBLY
from oms.instruments import Instrument
from oms.records import CASH_SCALE, InstrumentState

CHANGING: Final = (InstrumentState.SWITCHING, InstrumentState.OFF_GRID)
GRID: Final = (
    "kind",
    "tick_numerator",
    "tick_denominator",
    "base_numerator",
    "base_denominator",
    "multiplier_numerator",
    "multiplier_denominator",
)


class VersionError(ValueError):
    """Settings that contradict the version in force; the message names both and the remedy."""


def same_definition(one: Any, other: Any, names: Iterable[str] = ()) -> bool:
    """Whether two rows of an instrument say the same, in ``names`` or in all but the session's numbers."""
    if one["contract"] and other["contract"] and one["contract"] != other["contract"]:
        return False
    every = (name for name in one.dtype.names if name not in SET_BY_ASSEMBLY and name != "contract")
    return all(one[name].tobytes() == other[name].tobytes() for name in names or every)


def described(row: Any) -> str:
    """A row's version, tick and lot in words."""
    tick, lot = (Decimal(int(row[f"{each}_numerator"])) / int(row[f"{each}_denominator"]) for each in ("tick", "base"))
    return f"version {row['version']} (tick {tick / CASH_SCALE:f}, lot {lot / CASH_SCALE:f})"


def keep_versions(st: State, past: State, names: Mapping[int, str], known: Iterable[Instrument]) -> list[int]:
    """Put the versions that were in force in force again, where the settings show what they replaced.

    Parameters
    ----------
    st : array of STATE, shape (1,)
        As the settings define it.
    past : array of STATE, shape (1,)
        What the session before has left. A change that the settings are ahead of is dropped there.
    names : mapping of int to str
        Symbol and venue of the instruments that both have, by id.
    known : iterable of Instrument
        Every version that the account has ever used.

    Returns
    -------
    list of int
        The instruments whose version is not the settings' one.

    Raises
    ------
    VersionError
        When the settings show an older version, and none that was replaced.
    """
    older = {(each.id, each.version): each for each in known}
    kept = []
    s = past[0]
    for number, name in names.items():
        now, was = st[0]["instruments"][number], s["instruments"][number]
        if not was["defined"] or now["version"] == was["version"]:
            continue
        said = older.get((number, int(now["version"])))
        now = now.copy()
        if said is not None and not said.base:
            now["contract"] = 0  # that the settings name its base by now makes no other contract of it
        pending, former = s["pending_definitions"][number], s["former_definitions"][number]
        if now["version"] > was["version"]:
            keeps = bool(pending["defined"]) and same_definition(now, pending)
        elif former["defined"] and former["version"] == now["version"]:
            keeps = same_definition(now, former)
        else:
            keeps = said is not None and same_definition(now, said.row()[0], GRID)
        if keeps:
            st[0]["incoming_definition"][0] = was
            st[0]["incoming_definition"][0]["contract"] = st[0]["instruments"][number]["contract"]
            keep_version(st, number)
            kept.append(number)
        elif now["version"] < was["version"]:
            raise VersionError(
                f"instrument {name} has been in {described(was)} since a session before, and the settings have"
                f" {described(now)}, which differs from what that replaced: give them the definition in force, as it"
                " stands in definitions.json, and bring what is to change by zoms redefine"
            )
        else:
            drop_change(s, number)
    return kept


def drop_change(s: np.void, number: int) -> None:
    """An instrument of a state that is not stepped waits for no new version any more."""
    if s["instrument_states"][number] in CHANGING:
        s["switching"] -= 1
        s["instrument_states"][number] = InstrumentState.TRADING
    s["pending_definitions"][number]["defined"] = 0
    s["blocked_by"][number] = 0
