"""What all tests of gateways share."""

import tests.quick_ccxt  # noqa: F401
