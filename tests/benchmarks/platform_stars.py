"""How soon a person has what was asked of a star: CPU seconds of a list, a search, a line that is dragged.

20,000 stars are searched by a part of their number and sorted; one star is sought in 300 CCDs; and a νmax is
fitted again where a line of the spectrum was dragged to.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from claims import Claim, Row

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import dashboard_data as data  # noqa: E402  of the tests

CLAIMS = {
    "list_stars_cpu_s": Claim("s", most=0.1),
    "find_star_cpu_s": Claim("s", most=1.0),
    "drag_line_cpu_s": Claim("s", most=0.1),
}
TURNS, CCDS, LISTED = 5, 300, 20_000


def _cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def list_stars(curves: xr.Dataset) -> float:
    """Return the CPU seconds in which a long list is searched and sorted, the median of some turns."""
    from tasoc_kit.dashboards.star_list import Wanted, add_noise, make_star_list, select_stars
    from tasoc_kit.plots import measure_noise

    stars = add_noise(make_star_list(curves), measure_noise(curves))
    many = pd.concat([stars] * (LISTED // len(stars) + 1), ignore_index=True)
    wanted = Wanted(search="6604", order="ptp")
    return float(np.median([_cpu(lambda: select_stars(many, wanted)) for _ in range(TURNS)]))


def seek_star(curves: xr.Dataset) -> float:
    """Return the CPU seconds in which a star is found in the light curves of many CCDs, the first time."""
    from tasoc_kit import store
    from tasoc_kit.exports.star import find_star

    store.write_product(curves)
    made = store.find_product("light_curves", sector=1)
    for number in range(CCDS):
        unit = f"s{100 + number // 16:04d}-{1 + number // 4 % 4}-{1 + number % 4}"
        place = Path(made.store) / "light_curves" / unit / f"{number:012x}"
        shutil.copytree(made.url, place, copy_function=os.link)
    found: list[object] = []
    took = _cpu(lambda: found.extend(find_star(data.FIRST_TIC + 1)))
    return took if len(found) == CCDS + 1 else float("nan")


def drag_line() -> float:
    """Return the CPU seconds in which a giant is fitted again about a νmax that a person chose."""
    from tasoc_kit.seismology.chosen_numax import chosen_trials, oscillations_at

    spectra, _ = data.make_giants()
    trials = chosen_trials(spectra)
    places = np.linspace(30, 200, TURNS)
    return float(np.median([_cpu(lambda at=at: oscillations_at(spectra, 0, at, trials)) for at in places]))


def rows(scratch: Path) -> list[Row]:
    """Measure each claim, in a store of its own."""
    from tasoc_kit.config import settings

    os.environ |= {"TASOC_STORE": str(scratch / "store"), "TASOC_DATABASE": ""}
    settings.cache_clear()
    curves = data.make_light_curves(data.make_apertures(data.make_reference(data.make_cube())))
    values = {
        "list_stars_cpu_s": list_stars(curves),
        "find_star_cpu_s": seek_star(curves),
        "drag_line_cpu_s": drag_line(),
    }
    return [Row(name, values[name], claim) for name, claim in CLAIMS.items()]
