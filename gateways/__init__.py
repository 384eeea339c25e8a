"""Gateways: one file or folder per venue, and the replay of recorded streams."""
