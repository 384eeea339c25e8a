"""The RPC layer: messages, server, and the sync and async clients."""
