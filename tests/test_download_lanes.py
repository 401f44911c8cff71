"""Shards that may run at once on several machines: every URL in one of them, no host in two lanes."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from keepset import manifests
from keepset.download import download, plan, run_shard
from keepset.download.lanes import host_of, in_lane, split_in_lanes
from keepset.stages import Shard
from tests.download_fixtures import hostile_web
from tests.test_download import outcomes, workspace

HOSTS = st.sampled_from([f"h{i}.example" for i in range(9)] + ["H1.example", "h2.example:8080", "[::1]"])


@given(st.lists(st.tuples(HOSTS, st.integers(0, 99)), max_size=60), st.integers(1, 7))
def test_each_url_is_in_one_lane_and_so_is_each_host(found: list[tuple[str, int]], lanes: int) -> None:
    rows = [{"source": "list", "url": f"http://{host}/{n}.jpg"} for host, n in found]
    shards = list(split_in_lanes(Shard(2, 0, len(rows)), rows, lanes))
    assert all(s.lanes == lanes and s.number == 2 * lanes + s.lane for s in shards)
    mine = [[r for r in rows if in_lane(r, s)] for s in shards]
    assert all(mine)
    assert sum(len(m) for m in mine) == len(rows)
    hosts = [{host_of(r) for r in m} for m in mine]
    assert sum(len(h) for h in hosts) == len(set().union(*hosts))


def test_files_of_a_folder_are_spread_over_all_lanes() -> None:
    rows = [{"source": "folder", "url": f"file:///pictures/{i}.jpg"} for i in range(60)]
    assert [s.lane for s in split_in_lanes(Shard(0, 0, 60), rows, 4)] == [0, 1, 2, 3]
    assert in_lane(rows[0], Shard(0, 0, 60))  # no lanes: everything


def test_shards_in_lanes_leave_what_one_process_leaves(tmp_path: Path) -> None:
    with hostile_web() as (base, asked):
        paths = [f"{base}/good/{i}" for i in range(25)] + [f"{base}/nowhere"]
        ws, config = workspace(tmp_path, paths, base, shard_size=1)
        # The server's port is another each time, and with it its lane: the first number that parts the two hosts. All
        # numbers below 27 have a common multiple over 2**32, so one of them does.
        lanes = next(n for n in range(2, 27) if len({s.lane for s in plan(ws, config, lanes=n)}) == 2)
        shards = plan(ws, config, lanes=lanes)
        assert len(shards) > 2
        for shard in reversed(shards):
            run_shard(ws, config, shard)
        assert len(list(ws.journal.glob("download.*.part.sqlite"))) == len({s.lane for s in shards})
        assert plan(ws, config, lanes=lanes) == plan(ws, config) == []  # nothing left, and the parts are settled
        download(ws, config)
        assert not list(ws.journal.glob("*.part*.sqlite*"))
        assert set(asked.values()) == {1}
        assert sorted(outcomes(ws, base).values()) == ["not_found"] + ["ok"] * 25
    assert manifests.read_header(ws.downloads).rows == 27  # with the one of class b
