"""Options that several commands share, and how a command finds the session or the data that it is about."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from oms.compiled import Progress
    from oms.config import Settings

CLEAR_LINE: Final = "\r\x1b[K"
"""To a terminal: back to the line's begin, and clear it."""

Account = Annotated[
    str | None, typer.Option("--account", help="Account; each has its own data and one session.", metavar="NAME")
]
SubAccount = Annotated[
    str | None,
    typer.Option("--sub-account", help="One of the session's accounts, [accounts.NAME].", metavar="NAME"),
]
StrategyName = Annotated[
    str | None, typer.Option("--strategy", help="Name of a strategy of the session.", metavar="NAME")
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Where journal, store and run files lie. [$ZOMS_HOME or ~/.zoms]", metavar="FOLDER"
    ),
]
SettingsFile = Annotated[
    Path | None,
    typer.Option("--settings", help="TOML file laid over the shipped settings; see docs/settings.md.", metavar="FILE"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class CommandError(Exception):
    """A command cannot do what was asked; the message is one line that names the thing and the remedy."""


class OutputError(Exception):
    """Standard output cannot be written, as where it is a file on a full disk."""


def parse_parameters(given: list[str]) -> dict[str, float]:
    """``NAME=NUMBER`` texts as parameters; raises ``CommandError`` naming the one that is not like that."""
    parameters = {}
    for text in given:
        name, separator, number = text.partition("=")
        try:
            parameters[name.strip()] = float(number)
        except ValueError:
            separator = ""
        if not separator or not name.strip():
            raise CommandError(f"--param {text!r} is not NAME=NUMBER, such as half_spread=2")
    return parameters


def parse_values(given: list[str], option: str) -> dict[str, str]:
    """``NAME=VALUE`` texts of an option as values by name.

    Raises
    ------
    CommandError
        For one that is not like that, or comes twice.
    """
    values: dict[str, str] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or not name.strip() or not value.strip():
            raise CommandError(f"{option} {text!r} is not NAME=VALUE, such as duration_s=30")
        if name.strip() in values:
            raise CommandError(f"{option} {name.strip()} is given twice: give it once")
        values[name.strip()] = value.strip()
    return values


def overrides(account: str | None, folder: Path | None) -> dict[str, Any]:
    """The settings that ``--account`` and ``--data-dir`` set."""
    given: dict[str, Any] = {}
    if account is not None:
        given["account"] = account
    if folder is not None:
        given["data_dir"] = str(folder.expanduser().absolute())
    return given


def stored_settings(account: str | None, folder: Path | None) -> Settings:
    """The settings of the account's running session, else of its last one, or the shipped ones where it has had none.

    Of a session on paper and one with real orders that run both, the one with real orders.
    """
    from oms.config import SESSION_FILE, load_settings, read_session
    from oms.lock import holder
    from oms.settings import account_folder

    settings = load_settings(overrides=overrides(account, folder))
    folders = [account_folder(settings.account_dir.parent, settings.account, mode) for mode in ("firm", "paper")]
    files = [each / "run" / SESSION_FILE for each in folders]
    found = [read_session(each) for each in files if each.exists()]
    running = [each for each in found if holder(each)]
    newest = sorted(found, key=lambda each: (each.run_dir / SESSION_FILE).stat().st_mtime, reverse=True)
    return next(iter([*running, *newest]), settings)


def running_settings(account: str | None, folder: Path | None) -> Settings:
    """The settings of the account's running session.

    Raises
    ------
    CommandError
        When none runs.
    """
    from oms.lock import holder

    settings = stored_settings(account, folder)
    if not holder(settings):
        raise CommandError(
            f"no session of account {settings.account!r} runs (data folder {settings.account_dir.parent}): "
            f"start one with zoms paper --replay FILE or zoms firm --config FILE"
        )
    return settings


def say(text: str) -> None:
    with _output():
        sys.stdout.write(f"{text}\n")


def flush_output() -> None:
    """Write what standard output still holds back; raises ``OutputError``."""
    with _output():
        sys.stdout.flush()


@contextmanager
def _output() -> Iterator[None]:
    """Where standard output is written; a reader that has gone away is no error of it."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output cannot be written: {error.strerror}") from None


@contextmanager
def compile_line(anew: bool = True) -> Iterator[Callable[[Progress], None]]:
    """Say on a terminal that something compiles, which may take minutes; nothing when all of it is in the cache.

    In a line of stderr that is written ``anew`` as it goes on, or once.
    """
    is_shown = sys.stderr.isatty()
    said = False

    def tell(progress: Progress) -> None:
        nonlocal said
        if not is_shown or not progress.total or (said and not anew):
            return
        done = f"{progress.done} of {progress.total}, {progress.elapsed_s:.0f} s  {progress.name}"
        sys.stderr.write(f"{CLEAR_LINE}compiling {done}" if anew else "compiling what is not in the cache yet\n")
        sys.stderr.flush()
        said = True

    try:
        yield tell
    finally:
        if said and anew:
            sys.stderr.write(CLEAR_LINE)


def say_bad_input(count: int, account_dir: str) -> None:
    """Say how much input a session has refused, and where the first of it is named; nothing when it was none."""
    if count:
        say(f"  bad input   {count:,} lines or frames refused, see {account_dir}/run/gateway*.log")


def say_json(content: Any) -> None:
    say(json.dumps(content))


def say_table(titles: list[str], rows: list[list[str]], right: frozenset[int] = frozenset()) -> None:
    """Print rows as plain text columns; columns numbered in ``right`` are aligned to the right."""
    widths = [max(len(row[column]) for row in [titles, *rows]) for column in range(len(titles))]
    for row in [titles, *rows]:
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        say("  ".join(cells).rstrip())
