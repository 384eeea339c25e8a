"""A stand-in for ``oms.process``: a real child process with a real lifecycle that behaves as its arguments say."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from oms.bus import new_context
from oms.config import read_session
from oms.lifecycle import CORE_ENDED, NO_SPACE, UNUSABLE, Lifecycle, end_with_parent


def main(name: str, session_file: str, behaviour: str) -> int:
    settings = read_session(Path(session_file))
    if behaviour == "full":
        return NO_SPACE
    if behaviour in ("crash", "unusable"):
        sys.stderr.write(f"{name}: cannot go on, for this test\n")
        return 3 if behaviour == "crash" else UNUSABLE
    life = Lifecycle(name, new_context(), settings.heartbeat_endpoint, settings.heartbeat_s)
    if behaviour == "stubborn":
        for number in (signal.SIGTERM, CORE_ENDED):
            signal.signal(number, signal.SIG_IGN)
    pause = threading.Event()
    beats = 0
    while not life.stopping:
        beats += 1
        if behaviour == "compiling" and beats > 1:
            pause.wait(settings.watchdog_s * 2)
        life.beat({"beats": beats, "ticks": 10.0}, "compiling" if behaviour == "compiling" and beats == 1 else "ready")
        if behaviour in ("silent", "hung") and beats > 1:
            end_with_parent(grace_s=0.1)
            pause.wait()
        if behaviour == "done" and beats > 1:
            life.beat({"beats": beats}, "done")
            pause.wait(0.05)
            return 0
        pause.wait(settings.heartbeat_s / 2)
    life.beat({"beats": beats, "ticks": 11.0, "core_ended": float(life.core_ended)}, "stopping")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
