from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from keepset.download.answers import Trouble, check_status
from keepset.download.lanes import host_of
from keepset.download.turns import Turns


def serve(
    items: list[tuple[str, int]], *, per_host: int, rate: float, fail_once: bool = False, busy_s: float = 0.001
) -> tuple[list[tuple[str, int, float]], Counter[str]]:
    """Take everything; each item keeps its host busy for a moment. Returns what was taken when, and the most in flight."""
    taken: list[tuple[str, int, float]] = []
    now: Counter[str] = Counter()
    most: Counter[str] = Counter()
    seen: set[tuple[str, int]] = set()

    async def one(turns: Turns[int], host: str, item: int) -> None:
        await asyncio.sleep(busy_s)
        now[host] -= 1
        if fail_once and (host, item) not in seen:
            seen.add((host, item))
            turns.again(host, item, 0.005)
        else:
            turns.done(host)

    async def run() -> None:
        turns = Turns(iter(items), per_host=per_host, rate=rate)
        async with asyncio.TaskGroup() as group:
            while (turn := await turns.take()) is not None:
                host, item = turn
                now[host] += 1
                most[host] = max(most[host], now[host])
                taken.append((host, item, time.monotonic()))
                group.create_task(one(turns, host, item))

    asyncio.run(run())
    return taken, most


def test_everything_has_its_turn_once_and_no_host_more_than_its_share() -> None:
    items = [(f"h{i % 3}" if i < 300 else "h0", i) for i in range(500)]
    taken, most = serve(items, per_host=4, rate=1e6)
    assert sorted(i for _, i, _ in taken) == list(range(500))
    assert max(most.values()) == 4
    assert {h for h, _, _ in taken[:6]} == {"h0", "h1", "h2"}  # in turn, not one after the other


def test_what_is_given_back_comes_again() -> None:
    taken, _ = serve([("a", i) for i in range(20)] + [("b", 99)], per_host=2, rate=1e6, fail_once=True)
    assert Counter(i for _, i, _ in taken) == Counter([*range(20), 99] * 2)


def test_the_rate_is_kept_after_a_burst_of_ten() -> None:
    taken, _ = serve([("a", i) for i in range(30)], per_host=64, rate=50.0)
    times = [t for _, _, t in taken]
    assert times[29] - times[0] >= 0.95 * (29 - 11) / 50  # eleven at once, then one a gap
    quick, _ = serve([("", i) for i in range(300)], per_host=1, rate=1.0)  # this machine has no limits
    assert quick[-1][2] - quick[0][2] < 30


def test_a_host_with_rules_of_its_own_is_asked_by_them() -> None:
    """Wikimedia's thumbnails come from a host of their own, and count as its own."""
    urls = [
        f"https://{h}.wikimedia.org/wikipedia/commons/thumb/b/be/B.jpg/960px-{i}.jpg"
        for i in range(10)
        for h in ("upload", "thumb")
    ]
    _, most = serve([(host_of({"source": "list", "url": u}), i) for i, u in enumerate(urls)], per_host=6, rate=1e6)
    assert most == {"upload.wikimedia.org": 2}
    taken, _ = serve([("api.openverse.org", i) for i in range(14)], per_host=64, rate=1e6)  # its thumbnails
    assert taken[-1][2] - taken[0][2] >= 0.7  # after a burst, 2.5 a second


def test_a_thumbnail_of_a_width_that_wikimedia_refuses_says_which_to_take() -> None:
    address = "https://thumb.wikimedia.org/wikipedia/commons/thumb/b/be/B.jpg/{}px-B.jpg"
    for status in (400, 429):
        with pytest.raises(Trouble, match="write 960px instead of 800px") as e:
            check_status(status, {}, address.format(800))
        assert not e.value.transient
    with pytest.raises(Trouble) as e:
        check_status(429, {}, address.format(960))
    assert e.value.transient
