"""Whether the numbers of a CCD can be believed: bits of every star, checks, a verdict."""
