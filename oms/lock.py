"""One session per account: a lock file that the whole process family holds."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from oms.config import Settings

LOCK_FILE: Final = "lock"
RELEASE_WAIT_S: Final = 10.0
_POLL_S: Final = 0.05


class LockError(RuntimeError):
    """The account is in use; the message names it, the process that holds it, and the remedy."""


def holder(settings: Settings) -> int:
    """The pid of the session that runs on the account of ``settings``; 0 when none does."""
    path = settings.account_dir / LOCK_FILE
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid_in(path) or -1
    finally:
        os.close(descriptor)
    return 0


def _pid_in(path: Path) -> int:
    text = path.read_text().strip()
    return int(text) if text.isdigit() else 0


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class AccountLock:
    """Holds ``lock`` in the account's folder, with this process's pid in it, until ``release``.

    The lock belongs to the open file, and ``descriptor`` is handed to every child: a session that was killed keeps its
    account until the last of its processes has gone, so that two cores can never write one journal or store.

    Raises
    ------
    LockError
        When another session holds it. After a session whose supervisor has died, the processes that it left get
        ``wait_s`` seconds to notice and end.
    """

    def __init__(self, settings: Settings, wait_s: float = RELEASE_WAIT_S) -> None:
        settings.account_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = settings.account_dir / LOCK_FILE
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + wait_s
        while not self._taken():
            pid = _pid_in(self.path)
            if pid and _alive(pid):
                os.close(self.descriptor)
                raise LockError(
                    f"account {settings.account!r} is in use by process {pid}: stop it (Ctrl-C in its terminal, or "
                    f"kill {pid}), or choose another account with --account"
                )
            if time.monotonic() > deadline:
                os.close(self.descriptor)
                raise LockError(
                    f"account {settings.account!r} is still in use by processes of an earlier session, whose "
                    f"supervisor {pid} has died: end them (they show {settings.run_dir} in their command line)"
                )
            time.sleep(_POLL_S)
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{os.getpid()}\n".encode(), 0)

    def _taken(self) -> bool:
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Give the account back; call it when every child has ended."""
        os.ftruncate(self.descriptor, 0)
        os.close(self.descriptor)
