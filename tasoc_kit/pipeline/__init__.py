"""The pipeline: notebooks, run strictly, in the order of ``notebooks/pipelines.yaml``."""
