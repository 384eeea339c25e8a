"""Writes the pages that are made from code: ``python docs/generate.py``; a test checks that they are current."""

from __future__ import annotations

import sys
from pathlib import Path

from oms.reasons import GROUPS, MEANINGS
from oms.records import Reason

DOCS = Path(__file__).resolve().parent


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


PAGES = {"reasons.md": reasons_page}
"""Generated pages by file name."""


def main() -> int:
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
