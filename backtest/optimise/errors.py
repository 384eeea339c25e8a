"""The one kind of error of the optimiser."""


class OptimiseError(ValueError):
    """A search that cannot be made as asked; the message names what, its value and the remedy."""
