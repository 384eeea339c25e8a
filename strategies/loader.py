"""Loading a strategy by its file's path: import, check, compile, hand over the addresses of its callbacks.

Its machine code is cached in a folder keyed by the kernel sources, the file itself and every local file that it
imports, so that an edit of any of them compiles anew.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

import numba

from oms.compiled import Callback, cached_in, callback, kernel_sources, open_cache
from oms.core.state import MAX_STRATEGIES, NEVER, STATE, STRATEGY_PARAMETERS, State
from oms.records import EVENT, TICK

CALLBACKS: Final = ("on_tick", "on_fill", "on_timer")
_ARGUMENT_TYPES: Final[dict[str, Callable[[], Any]]] = {
    "on_tick": lambda: numba.from_dtype(TICK),
    "on_fill": lambda: numba.from_dtype(EVENT),
    "on_timer": lambda: numba.int64,
}
DEFAULT_TIMER_NS: Final = 1_000_000_000


class StrategyError(ValueError):
    """A strategy file that cannot be used; the message names the file and what is wrong with it."""


class LoadedStrategy(NamedTuple):
    """A compiled strategy: keep it as long as the core may call it."""

    name: str
    path: Path
    parameters: dict[str, float]
    """Defaults by name, in the order of their numbers."""
    log_messages: tuple[str, ...]
    timer_interval_ns: int
    callbacks: dict[str, Callback]


def local_sources(path: Path) -> list[Path]:
    """``path`` and every file beside it that it imports, directly or not."""
    found: list[Path] = []
    pending = [path]
    while pending:
        source = pending.pop()
        if source in found:
            continue
        found.append(source)
        for name in _imported_names(source):
            candidate = path.parent / (name.split(".")[0] + ".py")
            if candidate.is_file():
                pending.append(candidate)
    return sorted(found)


def _imported_names(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text(), str(source))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@contextmanager
def _importable(folder: Path, names: set[str]) -> Iterator[None]:
    """Let a strategy import the files beside it, and forget them afterwards: two strategies may name theirs alike."""
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)


def _import_file(path: Path, sources: list[Path]) -> ModuleType:
    name = f"zoms_strategy_{path.stem}_{sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise StrategyError(f"{path} is not a Python file: give the path of a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with _importable(path.parent, {source.stem for source in sources if source != path}):
        spec.loader.exec_module(module)
    return module


def load_strategy(path: Path) -> LoadedStrategy:
    """Import and compile the strategy in a file.

    Raises
    ------
    StrategyError
        When the file is missing, does not import or compile, defines no callback, or declares its parameters wrongly.
    """
    path = path.expanduser().absolute()
    if not path.is_file():
        raise StrategyError(f"strategy file {path} does not exist")
    try:
        sources = local_sources(path)
        with cached_in(open_cache([*kernel_sources(), *sources])):
            module = _import_file(path, sources)
            callbacks = {name: _compile(module, name) for name in CALLBACKS if hasattr(module, name)}
    except StrategyError:
        raise
    except Exception as error:  # a user's file may fail in any way; the caller gets one kind of error
        raise StrategyError(f"strategy {path.name}: {type(error).__name__}: {error}") from error
    if not callbacks:
        raise StrategyError(f"strategy {path.name} defines none of {', '.join(CALLBACKS)}")
    parameters = getattr(module, "PARAMETERS", {})
    if not isinstance(parameters, dict) or len(parameters) > STRATEGY_PARAMETERS:
        raise StrategyError(f"strategy {path.name}: PARAMETERS must be a dict of at most {STRATEGY_PARAMETERS} numbers")
    return LoadedStrategy(
        name=path.stem,
        path=path,
        parameters={str(name): float(value) for name, value in parameters.items()},
        log_messages=tuple(getattr(module, "LOG_MESSAGES", ())),
        timer_interval_ns=int(getattr(module, "TIMER_INTERVAL_NS", DEFAULT_TIMER_NS)),
        callbacks=callbacks,
    )


def _compile(module: ModuleType, name: str) -> Callback:
    function = getattr(module, name)
    return callback(getattr(function, "py_func", function), _ARGUMENT_TYPES[name](), STATE, checked=True)


def define_strategy(
    st: State, strategy: LoadedStrategy, *, account: int, instrument: int, parameters: dict[str, float]
) -> int:
    """Enter a strategy into the core's table and return its number; its timer starts with the first tick.

    Raises
    ------
    StrategyError
        When the table is full or ``parameters`` names one that the strategy does not have.
    """
    s = st[0]
    number = int(s["strategies_used"])
    if number == MAX_STRATEGIES:
        raise StrategyError(f"strategy {strategy.name}: the core holds at most {MAX_STRATEGIES} strategies")
    unknown = sorted(set(parameters) - set(strategy.parameters))
    if unknown:
        known = ", ".join(strategy.parameters) or "none"
        raise StrategyError(f"strategy {strategy.name} has no parameter {unknown[0]!r}: it has {known}")
    row = s["strategies"][number]
    row["defined"] = 1
    row["account"] = account
    row["instrument"] = instrument
    for name in CALLBACKS:
        row[name] = strategy.callbacks[name].address if name in strategy.callbacks else 0
    row["timer_interval_ns"] = strategy.timer_interval_ns
    row["timer_due"] = NEVER
    values = {**strategy.parameters, **parameters}
    row["parameters"][: len(values)] = list(values.values())
    s["strategies_used"] = number + 1
    return number
