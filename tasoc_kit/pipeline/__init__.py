"""The pipelines: notebooks, run strictly, in the order of their file in ``notebooks/pipelines``."""
