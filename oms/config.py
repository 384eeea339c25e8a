"""Reading settings: the shipped defaults, one TOML file over them, decoded strictly, the same for every process.

A session's settings are resolved once by whoever starts it and written to ``session.json`` in the session's run folder;
each process of the family reads that file, so that all of them see one truth.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from oms.account_settings import (
    AccountSettings,
    AlgorithmSettings,
    CurrencySettings,
    RiskSettings,
    RuleSettings,
    StrategyRisk,
    StrategySettings,
)
from oms.checks import ConfigError
from oms.decode_errors import decode_error_text
from oms.definitions import add_definitions
from oms.session_settings import (
    FirmSettings,
    JournalSettings,
    LiveSettings,
    MatchingSettings,
    ReplaySettings,
    SandboxSettings,
)
from oms.settings import DATA_DIR_VARIABLE, Settings, data_dir, qualified_symbol

__all__ = [
    "DATA_DIR_VARIABLE",
    "AccountSettings",
    "AlgorithmSettings",
    "ConfigError",
    "CurrencySettings",
    "FirmSettings",
    "JournalSettings",
    "LiveSettings",
    "MatchingSettings",
    "ReplaySettings",
    "RiskSettings",
    "RuleSettings",
    "SandboxSettings",
    "Settings",
    "StrategyRisk",
    "StrategySettings",
    "data_dir",
    "load_settings",
    "qualified_symbol",
    "read_session",
    "strategy_file",
    "write_session",
]

SESSION_FILE: Final = "session.json"
DEFAULTS_FILE: Final = Path(__file__).with_name("defaults.toml")
SHIPPED_STRATEGIES: Final = Path(__file__).resolve().parent.parent / "strategies"
MERGED_TABLES: Final = ("replay", "live", "firm", "matching", "journal")
"""Tables of a settings file whose names are laid over the defaults one by one; all else replaces the default whole."""

RENAMED: Final = {"journal_sync": ("journal", "sync")}
"""Names that settings had once, and where they are now: table and name."""


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
    return _existing_file("strategy", name, folder)


def rule_file(name: str, folder: Path) -> str:
    """The absolute path of a risk rule's file; raises as ``strategy_file`` does."""
    return _existing_file("rule", name, folder)


def algorithm_file(name: str, folder: Path) -> str:
    """The absolute path of an execution algorithm's file; raises as ``strategy_file`` does."""
    return _existing_file("algorithm", name, folder)


def _existing_file(what: str, name: str, folder: Path) -> str:
    path = (folder / Path(name).expanduser()).absolute()
    if not path.is_file():
        raise ConfigError(f"{what} file {path} does not exist")
    return os.fspath(path)


def load_settings(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """The shipped defaults, the TOML file ``path`` over them, and ``overrides`` over both; file names made absolute.

    With ``mode`` firm among the overrides nothing that trades, and no limit, comes from the defaults.

    A name in the file replaces the default of that name; the tables of ``MERGED_TABLES`` are merged name by name. A
    file with its own ``instruments`` starts without the default limits, balances and strategies, which are for the
    default instruments. Without ``accounts`` of its own, the default one takes the name of ``account``. Relative paths
    are taken from the file's folder, those in ``overrides`` from the current one.

    Raises
    ------
    ConfigError
        When the file is missing, is not TOML, or holds an unknown name, a wrong type or a value that cannot be used.
    """
    tree = _with_absolute_paths(_read_toml(DEFAULTS_FILE), DEFAULTS_FILE.parent)
    (shipped_account,) = tree.pop("accounts").values()
    is_firm = (overrides or {}).get("mode") == "firm"
    if is_firm:
        tree.update(risk={}, strategies=[])
    origin = "settings"
    layers = [_with_absolute_paths(dict(overrides or {}), Path.cwd())]
    if path is not None:
        layers.insert(0, _with_absolute_paths(_read_toml(path), path.absolute().parent))
        _refuse_renamed(path, layers[0])
        _refuse_leave_to_trade(path, layers[0])
        origin = f"settings {path}"
    for layer in layers:
        if "instruments" in layer:
            tree.update(risk={}, strategies=[])
            shipped_account["balances"] = {}
        _lay_over(tree, layer)
    if is_firm and "accounts" not in tree:
        raise ConfigError(
            f"{origin}: firm mode has no limits of its own: add [accounts.{tree['account']}], see docs/firm.md"
        )
    if isinstance(tree["account"], str):
        tree.setdefault("accounts", {tree["account"]: shipped_account})
    return _converted(origin, tree)


def _refuse_renamed(path: Path, given: Mapping[str, Any]) -> None:
    """Refuse a name that has become another one, and say which."""
    for old, (table, name) in RENAMED.items():
        if old in given:
            raise ConfigError(
                f"settings {path}: {old} {given[old]!r} is now called {name}, in the table [{table}]: move it there"
            )


def _refuse_leave_to_trade(path: Path, given: Mapping[str, Any]) -> None:
    """Refuse a file that lets orders leave: that is said each time, by whoever starts the session."""
    firm = given.get("firm")
    if given.get("mode") == "firm" or (isinstance(firm, dict) and "trade" in firm):
        raise ConfigError(f"settings {path}: no file makes orders real: use zoms firm --config {path} --trade")


def _lay_over(tree: dict[str, Any], given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        merged = name in MERGED_TABLES and isinstance(value, dict)
        tree[name] = {**tree.get(name, {}), **value} if merged else value


def _with_absolute_paths(tree: dict[str, Any], folder: Path) -> dict[str, Any]:
    """``tree`` with its files' paths made absolute; values of a wrong type are left to the decoder."""
    if isinstance(tree.get("replay"), dict):
        tree["replay"] = _with_absolute_path(tree["replay"], "file", folder)
    live = tree.get("live")
    if isinstance(live, dict) and isinstance(live.get("sandbox"), dict):
        sandboxes = {
            venue: _with_absolute_path(sandbox, "ca", folder) if isinstance(sandbox, dict) else sandbox
            for venue, sandbox in live["sandbox"].items()
        }
        tree["live"] = {**live, "sandbox": sandboxes}
    matching = tree.get("matching")
    if isinstance(matching, dict):
        tree["matching"] = {**matching, **_matching_files(matching, folder)}
    for table, absolute in (("strategies", strategy_file), ("rules", rule_file), ("algorithms", algorithm_file)):
        listed = tree.get(table)
        if isinstance(listed, list):
            tree[table] = [
                {**each, "file": absolute(each["file"], folder)}
                if isinstance(each, dict) and isinstance(each.get("file"), str)
                else each
                for each in listed
            ]
    return tree


def _with_absolute_path(table: Mapping[str, Any], name: str, folder: Path) -> Mapping[str, Any]:
    """A table with the file's path that it has under a name made absolute."""
    path = table.get(name)
    if not isinstance(path, str) or not path:
        return table
    return {**table, name: os.fspath((folder / Path(path).expanduser()).absolute())}


def _matching_files(matching: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """The files that a ``matching`` table names, by what they are for: absolute."""
    given = {name: matching.get(name) for name in ("model", "queue", "latencies")}
    return {
        name: _existing_file(f"matching {name}", file, folder)
        for name, file in given.items()
        if isinstance(file, str) and (file.endswith(".py") or (name == "latencies" and file))
    }


def _read_toml(path: Path) -> dict[str, Any]:
    content = _read(path)
    tree: dict[str, Any] = _checked(f"settings {path}", lambda: msgspec.toml.decode(content))
    return tree


def write_session(settings: Settings) -> Path:
    """Write the resolved settings to the run folder for the processes to read, and return that file.

    The instruments' definitions are added to those that the account has ever used; see ``oms.definitions``.

    The folders of the session file and of the sockets are made for their owner only: who can reach the core's socket
    can trade.
    """
    for folder in (settings.run_dir, settings.socket_dir):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_uid != os.getuid():
            raise ConfigError(f"folder {folder} belongs to another user: choose another data folder")
        folder.chmod(0o700)
    add_definitions(settings.definitions_file, settings.instruments)
    path = settings.run_dir / SESSION_FILE
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(settings)))
    partial.replace(path)
    return path


def read_session(path: Path) -> Settings:
    """Read what ``write_session`` wrote; raises ``ConfigError`` as ``load_settings`` does."""
    content = _read(path)
    origin = f"settings {path}"
    return _converted(origin, _checked(origin, lambda: msgspec.json.decode(content)))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read settings {path}: {error.strerror}") from error


def _converted(origin: str, tree: Any) -> Settings:
    try:
        return msgspec.convert(tree, Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{origin}: {decode_error_text(error, tree, Settings)}") from error


def _checked(origin: str, decode: Callable[[], Any]) -> Any:
    try:
        return decode()
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{origin}: {error}") from error
