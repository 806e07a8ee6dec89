"""Arrays in, arrays out: what more than one room computes."""
