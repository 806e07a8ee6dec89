"""The effective PSF region by region, the stars it serves, its shape in numbers."""
