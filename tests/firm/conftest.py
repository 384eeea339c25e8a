"""What all tests of sessions with real orders share."""

import tests.quick_ccxt  # noqa: F401
