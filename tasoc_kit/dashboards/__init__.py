"""Pages on which people look at what came out; ``tasoc dashboard`` serves them."""
