"""Compiling in child processes: both cores at once, and the compiler's memory goes with them.

A core that compiles keeps some 200 MB of compiler state for good, so it lets children fill the cache and only loads
from it. One child compiles the entries, another the exchange models, the strategies and the execution
algorithms. What a child cannot do (a strategy with an error in it) the caller meets again itself, and reports.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from oms.compiled import (
    JIT,
    KERNEL_CACHES,
    STRATEGY_CACHES,
    Progress,
    cache_folder,
    compile_entries,
    kernel_sources,
)
from oms.lifecycle import end_with_parent

CORE: Final = "core"
ASKED: Final = "asked"
MODEL: Final = "model"
STRATEGY: Final = "strategy"
ALGORITHM: Final = "algorithm"
OF_FILES: Final = frozenset({STRATEGY, ALGORITHM})
"""Parts that are named by their files."""
_DONE: Final = "done"


def _file_sources(path: Path) -> list[Path]:
    from strategies.loader import cache_sources

    try:
        return cache_sources(path)
    except (OSError, SyntaxError):  # the caller's own load names what is wrong with the file
        return []


def marker(part: str, name: str) -> Path | None:
    """The file that says that a part is in the cache; None for a user's file that cannot be read."""
    sources = _file_sources(Path(name)) if part in OF_FILES else kernel_sources()
    if not sources:
        return None
    group = STRATEGY_CACHES if part in OF_FILES else KERNEL_CACHES
    return cache_folder(sources, group) / (f"{part}-{Path(name).stem}.complete" if name else f"{part}.complete")


def compile_part(part: str, name: str) -> None:
    """Compile one part into the cache and leave its marker."""
    if part == CORE:
        from oms import replay_step, tick_feed
        from oms.core import indices, kept_version, standing

        compile_entries(lambda progress: _say(progress.name))
        _ = (indices, kept_version, replay_step, standing, tick_feed)
    elif part == ASKED:
        from oms.core.asked import asked_callbacks

        asked_callbacks()
    elif part == MODEL:
        from oms.exchange_model import load_functions

        load_functions(*name.split("/"))
    elif part == ALGORITHM:
        from strategies.loader import load_algorithm

        load_algorithm(Path(name))
    else:
        from strategies.loader import load_strategy

        load_strategy(Path(name))
    done = marker(part, name)
    if done is not None:
        done.touch()
    _say(_DONE)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def precompile(
    models: Sequence[str],
    strategies: Sequence[str],
    algorithms: Sequence[Path] = (),
    report: Callable[[Progress], None] = lambda progress: None,
) -> bool:
    """Fill the cache with what is missing of the core, exchange models, strategies and algorithms; False: nothing was.

    Parameters
    ----------
    models : sequence of str
        Exchange models and queue models: folder of ``backtest`` and name, as in ``matching/displayed``.
    strategies : sequence of str
        Paths of the strategies' files.
    algorithms : sequence of Path
        The execution algorithms' files.
    report : callable
        Told about each step, and about twice a second while nothing happens.
    """
    if not JIT:
        return False
    wanted = [
        (CORE, ""),
        (ASKED, ""),
        *((MODEL, name) for name in dict.fromkeys(models) if not name.endswith(".py")),
        *((STRATEGY, path) for path in dict.fromkeys(strategies)),
        *((ALGORITHM, os.fspath(path)) for path in dict.fromkeys(algorithms)),
    ]
    missing = []
    for part, name in wanted:
        done = marker(part, name)
        if done is not None and not done.exists():
            missing.append((part, name))
    groups = [[each for each in missing if each[0] == CORE], [each for each in missing if each[0] != CORE]]
    _run([group for group in groups if group], len(missing), report)
    return bool(missing)


def _run(groups: list[list[tuple[str, str]]], total: int, report: Callable[[Progress], None]) -> None:
    start = time.perf_counter()
    done = 0
    doing = ""
    with selectors.DefaultSelector() as selector:
        for group in groups:
            arguments = [word for pair in group for word in pair]
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "oms.precompile", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            selector.register(child.stdout, selectors.EVENT_READ, child)  # type: ignore[arg-type]
        while selector.get_map():
            report(Progress(doing, done, total, time.perf_counter() - start))
            for key, _ in selector.select(0.5):
                text = os.read(key.fd, 4096).decode()
                if not text:
                    selector.unregister(key.fileobj)
                    key.data.stdout.close()
                    key.data.wait()
                    continue
                lines = text.split()
                done += lines.count(_DONE)
                doing = next((line for line in reversed(lines) if line != _DONE), doing)
    report(Progress(doing, done, total, time.perf_counter() - start))


if __name__ == "__main__":
    end_with_parent(grace_s=0, parent=os.getppid())
    for _part, _name in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        compile_part(_part, _name)
