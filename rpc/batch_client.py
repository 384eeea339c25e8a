"""A client that places many orders at a time, and does not wait for each: for programs that place thousands a second.

>>> with BatchClient("my-desk") as client:                                      # doctest: +SKIP
...     btc = client.instruments()[0]
...     ids = [f"run-7-{number}" for number in range(100)]
...     client.place_batch(new_orders(ids, instrument=btc.id, side=1, px=618_000, qty=1))
...     while client.outstanding:
...         for answer in client.answers():
...             print(answer["request_id"], BatchOutcome(answer["outcome"]).name)

The orders pass the same ledger, risk and journal as those of ``place``, and are answered in the same case: when the
core has taken them, journalled, or has refused them. A ``client_order_id`` stands for one order, whichever way it
comes.
"""

from __future__ import annotations

import time

import numpy as np
import zmq

from rpc.batches import ANSWER, MOST_ORDERS, BatchKind, Records, decode_batch, encode_batch
from rpc.client import Client, ms_until, no_connection
from rpc.protocol import DEFAULT_ENDPOINT, DEFAULT_TIMEOUT_S


class BatchClient(Client):
    """A ``Client`` with orders in batches.

    Attributes
    ----------
    outstanding : int
        Orders of batches that have no answer yet.
    """

    def __init__(self, name: str, endpoint: str = DEFAULT_ENDPOINT, *, timeout: float = DEFAULT_TIMEOUT_S) -> None:
        super().__init__(name, endpoint, timeout=timeout)
        self.outstanding = 0

    def place_batch(self, orders: Records) -> None:
        """Send orders without waiting; each is given its ``request_id``.

        Parameters
        ----------
        orders : array of NEW_ORDER
            See ``rpc.batches.new_orders``.

        Raises
        ------
        RpcTimeoutError
            When there is no server; orders whose batch had been sent by then are counted in ``outstanding``.
        """
        first = self.protocol.reserve(len(orders))
        orders["request_id"] = np.arange(first, first + len(orders))
        for start in range(0, len(orders), MOST_ORDERS):
            part = orders[start : start + MOST_ORDERS]
            try:
                self._socket.setsockopt(zmq.SNDTIMEO, int(self.protocol.timeout * 1000))
                self._socket.send(encode_batch(BatchKind.ORDERS, part))
            except zmq.Again:
                raise no_connection(self.endpoint, self.protocol.timeout) from None
            self.outstanding += len(part)

    def answers(self, timeout: float | None = None) -> Records:
        """The next answers to orders of batches, those that came together.

        Parameters
        ----------
        timeout : float, optional
            How long to wait for the first, s.

        Returns
        -------
        array of ANSWER
            Empty when there are none in time.
        """
        deadline = time.monotonic() + (self.protocol.timeout if timeout is None else timeout)
        while (payload := self.protocol.next_batch()) is None:
            try:
                self._socket.setsockopt(zmq.RCVTIMEO, ms_until(deadline))
                message = self._socket.recv()
            except zmq.Again:
                return np.zeros(0, ANSWER)
            reply = self.protocol.take(message)
            self.protocol.late_replies += reply is not None
        answers = decode_batch(payload, BatchKind.ANSWERS)
        self.outstanding -= len(answers)
        return answers
