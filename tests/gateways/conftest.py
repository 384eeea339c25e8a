"""What all tests of gateways share."""

from __future__ import annotations

import ssl

import ccxt.async_support as ccxt
import certifi

# ccxt reads the public authorities anew for each exchange object, which takes longer than many a test: they get one
# context, as ccxt's own setting allows. What goes to a sandbox goes through a session with the sandbox's authority.
ccxt.Exchange.ssl_context = ssl.create_default_context(cafile=certifi.where())
