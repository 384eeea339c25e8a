"""What a running session shows: a live view in a terminal, a status line every two seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from oms.records import Reason, TradingState
from oms.settings import qualified_symbol

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from oms.child import Child
    from oms.config import Settings
    from oms.figures import FillFigures, PositionFigures
    from oms.session import TradingSession

LIVE_INTERVAL_S: Final = 0.25
LINE_INTERVAL_S: Final = 2.0
PICTURE_INTERVAL_S: Final = 2.0
PICTURE_UNTIL: Final = 0.9
"""Part of the replay after which no further picture is taken: it shows a session in the middle of its work."""
SHOWN_STRATEGY_LINES: Final = 2
NO_ORDERS_LEAVE: Final = "no new orders leave"
WIDTH: Final = 100
HEIGHT: Final = 44
FIXED_LINES: Final = 19
"""Lines of the header, the figures and the processes, and one for the cursor."""
BORDER_LINES: Final = 2
MIN_PANEL_LINES: Final = 4
MAX_SHOWN: Final = 8
"""Lines in the panels of fills, the client and the log."""

_STATE_STYLES: Final = {
    "ready": "green",
    "done": "green",
    "compiling": "yellow",
    "recovering": "yellow",
    "starting": "yellow",
    "backoff": "red",
    "failed": "bold red",
}
_TRADING_STYLES: Final = {
    TradingState.ACTIVE: "green",
    TradingState.REDUCING: "yellow",
    TradingState.HALTED: "bold red",
}
_SIDE_STYLES: Final = {"buy": "green", "sell": "red"}


def clock_text(ts: int) -> str:
    """Nanoseconds since the epoch as the time of day, UTC."""
    return datetime.fromtimestamp(ts / 1e9, tz=UTC).strftime("%H:%M:%S")


def main_position(session: TradingSession) -> PositionFigures | None:
    """The position to show: the one with the most fills."""
    return max(session.figures.positions.values(), key=lambda each: each.fills, default=None)


def status_line(session: TradingSession) -> str:
    """The session in one line of plain text."""
    figures = session.figures
    waiting = [name for name, child in session.supervisor.children.items() if child.health not in ("ready", "done")]
    if session.supervisor.stopping:
        waiting = []
    waiting_text = "waiting for " + ", ".join(f"{name} ({health_text(session, name)})" for name in waiting)
    if not waiting:
        waiting_text = "stopping"
    if not session.supervisor.complete:
        return f"{figures.elapsed_s:6.1f} s  {waiting_text}"
    position = main_position(session)
    parts = [
        f"{figures.elapsed_s:6.1f} s",
        "live" if session.settings.is_live else f"{figures.now('gateway', 'progress'):4.0%}",
        f"ticks {figures.counter('core', 'ticks'):,.0f} ({figures.tick_rate():,.0f}/s)",
        f"orders {figures.counter('core', 'orders'):,.0f}",
        f"fills {figures.counter('core', 'fills'):,.0f}",
    ]
    if position:
        parts += [
            f"position {position.qty}",
            f"realized {position.realized_pnl}",
            f"unrealized {position.unrealized_pnl}",
            f"fees {position.fees}",
        ]
    parts.append(
        f"tick-to-order p50 {figures.now('core', 'tick_to_order_p50_us'):,.0f} us "
        f"p99 {figures.now('core', 'tick_to_order_p99_us'):,.0f} us"
    )
    if figures.bad_input:
        parts.append(f"bad input {figures.bad_input:,.0f}")
    if figures.trading_state is not TradingState.ACTIVE:
        parts.append(figures.trading_state.name)
    if closed_venues(session):
        parts.append(no_orders_text(session))
    if waiting:
        parts.append(waiting_text)
    return "  ".join(parts)


def closed_venues(session: TradingSession) -> list[str]:
    """Venues to which no new order leaves: on paper none, else as the last heartbeats of their processes say."""
    children = session.supervisor.children.values()
    orders = [child for child in children if child.role == "orders"]
    return [child.venue for child in orders if session.figures.now(child.name, "trades") == 0]


def no_orders_text(session: TradingSession) -> str:
    """That no new order leaves, for which venues where it is not all, and why, as far as the core has been told."""
    closed = closed_venues(session)
    reasons = {
        reason.name
        for symbol, reason in session.figures.entry.items()
        if reason is not Reason.NONE and symbol.endswith(tuple(f".{venue}" for venue in closed))
    }
    where = f" for {', '.join(closed)}" if len(closed) < len(session.settings.venues) else ""
    return NO_ORDERS_LEAVE + where + (f" ({', '.join(sorted(reasons))})" if reasons else "")


def health_text(session: TradingSession, name: str) -> str:
    """The state of a process, with how far it has come while it compiles."""
    child = session.supervisor.children[name]
    total = session.figures.now(name, "to_compile")
    if child.health == "compiling" and total:
        return f"compiling {session.figures.now(name, 'compiled'):.0f} of {total:.0f}"
    return child.health


class LineView:
    """Writes supervisor log lines as they come, and a status line at each ``show``."""

    interval_s = LINE_INTERVAL_S

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def say(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()

    @contextmanager
    def shown(self, session: TradingSession) -> Iterator[Callable[[], None]]:
        yield lambda: self.say(status_line(session))


class LiveView:
    """Redraws the whole view in place at each ``show``."""

    interval_s = LIVE_INTERVAL_S

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self.console = Console(file=stream)

    def say(self, text: str) -> None:
        """Log lines are part of the view."""

    @contextmanager
    def shown(self, session: TradingSession) -> Iterator[Callable[[], None]]:
        from rich.live import Live

        with Live(console=self.console, auto_refresh=False, transient=True) as live:
            yield lambda: live.update(render(session, self.console.height), refresh=True)


def new_view(stream: TextIO) -> LiveView | LineView:
    """The live view where ``stream`` is a terminal, lines elsewhere."""
    return LiveView(stream) if stream.isatty() else LineView(stream)


def with_picture(session: TradingSession, show: Callable[[], None], path: Path | None) -> Callable[[], None]:
    """``show``, which also saves a picture of the running session to ``path`` every few seconds."""
    if path is None:
        return show
    due = time.monotonic() + PICTURE_INTERVAL_S

    def show_and_save() -> None:
        nonlocal due
        show()
        running = session.supervisor.complete and session.figures.now("gateway", "progress") < PICTURE_UNTIL
        if running and time.monotonic() >= due:
            save_picture(session, path)
            due = time.monotonic() + PICTURE_INTERVAL_S

    return show_and_save


def save_picture(session: TradingSession, path: Path) -> None:
    """Write the view as it stands to an SVG file."""
    import io

    from rich.console import Console

    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(render(session))
    path.write_text(console.export_svg(title=f"zoms {session.settings.mode}", clear=False))


def render(session: TradingSession, height: int = HEIGHT) -> RenderableType:
    """The session as a rich renderable of about ``WIDTH`` columns and at most ``height`` lines."""
    from rich.console import Group
    from rich.table import Table

    middle = Table.grid(expand=True)
    for _ in range(3):
        middle.add_column(ratio=1)
    middle.add_row(_market(session), _account(session), _latency(session))
    panels: list[Callable[[TradingSession, int], RenderableType]] = [_notes]
    if session.figures.client_lines:
        panels.append(_client)
    panels.append(_fills)
    spare = height - FIXED_LINES
    while len(panels) > 1 and spare // len(panels) < MIN_PANEL_LINES:
        panels.pop()
    lines = max(1, min(spare // len(panels) - BORDER_LINES, MAX_SHOWN))
    return Group(_header(session), middle, _processes(session), *(panel(session, lines) for panel in reversed(panels)))


def _panel(content: RenderableType, title: str) -> RenderableType:
    from rich import box
    from rich.panel import Panel

    return Panel(content, title=f"[bold]{title}", title_align="left", box=box.ROUNDED, border_style="bright_black")


def _pairs(rows: list[tuple[str, str]]) -> Table:
    from rich.table import Table

    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(style="bright_black", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _header(session: TradingSession) -> RenderableType:
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    figures = session.figures
    compiling = figures.now("core", "to_compile") if session.supervisor.children["core"].health == "compiling" else 0
    if compiling:
        what, done = "compile", figures.now("core", "compiled") / compiling
    elif session.settings.is_live:
        what, done = "live", figures.now("gateway", "connected") / max(figures.now("gateway", "streams"), 1)
    else:
        what, done = "replay", figures.now("gateway", "progress")
    style = _TRADING_STYLES[figures.trading_state]
    line = Table.grid(expand=True, padding=(0, 1))
    line.add_column(no_wrap=True)
    line.add_column(ratio=1)
    line.add_column(justify="right", no_wrap=True)
    line.add_row(
        what,
        ProgressBar(total=1.0, completed=done, complete_style="cyan", finished_style="green"),
        f"{done:4.0%}   {figures.elapsed_s:5.0f} s   [{style}]{figures.trading_state.name}[/]"
        + (f" [bold red]{no_orders_text(session)}[/]" if closed_venues(session) else ""),
    )
    settings = session.settings
    return _panel(line, f"zoms {settings.mode} · {source_text(settings)} · account {settings.account}")


def source_text(settings: Settings) -> str:
    """Where a session's market data come from."""
    if not settings.is_live:
        return Path(settings.replay.file).name.replace("[", "\\[") + f" · speed {settings.replay.speed}"
    ports = ", ".join(str(each.port) for each in settings.live.sandbox.values())
    sandbox = f" · SANDBOX on port {ports}" if ports else ""
    return ", ".join(map(qualified_symbol, settings.live_instruments)) + sandbox


def _market(session: TradingSession) -> RenderableType:
    figures = session.figures
    return _panel(
        _pairs(
            [
                ("ticks/s", f"{figures.tick_rate():,.0f}"),
                ("ticks", f"{figures.counter('core', 'ticks'):,.0f}"),
                ("lost", f"{figures.counter('core', 'ticks_lost'):,.0f}"),
                ("lag p50", f"{figures.now('core', 'lag_p50_us'):,.0f} us"),
                ("recorded", f"{figures.counter('recorder', 'ticks'):,.0f}"),
                ("bad input", f"{figures.bad_input:,.0f}"),
            ]
        ),
        "market",
    )


def _account(session: TradingSession) -> RenderableType:
    position = main_position(session)
    rows = [("position", "flat")]
    if position:
        rows = [
            ("position", position.qty),
            ("average price", short(position.average_price)),
            ("mark price", short(position.mark_price)),
            ("realized", signed(position.realized_pnl)),
            ("unrealized", signed(position.unrealized_pnl)),
            ("fees", short(position.fees)),
        ]
    standing = session.figures.standings.get(0)
    if standing:
        rows.append((f"PnL {standing.currency}", signed(standing.pnl)))
    return _panel(_pairs(rows), position.instrument if position else "account")


def short(amount: str) -> str:
    """Decimal text with at most two decimals, for the eye."""
    return f"{float(amount):,.2f}"


def signed(amount: str) -> str:
    """An amount in green or red."""
    value = float(amount)
    style = "green" if value > 0 else "red" if value < 0 else "default"
    return f"[{style}]{value:,.2f}[/]"


def _latency(session: TradingSession) -> RenderableType:
    figures = session.figures
    rows = [
        (name, f"{figures.now('core', f'tick_to_order_{key}_us'):,.0f} us")
        for name, key in (("p50", "p50"), ("p99", "p99"), ("p99.9", "p999"), ("max", "max"))
    ]
    orders, fills = figures.counter("core", "orders"), figures.counter("core", "fills")
    rows.append(("orders / fills", f"{orders:,.0f} / {fills:,.0f}"))
    rows.append(("open orders", f"{figures.now('core', 'open_orders'):,.0f}"))
    return _panel(_pairs(rows), "tick to order")


def _processes(session: TradingSession) -> RenderableType:
    from rich.table import Table

    table = Table.grid(expand=True, padding=(0, 1))
    for title, justify in (("process", "left"), ("pid", "right"), ("state", "left"), ("heartbeat", "right")):
        table.add_column(title, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("memory", justify="right", no_wrap=True)
    table.add_column("restarts", justify="right", no_wrap=True)
    table.add_row(*(f"[bright_black]{column.header}" for column in table.columns))
    for name, child in session.supervisor.children.items():
        table.add_row(name, *_process_cells(session, child))
    return _panel(table, "processes")


def _process_cells(session: TradingSession, child: Child) -> tuple[str, ...]:
    heard = bool(child.heartbeat) and child.running
    return (
        str(child.pid) if child.running else "-",
        f"[{_STATE_STYLES.get(child.health, 'default')}]{health_text(session, child.name)}[/]",
        f"{time.monotonic() - child.heard_at:.1f} s ago" if heard else "-",
        f"{child.heartbeat.rss_mb:,.0f} MB" if child.heartbeat and child.running else "-",
        f"{child.restarts}",
    )


def _fills(session: TradingSession, lines: int) -> RenderableType:
    from rich.table import Table

    table = Table.grid(expand=True, padding=(0, 1))
    for justify in ("left", "left", "right", "right", "left", "left"):
        table.add_column(justify=justify, no_wrap=True)
    fills: list[FillFigures] = list(session.figures.fills)[-lines:]
    for fill in fills:
        table.add_row(
            f"[bright_black]{clock_text(fill.ts)}",
            f"[{_SIDE_STYLES[fill.side]}]{fill.side}",
            fill.qty,
            fill.price,
            fill.liquidity,
            fill.owner,
        )
    return _panel(table if fills else "[bright_black]none yet", "last fills (record time)")


def _client(session: TradingSession, lines: int) -> RenderableType:
    from rich.text import Text

    shown = list(session.figures.client_lines)[-lines:]
    return _panel(Text("\n".join(shown), no_wrap=True, overflow="ellipsis"), "rpc client, a process of its own")


def _notes(session: TradingSession, lines: int) -> RenderableType:
    from rich.text import Text

    figures = session.figures
    strategy_lines = list(figures.strategy_log)[-SHOWN_STRATEGY_LINES:]
    found = sorted([*((line.ts, line.text) for line in session.supervisor.log), *figures.notes, *strategy_lines])
    text = Text(no_wrap=True, overflow="ellipsis")
    for index, (ts, line) in enumerate(found[-lines:]):
        text.append("\n" if index else "")
        text.append(f"{clock_text(ts)} ", style="bright_black")
        text.append(line)
    return _panel(text, "log")
