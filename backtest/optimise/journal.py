"""Where optuna's storage of a study lies: a file of one JSON object a line, which one process at a time writes.

optuna's own file is made for many writers: it waits for the disk, and takes a lock, for each of some six lines of a
trial. Here the study's folder is locked as a whole, and what a power cut takes away is run once more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from backtest.optimise.errors import OptimiseError

JOURNAL: Final = "journal.log"


class Journal(BaseJournalBackend):
    """The lines of a journal; one that a crash has cut off at the end is taken away.

    Raises ``OptimiseError`` for a file with any other line that is no JSON.
    """

    def __init__(self, path: Path) -> None:
        path.touch()
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        self._lines: list[dict[str, Any]] = []
        for number, line in enumerate(content[:whole].splitlines(), 1):
            try:
                self._lines.append(json.loads(line))
            except ValueError as error:
                raise OptimiseError(f"line {number} of {path} is damaged ({error}): begin a new study") from None
        self._file = path.open("ab")
        self._file.truncate(whole)

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        return self._lines[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = [json.dumps(log, separators=(",", ":")) for log in logs]
        self._file.write("".join(f"{line}\n" for line in lines).encode())
        self._file.flush()
        self._lines += map(json.loads, lines)

    def close(self) -> None:
        self._file.close()


def open_storage(folder: Path) -> JournalStorage:
    """optuna's storage in a study's folder."""
    return JournalStorage(Journal(folder / JOURNAL))
