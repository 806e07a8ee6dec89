"""From light curves to what a star is: spectra, oscillations, rotation, classes."""
