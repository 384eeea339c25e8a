"""What ccxt takes its time with, and tests need not: imported before the first exchange is made.

It reads the public authorities anew for each exchange object, and waits a quarter of a second when one is closed, for
connections of its own to end. Here all have one TLS context, as ccxt's own setting allows, and connections are those of
the session that a test gives it, which is closed by itself.
"""

from __future__ import annotations

import ssl

import ccxt.async_support as ccxt
import certifi

ccxt.Exchange.ssl_context = ssl.create_default_context(cafile=certifi.where())
ccxt.Exchange.timeout_on_exit = 0
