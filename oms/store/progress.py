"""How far the recorder has come with a session's events: what it has yet to read from the journal must stay there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from oms.store.schema import DATABASE_FILE

NO_RECORDER: Final = 2**62


def unstored_from(store_dir: Path, session: int) -> int:
    """The first event of a core session that is not stored; ``NO_RECORDER`` where nothing is recorded at all.

    A database that cannot be read has nothing stored as far as is known: 0.
    """
    path = store_dir / DATABASE_FILE
    if not path.exists():
        return NO_RECORDER
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            row = database.execute("SELECT next_seq FROM progress WHERE session = ?", (session,)).fetchone()
    except sqlite3.Error:
        return 0
    return int(row[0]) if row is not None else 0
