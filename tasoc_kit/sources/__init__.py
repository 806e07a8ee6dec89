"""Bytes to lazy Datasets: FFIs, cutouts, target pixel files, star catalogues."""
