"""What the documentation's pages hold: their commands, settings and links."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import typer

from oms.cli import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language on a page."""
    return [text for found, text in _BLOCK.findall(page.read_text()) if found == language]


def console_commands(page: Path) -> list[list[str]]:
    """The commands that a page shows after a ``$``, split into words."""
    lines = [line for text in blocks(page, "console") for line in text.splitlines()]
    return [shlex.split(line[2:]) for line in lines if line.startswith("$ ")]


def links(page: Path) -> list[str]:
    """The files that a page links to, as it names them."""
    return [target for target, _ in _LINK.findall(page.read_text()) if "://" not in target]


def parse(words: list[str]) -> None:
    """Parse a ``zoms`` command as the command line does, without running it; raises what a user would see."""
    command: Any = typer.main.get_command(app)
    arguments = words[1:]
    while hasattr(command, "commands"):
        name, *arguments = arguments
        if name not in command.commands:
            raise ValueError(f"there is no command {name!r} in {' '.join(words)!r}")
        command = command.commands[name]
    command.make_context(words[0], arguments)


def make_targets() -> set[str]:
    """The targets of the Makefile."""
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
