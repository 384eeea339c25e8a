"""Core processes at once: a process that has loaded all machine code, and forks one that runs the core when asked to.

``python -m tests.firm.zygote SESSION_FILE`` loads what these settings need, says ``ready``, and then for each line on
its standard input, the path of a session file, forks a core process and says its id. That is killed like any other.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from oms.assembly import build_core
from oms.config import read_session
from oms.process import main as run_process


class Zygote:
    """The process, and the cores that it has forked."""

    def __init__(self, session_file: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.firm.zygote", os.fspath(session_file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "ready"

    def core(self, session_file: Path) -> int:
        """Fork a core process; its id."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{session_file}\n")
        self._process.stdin.flush()
        return int(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def __enter__(self) -> Zygote:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def main(session_file: str) -> None:
    build_core(read_session(Path(session_file)))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        path = Path(line.strip())
        pid = os.fork()
        if pid == 0:
            log = os.open(path.with_name("core.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os._exit(run_process(["core", os.fspath(path)]))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
