"""Settings: the shipped defaults, one TOML file over them, decoded strictly, and the same for every process.

A session's settings are resolved once by whoever starts it and written to ``session.json`` in the session's run folder;
each process of the family reads that file, so that all of them see one truth.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from oms.bus import ipc_endpoint
from oms.decimals import GridError, parse_decimal, rate
from oms.instruments import Instrument, underlying_of

SESSION_FILE: Final = "session.json"
DATA_DIR_VARIABLE: Final = "ZOMS_HOME"
MAX_SOCKET_FOLDER_BYTES: Final = 80
MAX_HEARTBEAT_S: Final = 5.0
MAX_INSTRUMENT_ID: Final = 2**15 - 1
MAX_NUMBER: Final = 10**12
MAX_JOURNAL_MB: Final = 4_096
LARGEST_LIMITS: Final = {"max_order_notional": 4 * 10**10, "price_collar": 100, "max_orders_per_second": 10**9}
"""Risk limits beyond these do not fit the core's integers."""

DEFAULTS_FILE: Final = Path(__file__).with_name("defaults.toml")
SHIPPED_STRATEGIES: Final = Path(__file__).resolve().parent.parent / "strategies"
MERGED_TABLES: Final = ("replay", "matching", "journal")
"""Tables of a settings file whose names are laid over the defaults one by one; all else replaces the default whole."""

RENAMED: Final = {"journal_sync": ("journal", "sync")}
"""Names that settings had once, and where they are now: table and name."""

_ACCOUNT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_ENDPOINT: Final = re.compile(r"tcp://[^:/\s]+:\d{1,5}|ipc://\S+")


class ConfigError(ValueError):
    """A setting that cannot be used; the message names it, its value and the remedy."""


def _check_number(what: str, text: str, largest: int = MAX_NUMBER) -> None:
    """Refuse text that is not a decimal number from zero to ``largest``."""
    try:
        value = parse_decimal(what, text)
    except GridError as error:
        raise ConfigError(str(error)) from None
    if value < 0:
        raise ConfigError(f"{what} {text} is negative: it must be zero or more")
    if value > largest:
        raise ConfigError(f"{what} {text} is too large: at most {largest}")


def _once(what: str, values: Iterable[object]) -> None:
    """Refuse a value that comes twice."""
    for value, count in Counter(values).items():
        if count > 1:
            raise ConfigError(f"{what} {value!r} is given {count} times: each must be given once")


class ReplaySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The recorded stream that stands in for an exchange."""

    file: str
    speed: str = "1"
    """A factor of recorded time such as ``1`` or ``10``, or ``max``: as fast as everyone can take it."""
    duration_s: float = 0.0
    """Stop after this much recorded time; 0: the whole file."""
    loop: bool = False
    """Start again at the end, with time going on: for long runs."""

    def __post_init__(self) -> None:
        if self.speed != "max":
            try:
                factor = float(self.speed)
            except ValueError:
                factor = math.nan
            if not 0 < factor < math.inf:
                raise ConfigError(f"replay speed {self.speed!r} is not a factor above zero such as 1 or 10, nor 'max'")
        if not 0 <= self.duration_s < math.inf:
            raise ConfigError(f"replay duration_s {self.duration_s} must be zero (the whole file) or more seconds")


class MatchingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The exchange model of paper mode and the backtest; see ``backtest/matching/``."""

    model: str = "displayed"
    entry_latency_us: int = 0
    response_latency_us: int = 0

    def __post_init__(self) -> None:
        for name in ("entry_latency_us", "response_latency_us"):
            if getattr(self, name) < 0:
                raise ConfigError(f"matching {name} {getattr(self, name)} is negative: it must be zero or more")


SYNC_OF_MODE: Final[dict[str, Literal["always", "batch", "os"]]] = {"paper": "os", "firm": "batch"}
"""What ``journal.sync`` is where it is not set: real orders are on disk before they leave."""


class JournalSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the core's journal holds, and when it counts as written; see ``docs/journal.md``."""

    sync: Literal["", "always", "batch", "os"] = ""
    """When an entry is on disk: ``always`` before the core goes on, ``batch`` before anything of it leaves the core,
    ``os`` when the system sees fit. Empty: by mode, ``SYNC_OF_MODE``."""
    inputs: Literal["orders", "all"] = "orders"
    """``orders``: commands and reports; ``all``: ticks and timers too, so that the session can be replayed whole."""
    segment_mb: int = 64
    """Size from which on the next file is begun."""
    held_mb: int = 64
    """With ``batch``: how much may wait for the disk; then the core takes no more input until the disk is done."""
    snapshot_mb: int = 512
    """Journal after which the next snapshot is taken; there is one at the start and one at the end of a session too."""
    snapshots_kept: int = 2
    sessions_kept: int = 8
    """Sessions whose journal is kept although a snapshot covers it, for the recorder, rpc and ``zoms replay``."""

    def __post_init__(self) -> None:
        for name in ("snapshots_kept", "sessions_kept"):
            if getattr(self, name) < 2:
                raise ConfigError(f"journal {name} {getattr(self, name)} must be 2 or more: one may turn out damaged")
        for name in ("segment_mb", "held_mb", "snapshot_mb"):
            value = getattr(self, name)
            if not 1 <= value <= MAX_JOURNAL_MB:
                raise ConfigError(f"journal {name} {value} must be 1 to {MAX_JOURNAL_MB} MiB")


class RiskSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pre-trade limits of one instrument for one account; all are required, none has a silent default."""

    max_order_qty: str
    max_order_notional: str
    price_collar: str
    """Farthest distance of a limit price from the market, as a fraction: ``0.05`` is 5 %."""
    max_position: str
    max_open_orders: int
    max_orders_per_second: int

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            _check_number(f"risk limit {name}", str(getattr(self, name)), LARGEST_LIMITS.get(name, MAX_NUMBER))
        if self.max_orders_per_second < 1:
            raise ConfigError("risk limit max_orders_per_second 0 lets no order through: use 1 or more")


class StrategySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One strategy: its file, the instrument it is given, and its parameters by name."""

    file: str
    instrument: str
    name: str = ""
    parameters: dict[str, float] = {}

    @property
    def title(self) -> str:
        """The strategy's name, or its file's where it has none."""
        return self.name or Path(self.file).stem

    def __post_init__(self) -> None:
        for name, value in self.parameters.items():
            if not math.isfinite(value):
                raise ConfigError(f"parameter {name} of strategy {self.title} is {value}: it must be a finite number")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything one session needs."""

    mode: Literal["paper"] = "paper"
    account: str = "paper"
    data_dir: str = ""
    """Where journal, store and run files live; empty: ``$ZOMS_HOME`` or ``~/.zoms``."""
    rpc_endpoint: str = "tcp://127.0.0.1:5570"
    heartbeat_s: float = 0.5
    watchdog_s: float = 10.0
    """A process that has sent no heartbeat for this long is killed and started again; not while it compiles."""
    record_ticks: bool = True
    replay: ReplaySettings
    matching: MatchingSettings = MatchingSettings()
    journal: JournalSettings = JournalSettings()
    instruments: tuple[Instrument, ...]
    risk: dict[str, RiskSettings]
    """Limits by instrument (``BTCUSDT``, or ``BTCUSDT.binance_usdm`` where two venues have one); one without limits
    cannot be traded."""
    strategies: tuple[StrategySettings, ...] = ()

    def __post_init__(self) -> None:
        if not _ACCOUNT.fullmatch(self.account):
            raise ConfigError(
                f"account {self.account!r} cannot be a folder's name: use letters, digits, '-' and '_', at most 32"
            )
        if not 0 < self.heartbeat_s <= MAX_HEARTBEAT_S:
            raise ConfigError(f"heartbeat_s {self.heartbeat_s} must be above zero and at most {MAX_HEARTBEAT_S}")
        if not self.heartbeat_s * 2 < self.watchdog_s < math.inf:
            raise ConfigError(f"watchdog_s {self.watchdog_s} must be over twice heartbeat_s {self.heartbeat_s}")
        if not _ENDPOINT.fullmatch(self.rpc_endpoint):
            raise ConfigError(f"rpc_endpoint {self.rpc_endpoint!r} is not like tcp://127.0.0.1:5570 or ipc:///path")
        if not self.instruments:
            raise ConfigError("no instrument is defined: add an [[instruments]] table")
        for instrument in self.instruments:
            if not 0 <= instrument.id <= MAX_INSTRUMENT_ID:
                raise ConfigError(
                    f"instrument {instrument.symbol} has id {instrument.id}: use 0 to {MAX_INSTRUMENT_ID}"
                )
            _check_grid(instrument)
            _check_underlying(instrument, self.instruments)
        _once("instrument id", (instrument.id for instrument in self.instruments))
        _once("instrument", (qualified_symbol(instrument) for instrument in self.instruments))
        _once("risk limits of", (qualified_symbol(self.instrument(name)) for name in self.risk))
        for name, limits in self.risk.items():
            _check_limits(self.instrument(name), limits)
        for strategy in self.strategies:
            self.instrument(strategy.instrument)

    def instrument(self, name: str) -> Instrument:
        """The instrument called ``name``: a symbol (``BTCUSDT``), or symbol and venue (``BTCUSDT.binance_usdm``).

        Raises
        ------
        ConfigError
            When there is none, or when several venues have the symbol.
        """
        found = [each for each in self.instruments if name in (each.symbol, qualified_symbol(each))]
        if len(found) == 1:
            return found[0]
        if found:
            choice = " or ".join(qualified_symbol(each) for each in found)
            raise ConfigError(f"instrument {name!r} is ambiguous: say {choice}")
        known = ", ".join(qualified_symbol(each) for each in self.instruments)
        raise ConfigError(f"unknown instrument {name!r}: the settings define {known}")

    def risk_limits(self, instrument: Instrument) -> RiskSettings | None:
        """The limits of ``instrument``; None when it has none and so cannot be traded."""
        for name, limits in self.risk.items():
            if self.instrument(name) is instrument:
                return limits
        return None

    @property
    def journal_sync(self) -> Literal["always", "batch", "os"]:
        """``journal.sync``, or what the mode has in its place."""
        return self.journal.sync or SYNC_OF_MODE[self.mode]

    @property
    def account_dir(self) -> Path:
        """The folder of this account's journal, store and run files."""
        return data_dir(self.data_dir) / self.account

    @property
    def run_dir(self) -> Path:
        return self.account_dir / "run"

    @property
    def journal_dir(self) -> Path:
        return self.account_dir / "journal"

    @property
    def snapshot_dir(self) -> Path:
        return self.account_dir / "snapshots"

    @property
    def store_dir(self) -> Path:
        return self.account_dir / "store"

    @property
    def socket_dir(self) -> Path:
        """Where the ipc sockets lie: the run folder, or a short stand-in when its path is too long for a socket."""
        folder = self.run_dir
        if len(os.fspath(folder).encode()) <= MAX_SOCKET_FOLDER_BYTES:
            return folder
        digest = sha256(os.fspath(folder).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"zoms-{os.getuid()}-{digest}"

    @property
    def ticks_endpoint(self) -> str:
        """TICK frames: the gateway's XPUB binds, the core and the recorder subscribe."""
        return ipc_endpoint(self.socket_dir, "ticks")

    @property
    def core_endpoint(self) -> str:
        """COMMAND and REPORT frames: the core's PULL binds, rpc, gateways and the supervisor push."""
        return ipc_endpoint(self.socket_dir, "core")

    @property
    def events_endpoint(self) -> str:
        """EVENT frames: the core's XPUB binds; rpc, the recorder and the live view subscribe."""
        return ipc_endpoint(self.socket_dir, "events")

    @property
    def orders_endpoint(self) -> str:
        """COMMAND frames for the exchange: the core's PUSH binds, an execution gateway pulls. Unused in paper mode."""
        return ipc_endpoint(self.socket_dir, "orders")

    @property
    def heartbeat_endpoint(self) -> str:
        """Heartbeats of all processes: the supervisor's PULL binds."""
        return ipc_endpoint(self.socket_dir, "heartbeat")

    @property
    def status_endpoint(self) -> str:
        """The same heartbeats for everyone: the supervisor's XPUB binds, rpc and the live view subscribe."""
        return ipc_endpoint(self.socket_dir, "status")


def _check_grid(instrument: Instrument) -> None:
    """Refuse an instrument whose numbers are no numbers, too large, or off its own grid."""
    for name in ("tick", "lot", "multiplier", "min_qty", "max_qty", "min_notional"):
        _check_number(f"{instrument.symbol}'s {name}", getattr(instrument, name))
    try:
        instrument.row()
    except GridError as error:
        raise ConfigError(str(error)) from None
    except OverflowError:
        raise ConfigError(
            f"{instrument.symbol}'s tick {instrument.tick}, lot {instrument.lot} and multiplier "
            f"{instrument.multiplier} are too large or too fine for 64-bit integers"
        ) from None


def _check_underlying(instrument: Instrument, known: tuple[Instrument, ...]) -> None:
    """Refuse an instrument whose underlying the settings do not define."""
    try:
        underlying_of(instrument, known)
    except ValueError as error:
        raise ConfigError(f"{error}: the settings define {', '.join(map(qualified_symbol, known))}") from None


def _check_limits(instrument: Instrument, limits: RiskSettings) -> None:
    """Refuse limits that are not on the instrument's grid."""
    try:
        instrument.qty_to_lots(limits.max_order_qty, "risk limit max_order_qty")
        instrument.qty_to_lots(limits.max_position, "risk limit max_position")
        instrument.amount_to_cash(limits.max_order_notional, "risk limit max_order_notional")
        rate(f"{instrument.symbol}'s risk limit price_collar", limits.price_collar)
    except GridError as error:
        raise ConfigError(str(error)) from None


def data_dir(setting: str = "") -> Path:
    """The data folder as an absolute path: the setting, ``$ZOMS_HOME``, or ``~/.zoms``."""
    return Path(setting or os.environ.get(DATA_DIR_VARIABLE, "") or "~/.zoms").expanduser().absolute()


def qualified_symbol(instrument: Instrument) -> str:
    """Symbol and venue: the name that no other instrument of the settings has, such as ``BTCUSDT.binance_usdm``."""
    return f"{instrument.symbol}.{instrument.venue}"


def strategy_file(name: str, folder: Path) -> str:
    """The absolute path of a strategy: a bare name is one that zoms ships, anything else a path relative to ``folder``.

    Raises
    ------
    ConfigError
        When there is no such file.
    """
    shipped = SHIPPED_STRATEGIES / f"{name}.py"
    if "/" not in name and not name.endswith(".py"):
        if shipped.is_file() and name.isidentifier():
            return os.fspath(shipped)
        raise ConfigError(f"unknown strategy {name!r}: zoms ships none of that name; for your own give its file's path")
    path = (folder / Path(name).expanduser()).absolute()
    if not path.is_file():
        raise ConfigError(f"strategy file {path} does not exist")
    return os.fspath(path)


def load_settings(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """The shipped defaults, the TOML file ``path`` over them, and ``overrides`` over both; file names made absolute.

    A name in the file replaces the default of that name; the tables of ``MERGED_TABLES`` are merged name by name. A
    file with its own ``instruments`` starts without the default limits and strategies, which are for the default
    instruments. Relative paths are taken from the file's folder, those in ``overrides`` from the current one.

    Raises
    ------
    ConfigError
        When the file is missing, is not TOML, or holds an unknown name, a wrong type or a value that cannot be used.
    """
    tree = _with_absolute_paths(_read_toml(DEFAULTS_FILE), DEFAULTS_FILE.parent)
    origin = "settings"
    if path is not None:
        given = _with_absolute_paths(_read_toml(path), path.absolute().parent)
        _refuse_renamed(path, given)
        if "instruments" in given:
            tree.update(risk={}, strategies=[])
        _lay_over(tree, given)
        origin = f"settings {path}"
    _lay_over(tree, _with_absolute_paths(dict(overrides or {}), Path.cwd()))
    settings: Settings = _checked(origin, lambda: msgspec.convert(tree, Settings))
    return settings


def _refuse_renamed(path: Path, given: Mapping[str, Any]) -> None:
    """Refuse a name that has become another one, and say which."""
    for old, (table, name) in RENAMED.items():
        if old in given:
            raise ConfigError(
                f"settings {path}: {old} {given[old]!r} is now called {name}, in the table [{table}]: move it there"
            )


def _lay_over(tree: dict[str, Any], given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        merged = name in MERGED_TABLES and isinstance(value, dict)
        tree[name] = {**tree.get(name, {}), **value} if merged else value


def _with_absolute_paths(tree: dict[str, Any], folder: Path) -> dict[str, Any]:
    """``tree`` with its replay and strategy files as absolute paths; values of a wrong type are left to the decoder."""
    replay = tree.get("replay")
    if isinstance(replay, dict) and isinstance(replay.get("file"), str):
        tree["replay"] = {**replay, "file": os.fspath((folder / Path(replay["file"]).expanduser()).absolute())}
    strategies = tree.get("strategies")
    if isinstance(strategies, list):
        tree["strategies"] = [
            {**each, "file": strategy_file(each["file"], folder)}
            if isinstance(each, dict) and isinstance(each.get("file"), str)
            else each
            for each in strategies
        ]
    return tree


def _read_toml(path: Path) -> dict[str, Any]:
    content = _read(path)
    tree: dict[str, Any] = _checked(f"settings {path}", lambda: msgspec.toml.decode(content))
    return tree


def write_session(settings: Settings) -> Path:
    """Write the resolved settings to the run folder for the processes to read, and return that file.

    The folders of the session file and of the sockets are made for their owner only: who can reach the core's socket
    can trade.
    """
    for folder in (settings.run_dir, settings.socket_dir):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_uid != os.getuid():
            raise ConfigError(f"folder {folder} belongs to another user: choose another data folder")
        folder.chmod(0o700)
    path = settings.run_dir / SESSION_FILE
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(settings)))
    partial.replace(path)
    return path


def read_session(path: Path) -> Settings:
    """Read what ``write_session`` wrote; raises ``ConfigError`` as ``load_settings`` does."""
    content = _read(path)
    settings: Settings = _checked(f"settings {path}", lambda: msgspec.json.decode(content, type=Settings))
    return settings


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read settings {path}: {error.strerror}") from error


def _checked(origin: str, decode: Callable[[], Any]) -> Any:
    try:
        return decode()
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{origin}: {error}") from error
