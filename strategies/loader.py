"""Loading a strategy by its file's path: import, check, compile, hand over the addresses of its callbacks.

Its machine code is cached in a folder keyed by the kernel sources, the file itself and every local file that it
imports, so that an edit of any of them compiles anew.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import math
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

import numba

from oms.algorithms import AlgorithmError, name_number, read_algorithm
from oms.compiled import ALGORITHM_SOURCES, STRATEGY_CACHES, Callback, cached_in, callback, kernel_sources, open_cache
from oms.core.asked import asked_callbacks
from oms.core.state import (
    MAX_ACCOUNTS,
    MAX_ALGORITHMS,
    MAX_RULES,
    MAX_STRATEGIES,
    NEVER,
    STATE,
    STRATEGY_PARAMETERS,
    State,
)
from oms.records import COMMAND, EVENT, TICK, TradingState

CALLBACKS: Final = ("on_tick", "on_bar", "on_fill", "on_end", "on_timer")
RULE: Final = "check_order"
ALGORITHM_FUNCTIONS: Final = ("start", "work")
ARGUMENTS: Final = {
    "on_tick": "(st, me, tick)",
    "on_fill": "(st, me, event)",
    "on_end": "(st, me, event)",
    "on_timer": "(st, me, now)",
    "on_bar": "(st, me, bar)",
    RULE: "(st, number, command)",
    "start": "(st, me, now)",
    "work": "(st, me, now)",
}
MODEL_ARGUMENTS: Final = "(st, number, record)"
_ARGUMENT_TYPES: Final[dict[str, Callable[[], Any]]] = {
    "on_tick": lambda: numba.from_dtype(TICK),
    "on_fill": lambda: numba.from_dtype(EVENT),
    "on_end": lambda: numba.from_dtype(EVENT),
    "on_timer": lambda: numba.int64,
    "on_bar": lambda: numba.from_dtype(TICK),
    RULE: lambda: numba.from_dtype(COMMAND),
    "start": lambda: numba.int64,
    "work": lambda: numba.int64,
}
DEFAULT_TIMER_NS: Final = 1_000_000_000
MIN_TIMER_NS: Final = 1_000

_OURS: Final = frozenset({"oms", "strategies", "backtest", "gateways", "rpc"})
"""Packages that no file or folder beside a strategy stands in for."""
_ALGORITHMS: Final = "oms.algos"
_PLACE: Final = re.compile(r"(?:at |File \")(.+?)(?: \(|\", line )(\d+)")
"""Where Numba says that something is: ``... at PATH (LINE)``, ``File "PATH", line LINE``."""
_INTEGERS: Final = "a price or a quantity is a float: make it an integer with int(), floor() or ceil()"


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
    """``path`` and every file beside it that it imports, directly or not; of a folder beside it, all files."""
    found: set[Path] = set()
    pending = [path]
    while pending:
        source = pending.pop()
        if source in found:
            continue
        found.add(source)
        for name in {imported.split(".")[0] for imported in _imported_names(source)} - _OURS:
            beside = path.parent / f"{name}.py"
            pending += [beside] if beside.is_file() else sorted((path.parent / name).rglob("*.py"))
    return sorted(found)


def cache_sources(path: Path) -> list[Path]:
    """Every file that decides the machine code of the strategy, rule or algorithm in ``path``."""
    own = local_sources(path)
    is_algorithm = any(name.startswith(_ALGORITHMS) for source in own for name in _imported_names(source))
    shared = kernel_sources(patterns=ALGORITHM_SOURCES) if is_algorithm else []
    return [*kernel_sources(), Path(__file__), *shared, *own]


def _imported_names(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text(), str(source))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@contextmanager
def _importable(folder: Path, names: set[str]) -> Iterator[None]:
    """Let a strategy import what lies beside it, and forget it afterwards: two strategies may name theirs alike."""
    before = _take_modules(names)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        _take_modules(names)
        sys.modules.update(before)


def _take_modules(names: set[str]) -> dict[str, ModuleType]:
    """Take modules of these top-level names out of ``sys.modules``."""
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] in names}


def _import_file(path: Path, sources: list[Path]) -> ModuleType:
    digest = sha256(str(path).encode()).hexdigest()[:16]
    name = f"zoms_strategy_{path.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise StrategyError(f"{path} is not a Python file: give the path of a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    beside = {source.relative_to(path.parent).parts[0].removesuffix(".py") for source in sources if source != path}
    with _importable(path.parent, beside):
        spec.loader.exec_module(module)
        helpers = {each: helper for each, helper in sys.modules.items() if each.split(".")[0] in beside}
    for each, helper in helpers.items():
        _rename(helper, f"zoms_strategy_{each}_{digest}")
    return module


def _rename(helper: ModuleType, name: str) -> None:
    """Give a module that lies beside a strategy a name of its own for good.

    Numba looks up the module of each function by name when it loads machine code from the cache, and takes functions
    of the same module and name for the same.
    """
    for member in vars(helper).values():
        function = getattr(member, "py_func", member)
        if inspect.isfunction(function) and function.__module__ == helper.__name__:
            function.__module__ = name
    helper.__name__ = name
    sys.modules[name] = helper


@contextmanager
def _loaded(path: Path, what: str) -> Iterator[ModuleType]:
    """The module in a user's file; within the block its functions are compiled into, or from, a cache of their own.

    Raises
    ------
    StrategyError
        Of any kind of failure, in the block too.
    """
    if not path.is_file():
        raise StrategyError(f"{what} file {path} does not exist")
    sources = [path]
    try:
        sources = local_sources(path)
        with cached_in(open_cache(cache_sources(path), STRATEGY_CACHES)):
            yield _import_file(path, sources)
    except StrategyError:
        raise
    except AlgorithmError as error:
        raise StrategyError(str(error)) from error
    except (Exception, SystemExit) as error:  # a user's file may fail in any way; the caller gets one kind of error
        raise StrategyError(f"{what} {path.name}: {_explanation(error, sources)}") from error


def load_strategy(path: Path) -> LoadedStrategy:
    """Import and compile the strategy in a file.

    Raises
    ------
    StrategyError
        When the file is missing, does not import or compile, defines no callback or one that is not known, or declares
        something wrongly.
    """
    path = path.expanduser().absolute()
    with _loaded(path, "strategy") as module:
        callbacks = {name: _compile(module, name) for name in CALLBACKS if hasattr(module, name)}
    own = (name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__)
    unknown = next((name for name in own if name.startswith("on_") and name not in CALLBACKS), None)
    if unknown is not None:
        raise StrategyError(
            f"strategy {path.name}: {unknown} is no callback: name a function of your own otherwise, callbacks are "
            f"{', '.join(CALLBACKS)}"
        )
    if not callbacks:
        raise StrategyError(f"strategy {path.name} defines none of {', '.join(CALLBACKS)}")
    return LoadedStrategy(
        name=path.stem,
        path=path,
        parameters=_parameters(module, path),
        log_messages=_log_messages(module, path),
        timer_interval_ns=_timer_interval_ns(module, path),
        callbacks=callbacks,
    )


def load_model_file(path: Path, what: str, functions: dict[str, Any]) -> dict[str, Callback]:
    """Import and compile the model of an exchange, or of a queue, in a file.

    Parameters
    ----------
    path : Path
    what : str
        What it is called in messages.
    functions : dict
        The functions that it must define, and the Numba type of each one's third argument.

    Raises
    ------
    StrategyError
        When the file is missing, does not import or compile, or lacks one of the functions.
    """
    path = path.expanduser().absolute()
    with _loaded(path, what) as module:
        missing = [name for name in functions if not hasattr(module, name)]
        if missing:
            raise StrategyError(f"{what} {path.name} does not define {missing[0]}{MODEL_ARGUMENTS}")
        return {name: _compile(module, name, record, MODEL_ARGUMENTS) for name, record in functions.items()}


class LoadedRule(NamedTuple):
    """A user's compiled risk rule: keep it as long as the core may call it."""

    name: str
    path: Path
    callback: Callback


def load_rule(path: Path) -> LoadedRule:
    """Import and compile the risk rule in a file; ``strategies.rules`` is what it may use.

    Raises
    ------
    StrategyError
        When the file is missing, does not import or compile, or does not define ``check_order``.
    """
    path = path.expanduser().absolute()
    with _loaded(path, "rule") as module:
        if not hasattr(module, RULE):
            raise StrategyError(f"rule {path.name} does not define {RULE}{ARGUMENTS[RULE]}")
        return LoadedRule(path.stem, path, _compile(module, RULE))


def define_rule(st: State, rule: LoadedRule) -> int:
    """Enter a rule into the core's table and return its number; every order passes it from here.

    Raises
    ------
    StrategyError
        When the table is full.
    """
    s = st[0]
    number = int(s["rules_used"])
    if number == MAX_RULES:
        raise StrategyError(f"rule {rule.name}: the core holds at most {MAX_RULES} rules")
    s["rules"][number]["address"] = rule.callback.address
    s["rules_used"] = number + 1
    return number


class LoadedAlgorithm(NamedTuple):
    """A compiled execution algorithm: keep it as long as the core may call it."""

    name: str
    path: Path
    parameters: dict[str, float]
    """Defaults by name, in the order of their numbers."""
    callbacks: dict[str, Callback]
    id: int
    """By which records name it."""


def load_algorithm(path: Path) -> LoadedAlgorithm:
    """Import and compile the execution algorithm in a file; ``oms.algos.api`` is what it may use.

    Raises
    ------
    StrategyError
        When the file is missing, does not import or compile, defines no ``work``, or declares something wrongly.
    """
    path = path.expanduser().absolute()
    with _loaded(path, "algorithm") as module:
        if not hasattr(module, "work"):
            raise StrategyError(f"algorithm {path.name} does not define work{ARGUMENTS['work']}")
        callbacks = {name: _compile(module, name) for name in ALGORITHM_FUNCTIONS if hasattr(module, name)}
        declared = read_algorithm(path)
    return LoadedAlgorithm(declared.name, path, declared.parameters, callbacks, declared.id)


def define_algorithm(st: State, algorithm: LoadedAlgorithm) -> int:
    """Enter an algorithm into the core's table and return its row.

    Raises
    ------
    StrategyError
        When the table is full, or has one of that name.
    """
    s = st[0]
    row = int(s["algorithms_used"])
    if row == MAX_ALGORITHMS:
        raise StrategyError(f"algorithm {algorithm.name}: the core holds at most {MAX_ALGORITHMS} algorithms")
    if any(name_number(algorithm.id) == name_number(int(each)) for each in s["algorithms"]["id"][:row]):
        raise StrategyError(f"algorithm {algorithm.name} is there already: give the file {algorithm.path} another name")
    s["algorithms"][row]["id"] = algorithm.id
    for name in ALGORITHM_FUNCTIONS:
        s["algorithms"][row][name] = algorithm.callbacks[name].address if name in algorithm.callbacks else 0
    s["algorithms_used"] = row + 1
    return row


def _compile(module: ModuleType, name: str, record: Any = None, arguments: str = "") -> Callback:
    function = getattr(module, name)
    function = getattr(function, "py_func", function)
    if not inspect.isfunction(function) or len(inspect.signature(function).parameters) != 3:
        raise TypeError(f"{name} must be a function of three arguments, {arguments or ARGUMENTS[name]}")
    return callback(function, record if record is not None else _ARGUMENT_TYPES[name](), STATE, checked=True)


def _explanation(error: BaseException, sources: Iterable[Path]) -> str:
    """What is wrong and where in the user's own files, in one line; Numba says it in a hundred."""
    own = {str(source): source.name for source in sources}
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error}"
    where = [
        f"{own[frame.filename]} line {frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename in own
    ]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("Failed in nopython mode")]
    if isinstance(error, numba.core.errors.NumbaError):
        places = (_PLACE.search(line) for line in lines)
        found = [(os.path.abspath(place[1]), place[2]) for place in places if place]
        where = [f"{own[file]} line {line}" for file, line in found if file in own][:1]
    text = lines[0] if lines else "no more is known"
    call = next((line.removeprefix(">>> ") for line in lines if line.startswith(">>> ")), "")
    if any(line.startswith("def whole(") for line in lines):
        text, call = _INTEGERS, ""
    return f"{type(error).__name__}{' in ' + where[-1] if where else ''}: {text}{' ' + call if call else ''}"


def _parameters(module: ModuleType, path: Path) -> dict[str, float]:
    declared = getattr(module, "PARAMETERS", {})
    if not isinstance(declared, dict) or len(declared) > STRATEGY_PARAMETERS:
        raise StrategyError(f"strategy {path.name}: PARAMETERS must be a dict of at most {STRATEGY_PARAMETERS} numbers")
    for name, value in declared.items():
        if not isinstance(name, str) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise StrategyError(f"strategy {path.name}: parameter {name} is {value!r}: it must be a finite number")
    return {name: float(value) for name, value in declared.items()}


def _log_messages(module: ModuleType, path: Path) -> tuple[str, ...]:
    messages = getattr(module, "LOG_MESSAGES", ())
    if not isinstance(messages, (tuple, list)) or not all(isinstance(each, str) for each in messages):
        raise StrategyError(f"strategy {path.name}: LOG_MESSAGES must be a tuple of texts, not {messages!r}")
    return tuple(messages)


def _timer_interval_ns(module: ModuleType, path: Path) -> int:
    interval = getattr(module, "TIMER_INTERVAL_NS", DEFAULT_TIMER_NS)
    if not isinstance(interval, int) or not MIN_TIMER_NS <= interval < NEVER:
        raise StrategyError(
            f"strategy {path.name}: TIMER_INTERVAL_NS is {interval!r}: "
            f"it must be a whole number of ns, {MIN_TIMER_NS} or more"
        )
    return interval


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
    for name, compiled in asked_callbacks().items():
        s[name] = compiled.address
    row = s["strategies"][number]
    row["defined"] = 1
    scope = s["scopes"][MAX_ACCOUNTS + number]
    scope["defined"] = 1
    scope["trading_state"] = TradingState.ACTIVE
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
