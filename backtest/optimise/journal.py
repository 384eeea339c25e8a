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
from optuna.storages.journal._storage import JournalOperation

from backtest.optimise.errors import OptimiseError

JOURNAL: Final = "journal.log"


class Journal(BaseJournalBackend):
    """The lines of a journal; what a crash has cut off at its end is taken away.

    That is a line without its end, and the lines of a trial in the middle of whose choice it came: a trial's first user
    attribute says that it is chosen. It will be chosen again, as it was.

    Raises ``OptimiseError`` for a file with any other line that is no JSON.
    """

    def __init__(self, path: Path) -> None:
        path.touch()
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        self._lines: list[dict[str, Any]] = []
        choice: tuple[int, int] | None = None  # where the last one begins that is not known to be whole: line, byte
        begin = 0
        for number, line in enumerate(content[:whole].splitlines(keepends=True)):
            try:
                self._lines.append(json.loads(line))
            except ValueError as error:
                raise OptimiseError(f"line {number + 1} of {path} is damaged ({error}): begin a new study") from None
            operation = self._lines[-1]["op_code"]
            if operation == JournalOperation.CREATE_TRIAL:
                choice = number, begin
            elif operation == JournalOperation.SET_TRIAL_USER_ATTR:
                choice = None
            begin += len(line)
        if choice is not None:
            del self._lines[choice[0] :]
            whole = choice[1]
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
