"""Which shard asks which host. Shards that run at once never share one, so a host's limits hold over all machines."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from keepset.download.target import BadUrl, Target
from keepset.reasons import LOCAL_SOURCES
from keepset.sources import asked_of
from keepset.stages import Shard

__all__ = ["host_of", "in_lane", "split_in_lanes"]


def host_of(row: Mapping[str, Any]) -> str:
    """Whose limits hold for a row of ``urls``, as host or host:port; "" is this machine, for files of a folder."""
    if row["source"] in LOCAL_SOURCES:
        return ""
    try:
        return asked_of(Target.parse(row["url"]).netloc)
    except BadUrl:  # nobody is asked: it is refused with its reason
        return ""


def in_lane(row: Mapping[str, Any], shard: Shard) -> bool:
    """Whether the row is the shard's, if it lies in its range."""
    return not shard.lanes or _lane(row, shard.lanes) == shard.lane


def split_in_lanes(whole: Shard, todo: Iterable[Mapping[str, Any]], lanes: int) -> Iterator[Shard]:
    """A shard a lane that has something to do, all over the same range. Reads ``todo`` until every lane has."""
    found = set[int]()
    for row in todo:
        found.add(_lane(row, lanes))
        if len(found) == lanes:
            break
    for lane in sorted(found):
        yield replace(whole, number=whole.number * lanes + lane, lane=lane, lanes=lanes)


def _lane(row: Mapping[str, Any], lanes: int) -> int:
    """The same on every machine and in every run; a host's rows are all in one lane, files are spread evenly."""
    return zlib.crc32((host_of(row) or str(row["url"])).encode()) % lanes
