"""When the frames of a sector are taken, and what the spacecraft does meanwhile.

Sectors 1 and 2 have the cadence numbers, the orbits and the momentum dumps of the real ones;
later sectors follow their mean rhythm. The clock is the linear law of the mission: cadence 4697
starts at TJD 1325.3131006 and every cadence lasts 1800 s (Handberg+ 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tasoc_kit.simulation.settings import SectorSettings

__all__ = ["Schedule", "make_schedule"]

FIRST_CADENCE = 4697
FIRST_START = 1325.3131006045
LONG_CADENCE = 1800
DAY = 86400.0
TDB_MINUS_UTC = 69.184

_ORBITS = {1: ((4697, 634), (5386, 648)), 2: ((6079, 626), (6775, 619))}
_SECTOR_STEP, _ORBIT_FRAMES, _ORBIT_STEP = 1315, 622, 692
_DUMP_EVERY, _DUMP_FIRST = 120, 121
DESAT, COARSE_POINT = 32, 4


@dataclass(frozen=True)
class Schedule:
    """The cadences of one sector; arrays run over all of them, not only over the frames made."""

    cadenceno: np.ndarray
    """Cadence numbers, int32."""
    start: np.ndarray
    """Start of each exposure at the spacecraft, TJD (TDB), days."""
    stop: np.ndarray
    """End of each exposure at the spacecraft, TJD (TDB), days."""
    quality: np.ndarray
    """TESS quality bits, int32."""
    phase: np.ndarray
    """Fraction of the sector that has passed at mid-exposure, 0 to 1."""
    since_perigee: np.ndarray
    """Days since the orbit's first exposure."""
    to_perigee: np.ndarray
    """Days until the orbit's last exposure."""
    dump: np.ndarray
    """True where wheels are unloaded during the exposure."""

    @property
    def middle(self) -> np.ndarray:
        """Mid-exposure at the spacecraft, TJD (TDB), days."""
        return 0.5 * (self.start + self.stop)


def orbits(sector: int) -> tuple[tuple[int, int], ...]:
    """Return (first 30-minute cadence, number of cadences) of both orbits of a sector."""
    if sector in _ORBITS:
        return _ORBITS[sector]
    first = 6079 + (sector - 2) * _SECTOR_STEP
    return ((first, _ORBIT_FRAMES), (first + _ORBIT_STEP, _ORBIT_FRAMES))


@lru_cache(maxsize=8)
def _whole_sector(sector: int, cadence: int) -> Schedule:
    split = LONG_CADENCE // cadence
    numbers, orbit, place = [], [], []
    for i, (first, count) in enumerate(orbits(sector)):
        index = np.arange(count * split)
        numbers.append(first * split - split // 2 + index)
        orbit.append(np.full(len(index), i))
        place.append(index)
    cadenceno, which, index = (np.concatenate(part) for part in (numbers, orbit, place))
    start = FIRST_START + (cadenceno - (FIRST_CADENCE * split - split // 2)) * (cadence / DAY)
    stop = start + cadence / DAY
    days = index * (cadence / DAY)
    last = np.array([days[which == i].max() for i in (0, 1)])
    long_place, part = np.divmod(index, split)
    dump = (long_place % _DUMP_EVERY == _DUMP_FIRST % _DUMP_EVERY) & (long_place > 1) & (part == split // 2)
    before = np.roll(dump, -1) & (long_place // _DUMP_EVERY % 2 == 0)
    quality = np.where(dump, DESAT | COARSE_POINT, np.where(before, DESAT, 0))
    return Schedule(
        cadenceno=cadenceno.astype(np.int32),
        start=start,
        stop=stop,
        quality=quality.astype(np.int32),
        phase=(0.5 * (start + stop) - start[0]) / (stop[-1] - start[0]),
        since_perigee=days,
        to_perigee=last[which] - days,
        dump=dump,
    )


def make_schedule(settings: SectorSettings) -> tuple[Schedule, np.ndarray]:
    """
    Return the whole sector's schedule and the places in it of the frames that are made.

    Asking for more frames than the sector holds makes all there are.
    """
    schedule = _whole_sector(settings.sector, settings.cadence)
    places = settings.first + settings.every * np.arange(settings.frames)
    return schedule, places[places < len(schedule.cadenceno)]
