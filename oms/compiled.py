"""Compiling: the kernel and entry decorators, the compile cache, and calls by address.

``kernel`` marks a function that compiled code calls; it compiles as part of its callers. ``entry`` marks one that
Python calls: it has one explicit signature, is cached on disk, and ``compile_entries`` builds all of them with a
progress report.

Numba's own cache keys an entry by its own file only, so a changed callee in another file would leave stale machine
code valid. The cache folder is therefore keyed by a hash of every kernel source, the Numba and NumPy versions, the
Python and the CPU: any change gives a new, empty folder.

With ``NUMBA_DISABLE_JIT=1`` everything runs as plain Python, slowly, for coverage and debugging.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import shutil
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache, lru_cache, wraps
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar, cast

import numba
import numpy as np
from llvmlite import binding, ir
from llvmlite.binding import Linkage
from numba import njit, types
from numba.core import cgutils
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.codegen import CPUCodeLibrary
from numba.core.config import _OptLevel
from numba.core.cpu import CPUContext
from numba.core.targetconfig import TargetConfig
from numba.extending import intrinsic
from numba.np import arrayobj, linalg
from numba.np.arrayobj import make_array, populate_array

P = ParamSpec("P")
R = TypeVar("R")

JIT: Final = not numba.config.DISABLE_JIT
"""False in a pure-Python run (``NUMBA_DISABLE_JIT=1``)."""

CACHE_VARIABLE: Final = "ZOMS_CACHE"
KERNEL_CACHES: Final = "kernels"
STRATEGY_CACHES: Final = "strategies"
SANDBOX_CACHES: Final = "sandbox"
DECODER_CACHES: Final = "decoder"
KEPT_CACHES: Final = {KERNEL_CACHES: 24, STRATEGY_CACHES: 256, SANDBOX_CACHES: 24, DECODER_CACHES: 24}
"""Cache folders kept of each group: one a version of the kernels; one a version of a strategy and the kernels; one a
version of the sandbox exchange's matching engine; one a version of the scanner of venues' messages."""

IN_USE_S: Final = 3600.0
"""A folder opened within this time is not removed, however many there are."""

_ROOT: Final = Path(__file__).resolve().parent.parent

KERNEL_SOURCES: Final = (
    "oms/compiled.py",
    "oms/records.py",
    "oms/definition_rows.py",
    "oms/instruments.py",
    "oms/instrument_kinds.py",
    "oms/margin_tiers.py",
    "oms/decimals.py",
    "oms/engine.py",
    "oms/tick_feed.py",
    "oms/journal_format.py",
    "oms/journal_frames.py",
    "oms/journal_scan.py",
    "oms/replay_facts.py",
    "oms/replay_requests.py",
    "oms/replay_step.py",
    "oms/core/*.py",
    "strategies/api.py",
    "strategies/rules.py",
    "strategies/requests.py",
    "strategies/algorithms.py",
    "backtest/ledger_kernels.py",
    "backtest/liquidation/*.py",
    "backtest/market.py",
    "backtest/matching/*.py",
    "backtest/queues/*.py",
    "backtest/stops/*.py",
)
"""Files whose text decides the machine code of the entries; patterns below the installed root."""

ALGORITHM_SOURCES: Final = ("oms/algos/*.py", "oms/algorithms.py")
"""Those that decide the machine code of execution algorithms, and of strategies that start them, beside them."""

SANDBOX_SOURCES: Final = (
    "oms/compiled.py",
    "oms/records.py",
    "oms/definition_rows.py",
    "gateways/sandbox/engine/*.py",
)
"""Those that decide the machine code of the sandbox exchange's matching engine: it is no part of the core."""


DECODER_SOURCES: Final = (
    "oms/compiled.py",
    "oms/records.py",
    "oms/definition_rows.py",
    "oms/instruments.py",
    "oms/instrument_kinds.py",
    "oms/margin_tiers.py",
    "oms/decimals.py",
    "gateways/digits.py",
    "gateways/fields.py",
    "gateways/iso_time.py",
    "gateways/layouts.py",
    "gateways/scanner.py",
)
"""Those that decide the machine code of the scanner of venues' messages: it is no part of the core either."""


def kernel_sources(root: Path = _ROOT, patterns: Iterable[str] = KERNEL_SOURCES) -> list[Path]:
    """The kernel source files that exist below ``root``, in a fixed order."""
    return [path for pattern in patterns for path in sorted(root.glob(pattern))]


def cache_key(sources: Iterable[Path]) -> str:
    """A hash over the text of ``sources`` and everything else by which Numba's cache has their machine code or not.

    Their paths are part of it: Numba files what it compiles by path, and a second checkout finds nothing of the first.
    """
    digest = sha256()
    for fact in (numba.__version__, np.__version__, platform.python_version(), platform.machine(), _cpu_name()):
        digest.update(fact.encode() + b"\0")
    for source in sources:
        digest.update(os.fsencode(source.absolute()) + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:24]


def _cpu_name() -> str:
    return f"{binding.get_host_cpu_name()} {binding.get_host_cpu_features().flatten()}"


def cache_root() -> Path:
    """The folder that holds all compile caches: ``$ZOMS_CACHE``, or ``zoms`` in the user's cache folder."""
    chosen = os.environ.get(CACHE_VARIABLE, "")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser().absolute() / "zoms"


def cache_folder(sources: Iterable[Path], group: str = KERNEL_CACHES) -> Path:
    """The cache folder of ``sources``, made or not."""
    return cache_root() / group / cache_key(sources)


def open_cache(sources: Iterable[Path], group: str = KERNEL_CACHES) -> Path:
    """Return the cache folder for ``sources``, newly made or touched; the oldest of its group are removed.

    One process at a time opens a folder of a group, and what was opened within ``IN_USE_S`` stays: another process may
    be about to read or write there.
    """
    folder = cache_folder(sources, group)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder.mkdir(exist_ok=True)
        os.utime(folder)
        opened_at = {path: path.stat().st_mtime for path in folder.parent.iterdir() if path.is_dir()}
        for path in sorted(opened_at, key=opened_at.__getitem__)[: -KEPT_CACHES[group]]:
            if opened_at[path] < time.time() - IN_USE_S:
                shutil.rmtree(path, ignore_errors=True)
    return folder


@contextmanager
def cached_in(folder: Path) -> Iterator[None]:
    """Within the block, functions that Numba decorates with ``cache=True`` are cached in ``folder``."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = os.fspath(folder)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before


if JIT:
    numba.config.CACHE_DIR = os.fspath(open_cache(kernel_sources()))


_UNCOUNTED: Final = {"_nrt": False}
"""Our own functions make no array, and whoever calls them holds those that they are given: no use is counted.

Counting costs two atomic operations for each array that is handed on, which was a third of the time of a tick.
"""


def _plain(argument: Any) -> Any:
    """The one type that stands for all integers, or for all booleans."""
    if isinstance(argument, types.Integer | types.IntegerLiteral):
        return types.int64
    if isinstance(argument, types.BooleanLiteral):
        return types.boolean
    return argument


def _finish_for_linking(library: Any) -> None:
    library._finalize_dynamic_globals()
    library._verify_declare_only_symbols()
    library._finalized = True


def _take_index_as_it_is(context: Any, builder: Any, index_type: Any, index: Any, _size: Any) -> Any:
    """An index of a kernel counts from the start; Numba would ask whether it is below 0 and then count from the end."""
    return context.cast(builder, index, index_type, types.intp if index_type.signed else types.uintp)


@contextmanager
def _for_callers_only(fix_index: Callable[..., Any]) -> Iterator[None]:
    """Within the block functions are compiled to be linked into their callers alone.

    They are neither optimized nor turned into machine code by themselves, since each caller optimizes them with its own
    code: that would cost several times as much as all the rest. In place of a function for Python stands a bound method
    of its own, which Numba uses as a key.
    """
    before = numba.config.OPT, CPUContext.get_executable, CPUCodeLibrary._finalize_final_module
    index_before = arrayobj.fix_integer_index
    numba.config.OPT = _OptLevel(0)
    arrayobj.fix_integer_index = fix_index
    CPUContext.get_executable = lambda *_arguments: [].append
    CPUCodeLibrary._finalize_final_module = _finish_for_linking
    try:
        yield
    finally:
        numba.config.OPT, CPUContext.get_executable, CPUCodeLibrary._finalize_final_module = before
        arrayobj.fix_integer_index = index_before


def _qualified_name(symbol: str) -> str:
    """``module.function`` of a compiled kernel's symbol; empty when it is none. Numba mangles names as C++ does."""
    parts = []
    at = len("_ZN") if symbol.startswith("_ZN") else len(symbol)
    while at < len(symbol) and symbol[at].isdigit():
        length, digits = 0, at
        while symbol[digits].isdigit():
            length, digits = 10 * length + int(symbol[digits]), digits + 1
        parts.append(symbol[digits : digits + length])
        at = digits + length
    return ".".join(parts)


ORDER_WAY: Final = "order"
MARKET_WAY: Final = "market"
"""The ways on which kernels are hot: of an order, and of a market data record."""

_hot: Final[dict[str, str]] = {}
"""On which way each hot kernel lies, by its qualified name."""
_inlining: Final[dict[str, str]] = {}
"""The way whose hot kernels are made part of their callers, by the names of the entries."""


def _inline_hot_kernels(library: Any, way: str) -> None:
    """Tell LLVM, before it optimizes an entry, which functions are to be part of their callers.

    On the way of an order they become the entry's own, under names of its own: of a function that several entries have,
    all would use the one that was loaded first, whether or not its arguments are still those that its name says. What a
    market data record passes is compiled faster without that, and runs no slower.
    """
    for function in library._final_module.functions:
        symbol = function.name
        if function.is_declaration or not _qualified_name(symbol):
            continue
        if _hot.get(_qualified_name(symbol)) == way:
            function.add_function_attribute("alwaysinline")
        if way == ORDER_WAY and function.linkage == Linkage.linkonce_odr:
            function.linkage = Linkage.internal
            function.name = f"{library.name}.{symbol}"


def _optimize(library: Any, optimize: Callable[[Any], None] = CPUCodeLibrary._optimize_final_module) -> None:
    if library.name in _inlining:
        _inline_hot_kernels(library, _inlining[library.name])
    optimize(library)


def _all_options(flags: Any) -> dict[str, Any]:
    """Every option of a function's compiler flags, which Numba compares tens of thousands of times."""
    kind: Any = type(flags)
    return {**_default_options(kind), **flags._values}


@cache
def _default_options(kind: Any) -> dict[str, Any]:
    return {name: option.default for name, option in kind.options.items()}


def _find_blas() -> None:
    """Whether there is linear algebra, for which Numba would import all of SciPy's each time that a process starts."""
    if find_spec("scipy") is None:
        raise ImportError("SciPy is required for linear algebra")


@contextmanager
def _blas_when_used() -> Iterator[None]:
    before = linalg.ensure_blas
    linalg.ensure_blas = _find_blas
    try:
        yield
    finally:
        linalg.ensure_blas = before


if JIT:
    CPUCodeLibrary._optimize_final_module = _optimize
    TargetConfig.values = _all_options
    types.Record.__repr__ = lru_cache(types.Record.__repr__)  # the state's is long, and asked for thousands of times
    binding.ffi.lib._lock._cblist.clear()  # Numba times each of tens of thousands of calls of LLVM, for nobody
    with _blas_when_used():
        from numba.np import arraymath

        _ = arraymath


class _MachineCode(CompileResultCacheImpl):  # type: ignore[misc]
    """How what Python or the core calls by address lies in the cache: as machine code alone.

    Numba keeps two more things beside it and reads them at each start, which took longer than all else: the bitcode, to
    be made part of other functions, which ours never is, and the types in words.
    """

    def reduce(self, result: Any) -> Any:
        (name, kind, (machine_code, _)), description, *others = super().reduce(result)
        symbols = {description.llvm_func_name, description.llvm_cpython_wrapper_name}
        others[_TYPES_IN_WORDS] = ""
        return symbols, ((name, kind, (machine_code, _NO_BITCODE)), description, *others)

    def rebuild(self, target: Any, kept: Any) -> Any:
        symbols, reduced = kept
        target.codegen()._engine._defined_symbols |= symbols
        result = super().rebuild(target, reduced)
        result.library._shared_module = None
        return result


class _MachineCodeCache(FunctionCache):  # type: ignore[misc]
    _impl_class = _MachineCode


_TYPES_IN_WORDS: Final = 4
"""Where they stand among what a compiled function is reduced to, behind its code and its description."""
_NO_BITCODE: Final = binding.parse_assembly("").as_bitcode()


def _compiled_once(function: Callable[..., Any], **options: Any) -> Any:
    """A dispatcher that takes its machine code from the cache folder, and leaves it there."""

    def refuse(*_arguments: Any) -> Any:
        raise TypeError(f"{function.__name__} is called by address or from Python, not from compiled code")

    dispatcher = njit(nogil=True, **options)(function)
    dispatcher._cache = _MachineCodeCache(function)
    dispatcher.get_call_template = refuse
    return dispatcher


_NARROW: Final = frozenset({np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32})


def _widened(argument: Any) -> Any:
    return np.int64(argument) if type(argument) in _NARROW else argument


def _widening(function: Callable[P, R]) -> Callable[P, R]:
    """The pure-Python twin of a kernel: like its one compiled version it takes every integer as an int64.

    NumPy would go on in the width of the field that an argument was read from, and overflow in silence.
    """

    @wraps(function)
    def twin(*arguments: P.args, **keywords: P.kwargs) -> R:
        wide: Any = map(_widened, arguments)
        return function(*wide, **keywords)

    return twin


def _linked(function: Callable[P, R], fix_index: Callable[..., Any], **options: Any) -> Any:
    """A dispatcher whose compiled callers share one version of the function, compiled for them only.

    Numba would compile a version for each combination of the widths of integers and of literals that are passed.
    """
    if not JIT:
        return _widening(function)
    dispatcher = njit(nogil=True, **options)(function)

    @cache
    def for_callers() -> Any:  # a process that finds all in the cache needs none of the hundreds
        return njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)(function)

    def get_call_template(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        plain = {name: _plain(each) for name, each in keywords.items()}
        with _for_callers_only(fix_index):
            return for_callers().get_call_template(tuple(map(_plain, arguments)), plain)

    dispatcher.get_call_template = get_call_template
    dispatcher.get_overload = lambda signature: for_callers().get_overload(signature)
    return dispatcher


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a function that compiled code calls. It divides like C: a kernel tests its divisors."""
    return cast("Callable[P, R]", _linked(function, _take_index_as_it_is, error_model="numpy", **_UNCOUNTED))


def hot_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a kernel on the way of every order: in entries that ask for it (``inlines``) it is part of its callers.

    That saves the call and multiplies code: what it is worth is measured (``core_orders``, ``startup``).
    """
    _hot[f"{function.__module__}.{function.__qualname__}"] = ORDER_WAY
    return kernel(function)


def market_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a kernel on the way of every market data record; as ``hot_kernel`` (``core_step``, ``backtest``)."""
    _hot[f"{function.__module__}.{function.__qualname__}"] = MARKET_WAY
    return kernel(function)


def user_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a function of a strategy's own file: indices are bounds-checked and a division by zero raises."""
    return cast("Callable[P, R]", _linked(function, arrayobj.fix_integer_index, boundscheck=True))


CACHE_LINE: Final = 64


class Entry(NamedTuple):
    name: str
    dispatcher: Any
    signature: Callable[[], Any]


_entries: list[Entry] = []


def entry(
    signature: Callable[[], Any], *, inlines: str = "", folder: Path | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a function that Python calls; ``signature`` makes its one Numba signature when it is compiled.

    The hot kernels of the way that it ``inlines`` become part of their callers in it. One that is no part of the core
    has its machine code in this ``folder``.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if inlines:
            _inlining[function.__name__] = inlines
        with cached_in(folder) if folder else nullcontext():
            dispatcher = _compiled_once(function, error_model="numpy", **_UNCOUNTED) if JIT else function
        _entries.append(Entry(f"{function.__module__}.{function.__name__}", dispatcher, signature))
        return cast("Callable[P, R]", dispatcher)

    return decorate


class Progress(NamedTuple):
    """One step of compiling: which entry comes next, how many are done of how many, and the seconds so far."""

    name: str
    done: int
    total: int
    elapsed_s: float


def compile_entries(report: Callable[[Progress], None] = lambda progress: None) -> float:
    """Compile every entry that has been imported, or load it from the cache; return the seconds that it took."""
    start = time.perf_counter()
    for done, item in enumerate(_entries):
        report(Progress(item.name, done, len(_entries), time.perf_counter() - start))
        if JIT and not item.dispatcher.overloads:
            item.dispatcher.compile(item.signature())
            item.dispatcher.disable_compile()
    elapsed = time.perf_counter() - start
    report(Progress("", len(_entries), len(_entries), elapsed))
    return elapsed


if JIT:

    @intrinsic  # type: ignore[untyped-decorator]
    def copy_record(_typing: Any, target: Any, source: Any) -> Any:
        """Copy a whole record of the same type: a few wide moves, where field by field would be dozens."""

        def generate(_context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            size = ir.Constant(ir.IntType(64), signature.args[0].size)
            cgutils.raw_memcpy(builder, arguments[0], arguments[1], size, 1)
            return ir.Constant(ir.IntType(8).as_pointer(), None)

        if target != source:
            raise TypeError(f"a record of {source} cannot be copied to one of {target}")
        return types.void(target, source), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def clear_record(_typing: Any, record: Any) -> Any:
        """Set every byte of a record to 0."""

        def generate(_context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            size = ir.Constant(ir.IntType(64), signature.args[0].size)
            cgutils.memset(builder, arguments[0], size, 0)
            return ir.Constant(ir.IntType(8).as_pointer(), None)

        return types.void(record), generate

    def _prefetch(builder: Any, address: Any, size: int) -> None:
        word, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, word, word, word])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        for line in range(0, size, CACHE_LINE):
            place = cgutils.pointer_add(builder, builder.bitcast(address, pointer), line)
            builder.call(function, [place, word(0), word(3), word(1)])

    @intrinsic  # type: ignore[untyped-decorator]
    def prefetch(_typing: Any, record: Any) -> Any:
        """Ask for a record that is soon needed, so that it comes from memory while other work goes on."""

        def generate(_context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _prefetch(builder, arguments[0], signature.args[0].size)
            return ir.Constant(ir.IntType(8).as_pointer(), None)

        return types.void(record), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def prefetch_item(_typing: Any, items: Any, at: Any) -> Any:
        """Ask for the first line of one element of an array, which need not be there; see ``prefetch``."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            start = make_array(signature.args[0])(context, builder, arguments[0]).data
            _prefetch(builder, builder.gep(start, [arguments[1]]), 1)
            return ir.Constant(ir.IntType(8).as_pointer(), None)

        return types.void(items, at), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def read_int64(_typing: Any, address: Any, at: Any) -> Any:
        """The int64 number ``at`` of those that lie at ``address``."""

        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            start = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
            return builder.load(builder.gep(start, [arguments[1]]))

        return types.int64(types.int64, types.int64), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def array_like(_typing: Any, array: Any, address: Any, count: Any) -> Any:
        """The ``count`` records that lie at ``address``, as an array of the type of ``array``."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            made = make_array(signature.return_type)(context, builder)
            data = builder.inttoptr(arguments[1], made.data.type)
            size = ir.Constant(context.get_value_type(types.intp), signature.return_type.dtype.size)
            shape = (arguments[2],)
            populate_array(made, data=data, shape=shape, strides=(size,), itemsize=size, meminfo=None)
            return made._getvalue()

        return array(array, types.int64, types.int64), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def call_address(_typing: Any, address: Any, st: Any, number: Any, record: Any) -> Any:
        """Call the function at ``address`` with ``(st, number, record)`` and return its status: 0, or how it failed.

        The callee's own calling convention is used, so that an exception comes back as a status instead of unwinding
        the batch.
        """
        signature = types.int64(address, st, number, record)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            convention = context.call_conv
            callee = convention.get_function_type(types.none, signature.args[1:])
            pointer = builder.inttoptr(arguments[0], callee.as_pointer())
            status, _ = convention.call_function(builder, pointer, types.none, signature.args[1:], arguments[1:])
            return builder.sext(status.code, context.get_value_type(types.int64))

        return signature, generate

    @intrinsic  # type: ignore[untyped-decorator]
    def state_of(_typing: Any, record: Any) -> Any:
        """The one-element array whose element ``record`` is: what a function called by address takes as its state."""
        array = types.Array(record, 1, "C", aligned=False)

        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            made = make_array(array)(context, builder)
            size = ir.Constant(context.get_value_type(types.intp), record.dtype.itemsize)
            one = ir.Constant(context.get_value_type(types.intp), 1)
            data = builder.bitcast(arguments[0], context.get_data_type(record).as_pointer())
            populate_array(made, data=data, shape=(one,), strides=(size,), itemsize=size, meminfo=None)
            return made._getvalue()

        return array(record), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def call_step(_typing: Any, address: Any, st: Any, records: Any, start: Any, cause_ts: Any) -> Any:
        """Call the entry at ``address`` with ``(st, records, start, cause_ts)`` and return its int64 result."""
        signature = types.int64(address, st, records, start, cause_ts)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            convention = context.call_conv
            callee = convention.get_function_type(types.int64, signature.args[1:])
            pointer = builder.inttoptr(arguments[0], callee.as_pointer())
            _, result = convention.call_function(builder, pointer, types.int64, signature.args[1:], arguments[1:])
            return result

        return signature, generate

    @intrinsic  # type: ignore[untyped-decorator]
    def call_zmq_recv(_typing: Any, address: Any, socket: Any, buffer: Any, size: Any, flags: Any) -> Any:
        """``int zmq_recv(void *socket, void *buffer, size_t size, int flags)`` of libzmq, at ``address``."""
        signature = types.int64(*[types.int64] * 5)

        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            pointer, word, number = ir.IntType(8).as_pointer(), ir.IntType(64), ir.IntType(32)
            callee = ir.FunctionType(number, [pointer, pointer, word, number])
            function = builder.inttoptr(arguments[0], callee.as_pointer())
            socket = builder.inttoptr(arguments[1], pointer)
            buffer = builder.inttoptr(arguments[2], pointer)
            flags = builder.trunc(arguments[4], number)
            return builder.sext(builder.call(function, [socket, buffer, arguments[3], flags]), word)

        return signature, generate

    @intrinsic  # type: ignore[untyped-decorator]
    def call_zmq_poll(_typing: Any, address: Any, items: Any, count: Any, timeout_ms: Any) -> Any:
        """``int zmq_poll(zmq_pollitem_t *items, int count, long timeout)`` of libzmq, at ``address``."""
        signature = types.int64(*[types.int64] * 4)

        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            pointer, word, number = ir.IntType(8).as_pointer(), ir.IntType(64), ir.IntType(32)
            callee = ir.FunctionType(number, [pointer, number, word])
            function = builder.inttoptr(arguments[0], callee.as_pointer())
            items = builder.inttoptr(arguments[1], pointer)
            count = builder.trunc(arguments[2], number)
            return builder.sext(builder.call(function, [items, count, arguments[3]]), word)

        return signature, generate

else:
    _functions: list[Callable[..., None]] = []

    def copy_record(target: Any, source: Any) -> None:
        """The pure-Python twin."""
        for name in target.dtype.names:
            target[name] = source[name]

    def prefetch(record: Any) -> None:
        """The pure-Python twin."""

    def prefetch_item(items: Any, at: int) -> None:
        """The pure-Python twin."""

    def clear_record(record: Any) -> None:
        """The pure-Python twin."""
        for name in record.dtype.names:
            record[name] = 0

    def read_int64(address: int, at: int) -> int:
        """The pure-Python twin."""
        return ctypes.c_int64.from_address(int(address) + 8 * int(at)).value

    def array_like(array: Any, address: int, count: int) -> Any:
        """The pure-Python twin."""
        memory = (ctypes.c_char * (int(count) * array.dtype.itemsize)).from_address(int(address))
        return np.frombuffer(memory, array.dtype)

    def call_address(address: int, st: Any, number: int, record: Any) -> int:
        """The pure-Python twin: ``address`` is the function's number in a table, from 1.

        NumPy's numbers divide by zero with a warning; here they raise, as compiled code does. What is raised is
        printed, which compiled code cannot do.
        """
        try:
            with np.errstate(divide="raise", invalid="raise"):
                _functions[address - 1](st, int(number), record)
        except Exception:  # noqa: BLE001  (a user's callback may raise anything; the status tells the core)
            traceback.print_exc()
            return 1
        return 0

    def state_of(record: Any) -> Any:
        """The array whose element ``record`` is."""
        return record.base

    def _needs_the_compiler(*_arguments: Any) -> int:
        raise RuntimeError("calls into machine code need the compiler: unset NUMBA_DISABLE_JIT")

    call_step = call_zmq_recv = call_zmq_poll = _needs_the_compiler


def entry_address(function: Any) -> int:
    """Address of a compiled entry, for ``call_step``; only where there is a compiler."""
    (compiled,) = function.overloads.values()
    address: int = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
    return address


class Callback(NamedTuple):
    """A compiled function that the core calls by address; hold on to it as long as the address is in use."""

    address: int
    dispatcher: Any


def callback(function: Callable[..., None], record: Any, state: np.dtype[Any], *, checked: bool) -> Callback:
    """Compile ``function(st, number, record)`` for calls by address.

    Parameters
    ----------
    record : Numba type
        Type of the third argument.
    state : dtype
        The core's state.
    checked : bool
        True for users' code: indices are bounds-checked and a division by zero raises.
    """
    if not JIT:
        _functions.append(function)
        return Callback(len(_functions), function)
    signature = types.none(array_of(state), types.int64, record)
    options = {"boundscheck": True, "error_model": "python"} if checked else {"error_model": "numpy", **_UNCOUNTED}
    dispatcher = _compiled_once(function, **options)
    dispatcher.compile(signature)
    dispatcher.disable_compile()
    compiled = dispatcher.overloads[signature.args]
    return Callback(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name), dispatcher)


_array_types: Final[dict[tuple[int, bool], tuple[np.dtype[Any], Any]]] = {}
"""By the identity of the dtype, which is kept with its type: that of the core's state takes tens of ms to make."""


def array_of(dtype: np.dtype[Any], *, readonly: bool = False) -> Any:
    """The Numba type of a one-dimensional contiguous array of a packed record dtype."""
    key = (id(dtype), readonly)
    if key not in _array_types:
        made = types.Array(numba.from_dtype(dtype), 1, "C", readonly=readonly, aligned=False)
        _array_types[key] = (dtype, made)
    return _array_types[key][1]
