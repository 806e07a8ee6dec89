"""How the pixels of an aperture are chosen, owned and judged."""
