"""Random sessions in which everything happens that an order management system has to survive, each from one seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np

from oms.core.state import State, define_account, new_state
from oms.records import (
    CASH_SCALE,
    CommandKind,
    Contingency,
    Liquidity,
    OrderFlag,
    OrderState,
    OrderType,
    Reason,
    ReportKind,
    TickKind,
    TimeInForce,
    TradingState,
    TrailUnit,
    Trigger,
    TriggerSource,
)
from oms.recovery import OPEN_STATES, carry_definitions
from strategies.loader import define_algorithm
from tests.oms.algos.builders import file_of, loaded, terms
from tests.oms.core.builders import (
    BID_PX,
    MS,
    NO_LIMITS,
    SECOND,
    Records,
    amend,
    cancel,
    client_id,
    command,
    depth,
    fill,
    new_order,
    report,
    snapshot,
    tick,
    time_tick,
    trade,
)
from tests.oms.journalled import SIDES, JournalledRig

SAMPLES: Final = Path(__file__).parent.parent / "strategies" / "samples"
OPEN: Final = [*OPEN_STATES, OrderState.HELD]
ALGORITHMS: Final = ("best-limit", "greedy")
HEDGING: Final = 1
"""The account that keeps long and short positions apart, each with its own margin, first in, first out."""


class RandomSession:
    """Drives a journalled core: prices wander, orders of every kind are placed, filled, changed, let go and killed.

    Parameters
    ----------
    folder : Path
        The journal's.
    seed : int
    options
        Of ``JournalledRig``.

    Attributes
    ----------
    begun : array of STATE, shape (1,)
        Everything that is defined at the start, as a recovery begins with it.
    """

    def __init__(self, folder: Path, seed: int, **options: Any) -> None:
        self.random = Random(seed)
        self.rig = JournalledRig(folder, **options)
        self.counter = 0
        self.trade_id = 0
        self.px = BID_PX
        self._define()
        self.begun: State = new_state()
        carry_definitions(self.begun, self.rig.st)
        self._turns: tuple[tuple[int, Callable[[], None]], ...] = (
            (8, self.move),
            (4, self.place),
            (3, self.place_trigger),
            (2, self.place_bracket),
            (2, self.place_pair),
            (2, self.protect),
            (1, self.replace),
            (1, self.place_timed),
            (2, self.work),
            (3, self.change),
            (8, self.answer),
            (2, self.adjust),
            (1, self.operate),
        )

    def _define(self) -> None:
        rig = self.rig
        define_account(rig.st, HEDGING, TradingState.ACTIVE)
        for name in ("hedging", "isolated", "fifo"):
            rig.s["accounts"][name][HEDGING] = 1
        rig.s["accounts"]["resets"][:2, :3] = rig.now + SECOND * np.array([2, 5, 9])
        for instrument in (0, 1, 2):
            for name, value in {"defined": 1, **NO_LIMITS}.items():
                rig.s["limits"][HEDGING, instrument][name] = value
        rig.s["scopes"]["max_daily_loss"][0] = 40 * CASH_SCALE
        rig.s["scopes"]["max_drawdown"][HEDGING] = 60 * CASH_SCALE
        rig.add(SAMPLES / "chaser.py")
        rig.add(SAMPLES / "probe.py")
        for name in ALGORITHMS:
            define_algorithm(rig.st, loaded(file_of(name)))

    def run(self, turns: int) -> None:
        """Take ``turns`` turns of every kind."""
        for account in (0, HEDGING):
            self.rig.commands(self.state_command(TradingState.ACTIVE, account))
        self.open_books()
        weights = [weight for weight, _ in self._turns]
        for _ in range(turns):
            self.random.choices(self._turns, weights)[0][1]()

    def state_command(self, state: TradingState, account: int, strategy: int = -1) -> Records:
        return command(CommandKind.SET_TRADING_STATE, 0, instrument=-1, account=account, value=state, strategy=strategy)

    def open_books(self) -> None:
        for i in (0, 1, 2):
            levels = {self.px - 1 - k: 40 for k in range(5)}, {self.px + 1 + k: 40 for k in range(5)}
            self.rig.ticks(snapshot(i, *levels))

    # ---- the market

    def move(self) -> None:
        """Move the price a little; now and then time passes, or a book goes stale."""
        self.px += self.random.randint(-8, 8)
        aggressor = self.random.choice(SIDES)
        self.open_books()
        self.rig.ticks(
            trade(aggressor, self.px, self.random.randint(1, 60)),
            tick(TickKind.MARK, px=self.px + 1, px_2=self.px - 1),
            depth(aggressor, self.px - aggressor, self.random.randint(0, 50)),
        )
        chance = self.random.random()
        if chance < 0.2:
            self.rig.ticks(time_tick(self.rig.now + self.random.randint(1, 700) * MS))
        elif chance < 0.25:
            self.rig.ticks(tick(TickKind.STALE, instrument=self.random.choice((0, 1))))
        elif chance < 0.35:
            self.rig.ticks(tick(TickKind.HEARTBEAT, instrument=-1))

    # ---- requests

    def next_id(self) -> int:
        self.counter += 1
        return client_id(self.counter)

    def terms(self, side: int) -> dict[str, Any]:
        """Instrument, account and quantity of an order; the leg where the account has two."""
        account = self.random.choice((0, 0, HEDGING))
        short = account == HEDGING and self.random.random() < 0.5
        flags = OrderFlag.SHORT_LEG if short else 0
        if self.random.random() < 0.1:
            flags |= OrderFlag.REDUCE_ONLY
        return {
            "account": account,
            "flags": flags,
            "instrument": self.random.choice((0, 0, 0, 1)),
            "qty": self.random.randint(2, 30),
            "request_id": self.counter,
            "side": side,
        }

    def place(self) -> None:
        side = self.random.choice(SIDES)
        if self.random.random() < 0.3:
            kind = {"px": 0, "order_type": OrderType.MARKET, "time_in_force": TimeInForce.IOC}
        else:
            kind = {"px": self.px + self.random.randint(-9, 9)}
        self.rig.commands(new_order(self.next_id(), **{**self.terms(side), **kind}))

    def trigger(self, side: int) -> dict[str, Any]:
        """A trigger near the price, with a market or a limit order behind it."""
        kind = self.random.choice((Trigger.STOP, Trigger.TAKE_PROFIT, Trigger.TRAILING))
        away = self.random.randint(1, 12) * side * (-1 if kind == Trigger.TAKE_PROFIT else 1)
        fields: dict[str, Any] = {
            "trigger": kind,
            "trigger_source": self.random.choice(list(TriggerSource)),
            "trigger_px": self.px + away,
        }
        if kind == Trigger.TRAILING:
            fields |= {"trail": self.random.randint(2, 10), "trail_unit": TrailUnit.TICKS}
            fields["trigger_px"] = self.random.choice((0, fields["trigger_px"]))
        if self.random.random() < 0.6:
            return {**fields, "px": 0, "order_type": OrderType.MARKET, "time_in_force": TimeInForce.GTC}
        return {**fields, "px": fields["trigger_px"] or self.px}

    def somewhere(self, fields: dict[str, Any]) -> dict[str, Any]:
        """An order with a trigger that the core holds, or that stands at the exchange."""
        is_fixed = fields["trigger"] != Trigger.TRAILING and fields["trigger_source"] != TriggerSource.BID_ASK
        if not is_fixed or self.random.random() < 0.6:
            return fields
        more = OrderFlag.REDUCE_ONLY if fields.get("contingency") == Contingency.OTO else 0
        return {**fields, "flags": fields["flags"] & ~OrderFlag.POST_ONLY | OrderFlag.AT_EXCHANGE | more}

    def place_trigger(self) -> None:
        side = self.random.choice(SIDES)
        fields = self.somewhere({**self.terms(side), **self.trigger(side)})
        self.rig.commands(new_order(self.next_id(), **fields))

    def place_bracket(self) -> None:
        """An entry with a target and a stop."""
        side = self.random.choice(SIDES)
        terms = self.terms(side)
        entry = self.next_id()
        rows = [new_order(entry, **{**terms, "px": self.px + side * self.random.randint(-2, 4)})]
        exits = {**terms, "side": -side, "parent_id": entry, "contingency": Contingency.OTO}
        rows.append(new_order(self.next_id(), **{**exits, "px": self.px + side * self.random.randint(2, 9)}))
        rows.append(new_order(self.next_id(), **self.somewhere({**exits, **self.trigger(-side)})))
        self.rig.commands(*rows)

    def place_pair(self) -> None:
        """A limit order and one with a trigger: one cancels the other."""
        side = self.random.choice(SIDES)
        terms = {**self.terms(side), "contingency": Contingency.OCO}
        first = self.next_id()
        self.rig.commands(
            new_order(first, **{**terms, "px": self.px - side * self.random.randint(1, 6)}),
            new_order(self.next_id(), **self.somewhere({**terms, **self.trigger(side), "parent_id": first})),
        )

    def protect(self) -> None:
        """A target at rest and a stop, no group, that each close all of a position."""
        account, instrument, leg = (
            self.random.choice((0, HEDGING)),
            self.random.choice((0, 1)),
            self.random.choice((0, 1)),
        )
        qty = int(self.rig.s["positions"]["qty"][account, instrument, leg])
        if qty == 0:
            return
        side = -1 if qty > 0 else 1
        flags = OrderFlag.REDUCE_ONLY | (OrderFlag.SHORT_LEG if leg else 0)
        terms = {"account": account, "instrument": instrument, "flags": flags, "qty": abs(qty), "side": side}
        self.rig.commands(
            new_order(self.next_id(), **{**terms, "px": self.px - side * self.random.randint(3, 12)}),
            new_order(self.next_id(), **self.somewhere({**self.trigger(side), **terms})),
        )

    def replace(self) -> None:
        order = self.some_order()
        if order is None:
            return
        copied = {name: int(order[name]) for name in ("side", "account", "flags", "instrument")}
        self.rig.commands(
            new_order(
                self.next_id(),
                px=self.px - copied["side"] * self.random.randint(1, 5),
                qty=self.random.randint(2, 30),
                parent_id=int(order["order_id"]),
                contingency=Contingency.REPLACE,
                **copied,
            )
        )

    def place_timed(self) -> None:
        side = self.random.choice(SIDES)
        timed: dict[str, Any] = {"px": self.px - side * 5, "time_in_force": TimeInForce.DAY}
        if self.random.random() < 0.7:
            timed |= {"time_in_force": TimeInForce.GTD, "expire_ts": self.rig.now + self.random.randint(5, 900) * MS}
        trigger = self.trigger(side) if self.random.random() < 0.4 else {}
        self.rig.commands(new_order(self.next_id(), **{**self.terms(side), **trigger, **timed}))

    def work(self) -> None:
        """An order for an algorithm to work; or one that is worked rests, or goes on."""
        rows = self.rig.s["orders"][: self.rig.s["orders_used"]]
        worked = rows["order_id"][rows["parent_row"] > 0].tolist()
        if worked and self.random.random() < 0.4:
            asked = self.random.choice((CommandKind.PAUSE, CommandKind.RESUME, CommandKind.RESUME))
            self.rig.commands(command(asked, self.random.choice(worked), request_id=9_000 + self.counter))
            return
        order_id = self.next_id()
        side = self.random.choice(SIDES)
        self.rig.terms(terms(order_id, self.random.choice(ALGORITHMS)))
        kind: dict[str, int] = {"px": 0, "order_type": OrderType.MARKET, "time_in_force": TimeInForce.GTC}
        if self.random.random() < 0.6:
            kind = {"px": self.px + side * self.random.randint(-3, 9)}
        self.rig.commands(new_order(order_id, **{**self.terms(side), **kind, "trigger": Trigger.ALGORITHM}))

    def some_order(self) -> Any:
        """An open order; None when there is none."""
        used = self.rig.s["orders"][: self.rig.s["orders_used"]]
        found = used[np.isin(used["state"], OPEN)]
        found = found if len(found) else used
        return self.random.choice(list(found)) if len(found) else None

    def change(self) -> None:
        """Amend or cancel an order, or ask for something that cannot be."""
        order = self.some_order()
        if order is None:
            return
        order_id = int(order["order_id"])
        fields = {name: int(order[name]) for name in ("instrument", "account")} | {"request_id": 7_000 + self.counter}
        if self.random.random() < 0.3:
            self.rig.commands(cancel(order_id, **fields))
            return
        waits = order["trigger"] and (order["state"] == OrderState.HELD or order["flags"] & OrderFlag.AT_EXCHANGE)
        if waits and self.random.random() < 0.5:
            fields["trigger_px"] = self.px + self.random.randint(-9, 9)
        px = self.px + self.random.randint(-9, 9) if order["px"] else 0
        self.rig.commands(amend(order_id, px, self.random.choice((0, self.random.randint(2, 40))), **fields))

    # ---- reports

    def answer(self) -> None:
        """What an exchange may say of an order, and some things that it may not."""
        order = self.some_order()
        if order is None or not self.rig.s["external"]:
            return
        order_id, state = int(order["order_id"]), OrderState(int(order["state"]))
        likely = {
            OrderState.PENDING_NEW: self.random.choices((ReportKind.ACCEPTED, ReportKind.REJECTED), (9, 1))[0],
            OrderState.PENDING_AMEND: ReportKind.AMENDED,
            OrderState.PENDING_CANCEL: self.random.choice((ReportKind.CANCELLED, ReportKind.CANCEL_REJECTED)),
            OrderState.LIVE: ReportKind.FILL,
        }
        kind = likely.get(state, ReportKind.FILL)
        stands = bool(order["flags"] & OrderFlag.AT_EXCHANGE)
        if stands and state == OrderState.LIVE and self.random.random() < 0.8:
            kind = ReportKind.TRIGGERED
        if self.random.random() < 0.1:
            kind = self.random.choice(list(ReportKind)[:8])
        if kind == ReportKind.FILL:
            self.fill(order)
            return
        amended = {"px": int(order["pending_px"]), "qty": int(order["pending_qty"])}
        if stands:
            amended["value"] = int(order["trigger_px"]) + self.random.randint(0, 3)
        self.rig.reports(report(kind, order_id, **(amended if kind == ReportKind.AMENDED else {})))

    def fill(self, order: Any) -> None:
        """A fill of a part or of all, with the venue's fee or without; now and then one that was told before."""
        self.trade_id += self.random.random() < 0.95
        leaves = max(int(order["qty"] - order["filled_qty"]), 1)
        known = self.random.random() < 0.3
        self.rig.reports(
            fill(
                int(order["order_id"]),
                self.random.choice((leaves, self.random.randint(1, leaves))),
                int(order["px"]) or self.px,
                side=int(order["side"]),
                trade_id=self.trade_id,
                liquidity=self.random.choice(list(Liquidity)[1:]),
                fee_known=int(known),
                fee=self.random.randint(-CASH_SCALE, CASH_SCALE) if known else 0,
            )
        )

    def adjust(self) -> None:
        """An adjustment entry: most can be applied."""
        kind = self.random.choice(list(ReportKind)[8:])
        account = self.random.choice((0, HEDGING))
        side = self.random.choice(SIDES)
        fields: dict[str, Any] = {
            "account": account,
            "instrument": self.random.choice((0, 0, 1)),
            "strategy": -1,
            "px": self.px,
            "fee": self.random.randint(-CASH_SCALE, CASH_SCALE),
            "flags": OrderFlag.SHORT_LEG if account == HEDGING and side < 0 else 0,
        }
        order_id = 0
        if kind == ReportKind.POSITION:
            fields["qty"] = side * self.random.randint(0, 20)
        elif kind == ReportKind.BALANCE:
            fields |= {"value": self.random.randint(0, 3), "fee": 2**60 + self.random.randint(0, CASH_SCALE)}
        elif kind == ReportKind.ORDER_ENTRY:
            fields["reason"] = self.random.choice((0, 0, 0, Reason.NOT_RECONCILED))
        elif kind == ReportKind.ADOPTED:
            order_id = self.next_id()
            fields |= {"side": side, "qty": 20, "leaves_qty": self.random.randint(1, 20)}
            fields |= {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC}
        self.rig.reports(report(kind, order_id, **fields))

    # ---- operators

    def operate(self) -> None:
        """Change a trading state, cancel all, or pull the kill switch; afterwards trading mostly goes on."""
        account = self.random.choice((0, HEDGING))
        chance = self.random.random()
        if chance < 0.25:
            self.rig.commands(
                command(CommandKind.KILL, 0, instrument=-1, account=account, value=self.random.randint(0, 1))
            )
            for _ in range(self.random.randint(0, 5)):
                self.move()
                self.answer()
        elif chance < 0.5:
            self.rig.commands(command(CommandKind.CANCEL_ALL, 0, instrument=-1, account=self.random.choice((-1, 0, 1))))
        elif chance < 0.6:
            self.rig.commands(self.state_command(self.random.choice(list(TradingState)), 0, self.random.randint(0, 1)))
        else:
            self.rig.commands(self.state_command(self.random.choice(list(TradingState)), account))
        if self.random.random() < 0.8:
            self.rig.commands(self.state_command(TradingState.ACTIVE, account))
