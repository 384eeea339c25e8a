"""The strategy API and the strategies that ship with zoms."""
