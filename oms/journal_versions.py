"""Older versions of the journal's format: what each one's records are in the next.

One table, by version and kind. Records keep their size in every version, and so do the entry header and the place of
its version: that much of a file can be read by any zoms.

Version 1 (one file a session): an instrument was an int32 (-1: none) and had no version of its definition; an event's
flags were an int32, the upper half of which, always zero, is now ``trigger`` and ``contingency``; a command's
``wall_ts`` was ``cause_ts``, and the time after which it is too late for a client's command was in ``expire_ts``; the
session record had a longer account and no place for what a segment says.

Version 2 had no ORDER_NAME entries, version 3 neither TERMS nor PARENT ones, version 4 no stops that stand at the
exchange; all else was as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from oms.journal_format import (
    DTYPES,
    FORMAT_VERSION,
    SESSION,
    JournalVersionError,
    MetaKind,
    Records,
)
from oms.records import COMMAND, EVENT, REPORT, TICK, EventKind, RecordKind

_ACCOUNT_BYTES_1: Final = 96

SESSION_1 = np.dtype(
    [
        ("session", "<i8"),
        ("format_version", "<u4"),
        ("wire_version", "<u4"),
        ("account", f"S{_ACCOUNT_BYTES_1}"),
        ("spare", "<i8", (2,)),
    ]
)
"""The session record of version 1."""

Upgrade = Callable[[Records], Records]
"""Records of one version as records of the next; they may be read-only."""


def _session_from_1(records: Records) -> Records:
    old = records.view(SESSION_1)
    new = np.zeros(len(records), SESSION)
    for name in ("session", "format_version", "wire_version", "account"):
        new[name] = old[name]
    return new


def _instrument_from_1(dtype: np.dtype[Any]) -> Upgrade:
    """The int32 instrument becomes an int16 one, and the two bytes behind it version 0."""
    at = int(dtype.fields["instrument"][1]) if dtype.fields else 0

    def upgrade(records: Records) -> Records:
        new = records.copy()
        new.view(np.uint8).reshape(len(new), dtype.itemsize)[:, at + 2 : at + 4] = 0
        return new

    return upgrade


def _command_from_1(records: Records) -> Records:
    new = _instrument_from_1(COMMAND)(records)
    new["wall_ts"] = np.where(new["wall_ts"] == 0, new["expire_ts"], new["wall_ts"])
    new["expire_ts"] = 0
    return new


def _event_from_1(records: Records) -> Records:
    """A position was counted by the only version that there was."""
    new = _instrument_from_1(EVENT)(records)
    new["version"][new["kind"] == EventKind.POSITION] = 1
    return new


def _unchanged(records: Records) -> Records:
    return records


UPGRADES: Final[dict[int, dict[int, Upgrade]]] = {
    1: {
        int(MetaKind.SESSION): _session_from_1,
        int(MetaKind.CLOSE): _unchanged,
        int(RecordKind.TICK): _instrument_from_1(TICK),
        int(RecordKind.COMMAND): _command_from_1,
        int(RecordKind.REPORT): _instrument_from_1(REPORT),
        int(RecordKind.EVENT): _event_from_1,
    },
    2: dict.fromkeys(DTYPES, _unchanged),
    3: dict.fromkeys(DTYPES, _unchanged),
    4: dict.fromkeys(DTYPES, _unchanged),
}
"""By version and kind: the step to the next version."""


def upgraded(path: Path, version: int, kind: int, records: Records) -> Records:
    """Records of format ``version`` as they are in this one.

    Raises
    ------
    JournalVersionError
        When this zoms does not know the version.
    """
    if version != FORMAT_VERSION and version not in UPGRADES:
        newer = ", as a newer zoms writes it" if version > FORMAT_VERSION else ""
        raise JournalVersionError(
            f"journal {path} has format version {version}{newer}; this zoms reads {min(UPGRADES)} to {FORMAT_VERSION}:"
            " use the zoms that wrote it, or a newer one"
        )
    for each in range(version, FORMAT_VERSION):
        records = UPGRADES[each][kind](records)
    new = records.view(DTYPES[kind])
    new.flags.writeable = False
    return new
