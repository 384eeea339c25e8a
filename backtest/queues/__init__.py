"""Models of the queue at a price: how far an own order moves forward when the feed shows its level anew."""
