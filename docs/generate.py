"""Writes the pages that are made from code: ``python docs/generate.py``; a test checks that they are current."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from oms.cli import app
from oms.reasons import GROUPS, MEANINGS
from oms.records import Reason

DOCS = Path(__file__).resolve().parent

COMMAND_LINE_INTRODUCTION = """\
# Command line

This page is made from the commands themselves (`oms/commands/`, a file for each subject) by `make docs`; `zoms COMMAND
--help` says the same.

Exit status: 0 when all went well; 1 when something did not, with one line on stderr that says what and what to do; 2
for a command line that cannot be understood. Commands that print figures or rows take `--json`.

`zoms paper`, `backtest`, `replay` and `demo` start something. `status`, `order`, `halt`, `resume` and `reduce` speak to
the session that runs on the account. `recorded`, `orders`, `fills`, `positions` and `journal` read what is on disk,
whether a session runs or not.

| command | what it does |
| --- | --- |
"""


def reasons_page() -> str:
    """``docs/reasons.md``: every reason code, grouped."""
    lines = [
        "# Reason codes",
        "",
        "Every refusal, rejection, halt and ignored report carries one of these. Events and journal hold the number,",
        "clients and commands show the name. This page is made from `oms/reasons.py` by `make docs`.",
    ]
    for title, explanation, numbers in GROUPS:
        lines += ["", f"## {title}", "", explanation, "", "| code | name | meaning |", "| ---: | --- | --- |"]
        lines += [
            f"| {reason.value} | `{reason.name}` | {MEANINGS[reason]} |" for reason in Reason if reason.value in numbers
        ]
    return "\n".join(lines) + "\n"


def commands() -> Iterator[tuple[str, Any]]:
    """Every command of ``zoms`` with its full name, in the order of ``zoms --help``."""

    def walk(prefix: str, group: Any) -> Iterator[tuple[str, Any]]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from walk(f"{prefix} {name}", command)
            else:
                yield f"{prefix} {name}", command

    yield from walk("zoms", typer.main.get_command(app))


def command_line_page() -> str:
    """``docs/command-line.md``: every command with its arguments and options."""
    known = list(commands())
    lines = [f"| [`{name}`](#{name.replace(' ', '-')}) | {_sentence(command.help)} |" for name, command in known]
    for name, command in known:
        arguments = [each for each in command.params if not each.opts[0].startswith("-")]
        usage = " ".join([name, *(_argument_text(each) for each in arguments), "[OPTIONS]"])
        lines += ["", f"## {name}", "", f"`{usage}`", "", _sentence(command.help), "", "| | |", "| --- | --- |"]
        lines += [f"| `{_argument_text(each)}` | {each.help or ''} |" for each in arguments]
        options = [each for each in command.params if each not in arguments]
        lines += [f"| `{_option_text(each)}` | {_option_help(each)} |" for each in options]
    return COMMAND_LINE_INTRODUCTION + "\n".join(lines) + "\n"


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split())


def _argument_text(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    return name if parameter.required else f"[{name}]"


def _option_text(parameter: Any) -> str:
    if parameter.is_flag:
        return parameter.opts[0]  # type: ignore[no-any-return]
    return f"{parameter.opts[0]} {parameter.metavar or parameter.name.upper()}"


def _option_help(parameter: Any) -> str:
    shown = "" if parameter.is_flag or parameter.default in (None, ()) else f" Default: {parameter.default}."
    return f"{_sentence(parameter.help)}{shown}".replace("|", "\\|")


PAGES = {"reasons.md": reasons_page, "command-line.md": command_line_page}
"""Generated pages by file name."""


def main() -> int:
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
