"""What an order's resting children keep of the account's means is set aside while its routes are compared."""

from __future__ import annotations

import pytest

from oms.compiled import JIT
from oms.core.routing import set_resting_aside
from tests.oms.algos.builders import PARENT, AlgoRig
from tests.oms.core.builders import PERPETUAL, SELL
from tests.oms.core.option_rig import CALL, MARK

pytestmark = [pytest.mark.pure, pytest.mark.skipif(JIT, reason="it would be compiled for this test alone")]


@pytest.mark.parametrize("is_said", [True, False])
def test_counted_again_the_children_have_the_margin_that_they_had(is_said: bool) -> None:
    core = AlgoRig("ladder", instruments=(PERPETUAL, CALL))
    core.s["instruments"][CALL.id]["underlying"] = PERPETUAL.id
    core.open_market(0)
    core.open_market(CALL.id, bid=MARK - 1, ask=MARK + 1)
    core.start("ladder", SELL, 10, MARK, fields={"instrument": CALL.id})
    assert len(core.open_children) == 2

    row = int(core.order(PARENT)["parent_row"]) - 1
    wallet = core.s["wallets"][0, core.s["instruments"][CALL.id]["settle_wallet"]]
    before = int(wallet["margin"])
    if not is_said:
        core.s["instruments"][CALL.id]["underlying"] = -1
    set_resting_aside(core.s, row, False)
    assert int(wallet["margin"]) == 0
    set_resting_aside(core.s, row, True)
    assert int(wallet["margin"]) == before > 0
