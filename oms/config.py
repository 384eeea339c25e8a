"""Settings: one TOML file, decoded strictly, and the same for every process of a session.

A session's settings are resolved once by whoever starts it and written to ``session.json`` in the session's run folder;
each process of the family reads that file, so that all of them see one truth.
"""

from __future__ import annotations

import os
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from oms.bus import ipc_endpoint
from oms.instruments import Instrument

SESSION_FILE: Final = "session.json"
DATA_DIR_VARIABLE: Final = "ZOMS_HOME"
MAX_SOCKET_FOLDER_BYTES: Final = 80


class ConfigError(ValueError):
    """A setting that cannot be used; the message names it, its value and the remedy."""


class ReplaySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The recorded stream that stands in for an exchange."""

    file: str
    speed: str = "1"
    """A factor of recorded time such as ``1`` or ``10``, or ``max``: as fast as everyone can take it."""
    duration_s: float = 0.0
    """Stop after this much recorded time; 0: the whole file."""
    loop: bool = False
    """Start again at the end, with time going on: for long runs."""


class MatchingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The exchange model of paper mode and the backtest; see ``backtest/matching/``."""

    model: str = "displayed"
    entry_latency_us: int = 0
    response_latency_us: int = 0


class RiskSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pre-trade limits of one instrument for one account; all are required, none has a silent default."""

    max_order_qty: str
    max_order_notional: str
    price_collar: str
    """Farthest distance of a limit price from the market, as a fraction: ``0.05`` is 5 %."""
    max_position: str
    max_open_orders: int
    max_orders_per_second: int


class StrategySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One strategy: its file, the instrument it is given, and its parameters by name."""

    file: str
    instrument: str
    name: str = ""
    parameters: dict[str, float] = {}


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything one session needs."""

    mode: Literal["paper"] = "paper"
    account: str = "paper"
    data_dir: str = ""
    """Where journal, store and run files live; empty: ``$ZOMS_HOME`` or ``~/.zoms``."""
    rpc_endpoint: str = "tcp://127.0.0.1:5570"
    journal_sync: Literal["always", "os"] = "os"
    heartbeat_s: float = 0.5
    record_ticks: bool = True
    replay: ReplaySettings
    matching: MatchingSettings = MatchingSettings()
    instruments: tuple[Instrument, ...]
    risk: dict[str, RiskSettings]
    """Limits by instrument symbol; an instrument without limits cannot be traded."""
    strategies: tuple[StrategySettings, ...] = ()

    def instrument(self, symbol: str) -> Instrument:
        """The instrument called ``symbol``; raises ``ConfigError`` when there is none."""
        for instrument in self.instruments:
            if instrument.symbol == symbol:
                return instrument
        known = ", ".join(instrument.symbol for instrument in self.instruments)
        raise ConfigError(f"unknown instrument {symbol!r}: the settings define {known}")

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


def data_dir(setting: str = "") -> Path:
    """The data folder as an absolute path: the setting, ``$ZOMS_HOME``, or ``~/.zoms``."""
    return Path(setting or os.environ.get(DATA_DIR_VARIABLE, "") or "~/.zoms").expanduser().absolute()


def load_settings(path: Path) -> Settings:
    """Decode a TOML settings file.

    Raises
    ------
    ConfigError
        When the file is missing, is not TOML, or holds an unknown name or a wrong type.
    """
    return _decode(path, msgspec.toml.decode)


def write_session(settings: Settings) -> Path:
    """Write the resolved settings to the run folder for the processes to read, and return that file."""
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    settings.socket_dir.mkdir(parents=True, exist_ok=True)
    path = settings.run_dir / SESSION_FILE
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(settings)))
    partial.replace(path)
    return path


def read_session(path: Path) -> Settings:
    """Read what ``write_session`` wrote; raises ``ConfigError`` as ``load_settings`` does."""
    return _decode(path, msgspec.json.decode)


def _decode(path: Path, decode: Any) -> Settings:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read settings {path}: {error.strerror}") from error
    try:
        settings: Settings = decode(content, type=Settings)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise ConfigError(f"settings {path}: {error}") from error
    return settings
