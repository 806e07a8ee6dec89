"""Known errors of the time stamps of early data releases, and what puts them right.

Until release 26, and in the first issues of releases 27 and 29, the mission's times are 2 s too late
for an error in the count of exposures, and neither the order in which cameras and CCDs are read nor
20 ms of readout is in them. Sources: TESS Data Release Notes 25 (sector 18), section 3.3; memos on
the revision of releases 27 and 29; the numbers are those of the TASOC pipeline (Handberg+ 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["StampShift", "stamp_shift"]

LAST_WRONG_RELEASE = 26
FIRST_ISSUES = {
    27: ("spoc-4.0.14-20200108", "spoc-4.0.15-20200114", "spoc-4.0.17-20200130"),
    29: ("spoc-4.0.17-20200130", "spoc-4.0.20-20200220", "spoc-4.0.21-20200227"),
}
"""Processing versions (PROCVER) whose times are wrong, of releases that were issued twice."""
LAST_STAGGERED_RELEASE = 27
"""Last release in which the frames, but not the target files, also lack the order of the readout."""
CAMERAS = {1: 0.0, 2: 1.5, 3: 0.5, 4: 1.0}
CCDS = {1: 0.0, 2: 0.02, 3: 0.04, 4: 0.06}
"""Seconds by which cameras and CCDs are read later than the first."""
START, MIDDLE, STOP = -2.0 + 0.031, -2.0 + 0.021, -2.0 + 0.011


@dataclass(frozen=True)
class StampShift:
    """Seconds to add to the times of one exposure, and why."""

    start: float
    middle: float
    stop: float
    reason: str


def stamp_shift(
    data_rel: int, procver: str, camera: int, ccd: int, product: Literal["ffi", "cutout", "target"] = "ffi"
) -> StampShift:
    """
    Return what the time stamps of a file lack.

    Parameters
    ----------
    data_rel, procver
        Keywords DATA_REL and PROCVER. Files that the mission's pipeline (``spoc-…``) did not make
        are right as they are; a cutout has the times of its frames.
    camera, ccd
        Where the file is from.
    product
        ``ffi``, a ``cutout`` of FFIs, or a ``target`` file, whose times are those of its CCD's turn.
    """
    if product != "cutout" and not procver.startswith("spoc-"):
        why = f"not made by SPOC ({procver})" if procver else "the processing version is not known"
        return StampShift(0.0, 0.0, 0.0, f"as stated: {why}")
    if product == "cutout" and data_rel in FIRST_ISSUES:
        return StampShift(
            0.0, 0.0, 0.0, f"as stated: a cutout does not say which issue of release {data_rel}"
        )
    if data_rel > LAST_WRONG_RELEASE and procver not in FIRST_ISSUES.get(data_rel, ()):
        return StampShift(0.0, 0.0, 0.0, f"as stated: right in release {data_rel}")
    late = 0.0
    if product != "target" and data_rel <= LAST_STAGGERED_RELEASE:
        late = CAMERAS.get(camera, 0.0) + CCDS.get(ccd, 0.0)
    return StampShift(
        late + START,
        late + MIDDLE,
        late + STOP,
        f"shifted: known error of release {data_rel} {procver}".strip(),
    )
