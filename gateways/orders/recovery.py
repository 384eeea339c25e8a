"""Orders as a session before has left them: until what that does not say is known, nothing is traded."""

from __future__ import annotations

from gateways.orders.asking import RETRY_S, Asking
from gateways.orders.cancelling import Cancelling
from gateways.orders.known import UNKNOWN_TERMS, Order, Stage
from gateways.orders.outcomes import REQUEST_ERRORS
from gateways.orders.reconcile import Reconciler
from gateways.orders.tasks import Tasks
from oms.records import OrderState, Reason


class Recovery:
    """Finds out how orders of before stand.

    Attributes
    ----------
    open : set of int
        Those of which it is not known yet, by their ids.
    """

    def __init__(self, asking: Asking, cancelling: Cancelling, reconciler: Reconciler, tasks: Tasks) -> None:
        self._asking = asking
        self._cancelling = cancelling
        self._reconciler = reconciler
        self._tasks = tasks
        self.open: set[int] = set()

    def take(self, order: Order, state: OrderState, is_amending: bool) -> None:
        """Take on an order as the core knows it (``gateways.orders.past.Left``)."""
        order.sent_s = self._asking.clock.now_s()
        is_amending = is_amending or state is OrderState.PENDING_AMEND
        if is_amending:
            order.asked = UNKNOWN_TERMS
        self._asking.known.add(order)
        if order.stage is Stage.PENDING or is_amending:
            self.open.add(order.order_id)
        self._tasks.spawn(self._recover(order, state))

    async def trace_fills(self) -> None:
        """Tell the fills of before from those that are still to come."""
        for order in list(self._asking.known.orders.values()):
            await self._trace(order)

    async def _recover(self, order: Order, state: OrderState) -> None:
        """Ask for a new order; for terms, once the amend can come no more; and cancel again."""
        if state is OrderState.PENDING_NEW:
            await self._asking.resolve_new(order)
        elif state is OrderState.PENDING_CANCEL:
            await self._cancelling.end(order)
        if order.asked == UNKNOWN_TERMS:
            await self._recover_amend(order)
        self.open.discard(order.order_id)
        if not self.open:
            self._asking.wanted.set()

    async def _recover_amend(self, order: Order) -> None:
        """Answer an amend of before, once it can come no more."""
        view = None
        if not order.is_done:
            await self._asking.clock.sleep(self._asking.venue.receive_window_s)
            view = await self._asking.resolver.ask(order)
        if order.asked == UNKNOWN_TERMS:  # else another amend has been asked for meanwhile
            if view is not None:
                terms = (view.px, view.qty)
                order.asked = terms if terms != (order.px, order.qty) else UNKNOWN_TERMS
                self._asking.take(view)
            self._asking.known.reject_amend(order, Reason.NOT_PLACED)

    async def _trace(self, order: Order) -> None:
        while order.untraced_qty and not order.is_done:
            try:
                if not order.venue_order_id:
                    self._asking.known.bind(order, (await self._asking.venue.query(order)).key)
                await self._reconciler.trace(order)
                return
            except REQUEST_ERRORS as error:
                self._asking.note(error)
                await self._asking.clock.sleep(RETRY_S[-1])
