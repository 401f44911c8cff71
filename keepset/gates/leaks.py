"""Which images of the data set are alike as of today, although they are on two sides of the split or in two folds.

The data set records each image's group as it was when the image came. Groups grow together later: by newcomers, or by
another search. So what ``images.parquet`` says today is looked at as well. A group there may hang together by
images that are not in use (``split`` leaves out what would tie two sides); what counts is whether those in use are
alike among themselves. That is compared again for the few groups in doubt, except pairs that a reviewer has kept.

Pictures of one origin (page, observation, creator) are looked at as recorded: ``split`` keeps to the record, and what came
before there was one stays where it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keepset import manifests
from keepset.duplicates import hanging_together
from keepset.manifests.rows import DatasetRow
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Straddling", "straddling", "with_todays_groups"]


@dataclass(frozen=True)
class Straddling:
    """Groups of images in use, by sha256, that are on two sides, or in two folds; and origins that are on two sides."""

    sides: tuple[tuple[str, ...], ...]
    folds: tuple[tuple[str, ...], ...]
    origins: tuple[tuple[str, ...], ...]


def with_todays_groups(ws: Workspace, frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` of the data set with a column ``today``: the group that ``images.parquet`` has, else the recorded one."""
    if not ws.images.exists():
        return frame.assign(today=frame.group_id)
    today = manifests.table(ws.images, "images", ("sha256", "group_id")).to_pandas().set_index("sha256").group_id
    return frame.assign(today=frame.sha256.map(today).fillna(frame.group_id))


def straddling(ws: Workspace, frame: pd.DataFrame) -> Straddling:
    """Look at the active rows of a frame ``with_todays_groups``."""
    active = frame[frame.active]
    doubtful = [_several(active, "today", column) for column in ("split", "fold")]
    groups = _together(ws, sorted({*doubtful[0].sha256, *doubtful[1].sha256}), active.set_index("sha256").today)
    origins = _several(active, "origin_id", "split").groupby("origin_id", sort=True).sha256
    return Straddling(
        _apart(active, "split", groups), _apart(active, "fold", groups), tuple(tuple(sorted(o)) for _, o in origins)
    )


def _several(active: pd.DataFrame, group: str, column: str) -> pd.DataFrame:
    """The rows of the groups that have two values of ``column``."""
    shared = active[active[group].duplicated(keep=False) & active[group].notna()]
    values = shared.groupby(group)[column].nunique()
    return shared[shared[group].isin(values[values > 1].index)]


def _apart(active: pd.DataFrame, column: str, today: list[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Groups with two values of ``column``: recorded ones, and those of ``today`` that hang together without others."""
    recorded = _several(active, "group_id", column).groupby("group_id", sort=True).sha256
    found = {tuple(sorted(members)) for _, members in recorded}
    values = dict(zip(active.sha256, active[column], strict=True)) if today else {}
    found |= {g for g in today if len({values[s] for s in g}) > 1}
    return tuple(sorted(found))


def _together(ws: Workspace, shas: list[str], today: pd.Series) -> list[tuple[str, ...]]:
    """The groups among these images alone; a group of today as one if a thumbnail is missing, so that nothing slips by."""
    from keepset.review.memory import recall

    if not shas:
        return []
    past = recall(ws, manifests.each(ws.newest(), DatasetRow, ("sha256", "changed_by")))
    found = []
    for _, members in today[shas].groupby(today[shas], sort=True):
        mine = [str(s) for s in members.index]
        try:
            found += [tuple(sorted(g)) for g in hanging_together(mine, ws.thumb, past.kept_both)]
        except FileNotFoundError:
            found.append(tuple(mine))
    return found
