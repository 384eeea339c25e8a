"""Writes the pages that are made from code: ``python docs/generate.py``; a test checks that they are current."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from oms.algorithm_parameters import MEANINGS as PARAMETER_MEANINGS
from oms.algorithms import built_in, read_algorithm
from oms.cli import app
from oms.core.orders import LEGAL, OPEN_STATES, OrderInput
from oms.core.release import PASSING, PASSING_FOR_EXITS
from oms.reasons import GROUPS, MEANINGS
from oms.records import Reason

DOCS = Path(__file__).resolve().parent

COMMAND_LINE_INTRODUCTION = """\
# Command line

This page is made from the commands themselves (`oms/commands/`, a file for each subject) by `make docs`; `zoms COMMAND
--help` says the same.

Exit status: 0 when all went well; 1 when something did not, with one line on stderr that says what and what to do; 2
for a command line that cannot be understood. Commands that print figures or rows take `--json`.

`zoms paper`, `backtest`, `optimize`, `stream`, `sandbox` and `demo` start something, `download` fetches history.
`status`, `order`, `algo`, `adopt`, `halt`, `resume`, `reduce`, `kill` and `redefine` speak to the session that runs on
the account. `recorded`, `orders`, `fills`, `positions`, `journal`, `replay` and `data check` read what is on disk,
whether a session runs or not. `doctor`, `instrument`,
`venue-check` and `kill-switch` ask the exchanges.

In a paper session time is the recording's: a `--good-till` time, the end of a DAY order and an account's `day_reset`
come when the recording reaches them.

| command | what it does |
| --- | --- |
"""


ORDERS_INTRODUCTION = """\
# Orders

The core knows each order in one state, and moves it only by this table. It is the table itself: `LEGAL` in
`oms/core/orders.py`, which the compiled core reads; this page is made from it by `make docs`. What is not in the
table is not done: a report is then counted and told as REPORT_IGNORED (`ILLEGAL_TRANSITION`), a request is refused
(`REQUEST_IN_FLIGHT`, `ORDER_NOT_OPEN`).

- A **fill is a fact**: it is booked in every state, also after a cancel or a rejection, and never more than what is
  left of the order (`OVERFILL`), the larger quantity of an amend in flight included, nor the same trade twice
  (`DUPLICATE_TRADE`).
- A late acknowledgement **never revives** an order that is done.
- One amend is in flight at a time; a cancel may overtake it. An order can be cancelled, not amended, before the
  exchange has acknowledged it. One that has filled while an amend to more was in flight is open until that is answered.
- An order counts against the limits from the moment of asking, with the largest quantity that may yet fill: an amend
  in flight at the larger of both quantities, an order with a cancel in flight until the cancel is confirmed.
- A HELD order, such as a stop that has not fired, is **held by the core and not at the exchange**: it survives a
  restart, but watches nothing while the core is down. `zoms order` says so of each. A position that must be protected
  whatever happens to the core needs a [stop that stands at the exchange](#stops-that-stand-at-the-exchange).

`FILL` leaves a rest, `FILL_UP` completes the order: the last fill, or the answer to an amend after it that leaves
nothing. `CANCEL_REJECTED_FIRST` is a rejected cancel while an amend waits for its answer. `REQUEST_AMEND` and
`REQUEST_CANCEL` are what a client or a strategy asks; all else is what the exchange says. `TRIGGERED` is of a stop
that stands there.
"""

PASSING_REASONS, PASSING_FOR_EXITS_REASONS = (
    ", ".join(f"`{reason.name}`" for reason in Reason if table[reason]) for table in (PASSING, PASSING_FOR_EXITS)
)
ORDERS_END = f"""
## Stops that stand at the exchange

A stop or a take-profit with the flag `AT_EXCHANGE` (`zoms order place ... --type stop-market --trigger PRICE
--at-exchange`; `at_exchange` of a client; a flag of a strategy's order) leaves at once with its trigger price. The
exchange watches its last, mark or index price; the core does not. It is LIVE and in no book. When its price has come an
`ORDER_TRIGGERED` event says so: from then on it has the flag no more, and is the market or limit order that it was for.
`has_fired` says which of the two it is; `zoms order` says `at the exchange` while it stands there.

- **It outlives the core** and the machine. A reduce-only one outlives the session too, unless
  [the settings](firm.md#stops-at-the-exchange) have it cancelled at the end; one that can open is cancelled when the
  core or the session ends, unless they keep everything.
- Trailing triggers, and the best bid or ask, are watched by the core alone (`BAD_TRIGGER`).
- Where the gateway keeps none it is rejected (`NO_STOPS_AT_EXCHANGE`), and one whose price has been reached when it
  comes is too (`WOULD_TRIGGER`): leave the flag out, and the core holds the stop. **The core does not hold it by
  itself**: a rejected exit leaves the position without it, and the order that it was to replace is gone. Its bracket's
  target stays, and so does the other order of a group of which one cancels the other: a stop without the flag can be
  placed with the same parent, and belongs to the group as the rejected one did. `POST_ONLY` goes with none
  (`BAD_FLAGS`).
- **One that can open counts** as an open order with all its lots from the moment of asking, at its limit price or its
  trigger's. **A reduce-only one counts as an order, not with lots**: it can do nothing but close, so that a target for
  the same position has room beside it. It needs no margin, and what it closes is cut to the position when it fires. The
  exchange knows the account's position alone, and not what of it is a strategy's.
- Since nobody looks at its price again when it fires, its limit must be within the collar of its trigger, also while
  the core still holds it. Neither the
  book's age nor the collar around the market is asked about.
- It can be cancelled on both sides of its trigger, and amended before it (price, quantity, trigger) where the exchange
  does that (`NO_AMEND`: place another, then cancel it). To less it may be amended in every state of trading.
- A book that is out of step does not cancel it, as it does a strategy's other orders. `cancel-all`, a strategy's halt,
  the end of its entry's bracket, REDUCING where it would open something, and the kill switch do.
- **As an exit of a bracket** it has to be reduce-only. It leaves once the entry is done (filled, or cancelled after a
  part), for what there is to close then. Until then the core holds it and watches its price, so that it never closes
  more than its entry has filled: an entry that works for long is protected by the core alone. One whose price has come
  by then fires in the core instead of being refused there; so does one that replaces another order. It is not resized:
  what the target closes in part, or a fill of the entry that comes after its end, it does not follow. When it fires,
  the bracket's target is cancelled; when the target has filled, the stop is.
- Of a group of which one cancels the other, standing there cancels nothing, firing does.

In paper and in a backtest the exchange model keeps it: it fires on the exchange's own prices, at the exchange's time,
and is matched at that moment.

## Exits that hang on an entry

A bracket's exits are held in the core before its entry can fill. A client's bracket is one request: its exits pass all
checks of an order that is held (form, trigger, expiry, size, leg, trading state, open orders and rate, counted with the
entry) before the entry leaves. When one of them does not, nothing leaves: that exit is refused for its own reason, the
rest of the bracket with `GROUP_REFUSED`. A strategy asks for one order at a time: it sees each refusal as the value of
its call, and holds the order id of the entry that it may have to cancel.

What depends on the market and on the position can only be checked when an exit leaves: the age of the book, the
collar, the notional, limits of position and exposure, funds, self-trade and the user's own rules. Risk then knows the
group and counts only one of its orders, so that an exit which only reduces the position is within its limits.

- Refused for a reason that goes by ({PASSING_REASONS}, or whatever its exchange is sent no new orders for), it stays
  held and is due: it is tried again with each price.
- The same holds for {PASSING_FOR_EXITS_REASONS}, for a stop or a market order that closes something that is held: in a
  fast market it waits for the price to come back into the collar. Own orders that such a stop would trade with are
  cancelled, and it leaves once they are gone; a market order without a trigger waits for them. With nothing to close,
  these reasons end it.
- Refused for any other reason, it ends REJECTED by a HELD_ENDED event with that reason, which is the sign to act on:
  the position is then without that exit. The other exits of the bracket stay.
- Amending an exit, not replacing it, keeps it in its bracket. The quantity that is asked for is from then on the most
  that it closes; the exchange is asked for no more of it than what remains to be closed.
"""

ALGORITHMS_INTRODUCTION = """\
# Execution algorithms

An execution algorithm works an order by child orders. The order itself, the parent, never leaves the core; what its
children fill, it has filled. Each algorithm is a file in `oms/algos/`; its rule and its parameters below are made from
the file by `make docs`.

What holds for all of them:

- **The target is never exceeded.** What a child in flight, or one whose cancel is not confirmed, may yet fill counts as
  filled.
- **Children are on the grid** of the venue and within its smallest and largest order. What is too little for an order
  waits for more.
- **The limit** is the order's price: no child trades beyond it. A market order has none.
- **Pause** cancels the children, **resume** goes on. Time goes on meanwhile.
- **A restart** goes on where it stopped: all that an algorithm knows is in the journal.

## Working by a schedule

TWAP, VWAP, implementation shortfall and POV say at each moment how many lots are due since the start, all in all. So a
slice that was missed, or is less than the venue's smallest order, is in the next one, and the last one brings the
target.

- What is due rests at the touch. What has been due for a while crosses; what is open is never more than what is due. A
  rest of less than the smallest order cannot be moved: it stays where it is until it is filled, or the time is over.
- A market beyond the limit is waited for, and caught up with.
- **Catching up is bounded.** After a pause, a restart or a wait for the limit much may be due at once. No more than
  `max_child_lots` crosses then, and as much again in each quarter of the time between two slices; with the default an
  order that has missed everything takes an eighth of its duration. A small `max_child_lots` leaves an order behind its
  schedule. POV catches up by volume instead, at no more than `max_rate`.
- At its end everything is due, and crosses. It goes on trying for `grace_s`, and then ends with what it has
  (`TIME_OVER`).
- It is looked at when a slice becomes due or must cross, when the touch has moved ahead of a resting child, and when
  the market comes back within the limit: not for each tick.
"""


def algorithms_page() -> str:
    """``docs/algorithms.md``: every algorithm's rule, and its parameters."""
    lines = []
    for path in built_in():
        algorithm = read_algorithm(path)
        rule = (ast.get_docstring(ast.parse(path.read_text())) or "").replace("``", "`")
        lines += ["", f"## {algorithm.name}", "", rule, "", "| parameter | default | from | to | |"]
        lines += ["| --- | ---: | ---: | ---: | --- |"]
        for name, default in algorithm.parameters.items():
            ends = " | ".join(f"{end:g}" for end in algorithm.ranges[name]) if name in algorithm.ranges else " | "
            lines += [f"| `{name}` | {default:g} | {ends} | {PARAMETER_MEANINGS[name]} |"]
    return ALGORITHMS_INTRODUCTION + "\n".join(lines) + "\n"


def orders_page() -> str:
    """``docs/orders.md``: every legal move of an order, open states and closed ones in a table each."""
    lines = []
    closed = [state for state in LEGAL if state not in OPEN_STATES]
    for title, states in (("While it is open", OPEN_STATES), ("When it is done", closed)):
        lines += ["", f"## {title}", "", f"| | {' | '.join(f'in {state.name}' for state in states)} |"]
        lines += [f"| --- {'| --- ' * len(states)}|"]
        for order_input in OrderInput:
            moves = [LEGAL[state].get(order_input) for state in states]
            if any(moves):
                lines += [f"| {order_input.name} | {' | '.join(move.name if move else '' for move in moves)} |"]
    return ORDERS_INTRODUCTION + "\n".join(lines) + "\n" + ORDERS_END


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


PAGES = {
    "reasons.md": reasons_page,
    "command-line.md": command_line_page,
    "orders.md": orders_page,
    "algorithms.md": algorithms_page,
}
"""Generated pages by file name."""


def main() -> int:
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
