"""``zoms data``: market data on disk, looked at before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oms.commands.options import Json, SettingsFile, say, say_json

if TYPE_CHECKING:
    from backtest.data.check import Check

app = typer.Typer(help="Look at market data before it is used.", no_args_is_help=True)

Files = Annotated[list[Path], typer.Argument(help="Market data: recordings, .npz, CSV, Parquet, folders of the store.")]
Instruments = Annotated[
    list[str] | None,
    typer.Option(
        "--instrument",
        help="What a file is of that does not say so itself. Repeatable, in the files' order.",
        metavar="SYMBOL.VENUE",
    ),
]


@app.command("check")
def check_files(
    file: Files,
    instrument: Instruments = None,
    gap: Annotated[
        float, typer.Option("--gap", help="Count silences that are longer.", min=0, metavar="SECONDS")
    ] = 60.0,
    as_json: Json = False,
    settings_file: SettingsFile = None,
) -> None:
    """Report gaps, crossed books, time going back, duplicates and refused values; exit status 1 when results would be
    unreliable. Nothing is repaired."""
    import msgspec

    from backtest.data.check import check
    from backtest.data.opening import open_each
    from oms.config import load_settings

    settings = load_settings(settings_file, {"replay": {"file": ""}})
    found = [check(source, settings, gap) for source in open_each(file, settings, instrument or [])]
    if as_json:
        say_json([msgspec.to_builtins(each) for each in found])
    else:
        for number, each in enumerate(found):
            if number:
                say("")
            print_check(each)
    if any(each.problems for each in found):
        raise typer.Exit(1)


def print_check(found: Check) -> None:
    """One file's report in words."""
    from oms.commands.stored import time_text

    say(f"{found.file}: {found.format} of {found.instrument}")
    held = ", ".join(f"{count:,} {kind}" for kind, count in found.kinds.items())
    rows = [["rows", f"{found.rows:,}"], ["records", f"{found.records:,}" + (f" ({held})" if held else "")]]
    if found.records:
        span_s = (found.last_ts - found.first_ts) / 1e9
        rows.append(["time", f"{time_text(found.first_ts)} to {time_text(found.last_ts)} ({span_s:,.1f} s)"])
        longest = f"{found.longest_silence_s:,.3f} s at {time_text(found.longest_silence_ts)}"
        rows.append(["longest silence", longest if found.longest_silence_s else "none"])
    if found.feed_latency_ms:
        latency = ", ".join(f"{name} {value:,.3f}" for name, value in found.feed_latency_ms.items())
        rows.append(["feed latency, ms", latency])
    for what, counts in (("refused", found.refused), ("ignored", found.ignored)):
        if counts:
            rows.append([what, ", ".join(f"{count:,} {name}" for name, count in counts.items())])
    rows += [["note", text] for text in found.notes]
    rows += [["remark", text] for text in found.remarks]
    rows += [["problem", text] for text in found.problems]
    for name, text in rows:
        say(f"  {name:<17} {text}")
    if not found.problems:
        say("  nothing that makes results unreliable")
