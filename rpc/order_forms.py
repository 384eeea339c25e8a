"""The order types that clients know, as the core knows them: what leaves, and what it waits for."""

from __future__ import annotations

from typing import Final, NamedTuple

from oms.records import OrderType, TimeInForce, Trigger
from rpc.entities import OrderTypeName, TimeInForceName


class OrderForm(NamedTuple):
    """What an order type is made of."""

    order_type: OrderType
    trigger: Trigger

    @property
    def has_price(self) -> bool:
        return self.order_type == OrderType.LIMIT

    @property
    def waits(self) -> bool:
        """Whether a price lets it go."""
        return self.trigger not in (Trigger.NONE, Trigger.ALGORITHM)

    @property
    def is_worked(self) -> bool:
        """Whether an algorithm works it."""
        return self.trigger == Trigger.ALGORITHM

    @property
    def default_time_in_force(self) -> TimeInForceName:
        """Until cancelled for what rests, waits or is worked; a market order is done at once."""
        return "gtc" if self.has_price or self.trigger != Trigger.NONE else "ioc"

    @property
    def trails(self) -> bool:
        return self.trigger == Trigger.TRAILING


FORMS: Final[dict[OrderTypeName, OrderForm]] = {
    "limit": OrderForm(OrderType.LIMIT, Trigger.NONE),
    "market": OrderForm(OrderType.MARKET, Trigger.NONE),
    "stop_limit": OrderForm(OrderType.LIMIT, Trigger.STOP),
    "stop_market": OrderForm(OrderType.MARKET, Trigger.STOP),
    "take_profit_limit": OrderForm(OrderType.LIMIT, Trigger.TAKE_PROFIT),
    "take_profit_market": OrderForm(OrderType.MARKET, Trigger.TAKE_PROFIT),
    "trailing_stop_limit": OrderForm(OrderType.LIMIT, Trigger.TRAILING),
    "trailing_stop_market": OrderForm(OrderType.MARKET, Trigger.TRAILING),
    "algorithm_limit": OrderForm(OrderType.LIMIT, Trigger.ALGORITHM),
    "algorithm_market": OrderForm(OrderType.MARKET, Trigger.ALGORITHM),
}

NAMES: Final = {(int(form.order_type), int(form.trigger)): name for name, form in FORMS.items()}
"""The names of forms, by the core's order type and trigger."""

TIMES_IN_FORCE: Final[dict[TimeInForceName, int]] = {
    "gtc": int(TimeInForce.GTC),
    "ioc": int(TimeInForce.IOC),
    "fok": int(TimeInForce.FOK),
    "gtd": int(TimeInForce.GTD),
    "day": int(TimeInForce.DAY),
}
