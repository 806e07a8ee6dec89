"""Simulated TESS sectors with known truth, written as real full-frame images.

``write_sector`` makes the files that the demo, the tests and the benchmarks read;
``Sector`` renders the same frames in memory, with the exact sky of each.
"""

from __future__ import annotations

from tasoc_kit.simulation.sector import Frame, Sector
from tasoc_kit.simulation.settings import SectorSettings
from tasoc_kit.simulation.write import open_truth, read_sector, write_sector

__all__ = ["Frame", "Sector", "SectorSettings", "open_truth", "read_sector", "write_sector"]
