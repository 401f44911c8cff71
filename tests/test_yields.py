"""What each search and host brought: every line has one fate, counted as a plain loop counts it."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from keepset import manifests
from keepset.card.yields import by_host, by_query, complaints, yields
from keepset.manifests import Header
from keepset.workspace import Workspace
from tests.factories import EPOCH, add_revision, dataset_row
from tests.test_cli import run

QUERIES = {"bear": "a.example", "teddy cartoon": "b.example", "teddy": "a.example"}


def line(i: int, query: str, rng: random.Random) -> dict[str, Any]:
    fate = rng.choice(["ok"] * 6 + ["duplicate_url", "not_a_url"])
    return {
        "url_id": f"{i:016x}", "url": f"https://x@{QUERIES[query].upper()}/{i}.jpg?a=/b", "label": "bear",
        "status": "ok" if fate == "ok" else "rejected", "reason": None if fate == "ok" else fate, "source": "openverse",
        "query": query, "rank": i, "discovered_at": EPOCH,
    }  # fmt: skip


def sha(n: int) -> str:
    return hashlib.sha256(str(n).encode()).hexdigest()


def image(n: int, url: str, rng: random.Random) -> dict[str, Any]:
    ok = rng.random() < 0.9
    copy = ok and rng.random() < 0.1
    return {
        "sha256": sha(n), "label": "bear", "other_labels": [], "status": "ok" if ok else "rejected",
        "reason": None if ok else "broken", "warnings": [], "url": url, "copies": 1, "source": "openverse", "bytes": 1,
        "dup_of": sha(n + 1) if copy else None, "dup_kind": "near" if copy else None,
    }  # fmt: skip


def wanted(
    lines: list[dict[str, Any]], came: dict[str, Any], images: dict[str, Any], data: dict[str, Any]
) -> Counter[tuple[str, str]]:
    """The same by a plain loop."""
    found: Counter[tuple[str, str]] = Counter()
    seen = set()
    for r in lines:
        query = r["query"]
        if r["status"] != "ok":
            found[query, "duplicates" if r["reason"] == "duplicate_url" else "rejected"] += 1
            continue
        if r["url_id"] not in came:
            found[query, "waiting"] += 1
            continue
        picture = came[r["url_id"]]
        if picture is None:
            found[query, "rejected"] += 1
        elif picture not in images:
            found[query, "waiting"] += 1
        elif images[picture]["status"] != "ok":
            found[query, "rejected"] += 1
        elif picture in seen or images[picture]["dup_kind"]:
            found[query, "duplicates"] += 1
        else:
            found[query, "new"] += 1
            row = data.get(picture, {})
            if row and not row["active"] and row["changed_by"]:
                found[query, "deleted"] += 1
            elif row and row["active"] and row["label"] != row["given_label"]:
                found[query, "relabelled"] += 1
        seen.add(picture)
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_every_line_has_one_fate(tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(seed)
    ws = Workspace.create(tmp_path / "ws", "x")
    assert yields(ws) == []
    lines = [line(i, rng.choice(list(QUERIES)), rng) for i in range(400)]
    manifests.write(ws.urls, lines, Header("urls", "scrape", "f"))
    assert sum(y.waiting for y in yields(ws)) == sum(r["status"] == "ok" for r in lines), "nothing is downloaded yet"
    came: dict[str, str | None] = {
        r["url_id"]: None if rng.random() < 0.1 else sha(rng.randrange(300))
        for r in lines
        if r["status"] == "ok" and rng.random() < 0.95
    }
    downloads = [
        {"url_id": r["url_id"], "url": r["url"], "label": "bear", "attempts": 1, "sha256": came[r["url_id"]],
         "status": "ok" if came[r["url_id"]] else "failed", "reason": None if came[r["url_id"]] else "not_found"}
        for r in lines if r["url_id"] in came
    ]  # fmt: skip
    manifests.write(ws.downloads, downloads, Header("downloads", "download", "f"))
    images = {sha(n): image(n, f"https://a.example/{n}.jpg", rng) for n in range(300) if rng.random() < 0.95}
    manifests.write(ws.images, images.values(), Header("images", "validate", "f"))
    first = {came[r["url_id"]]: r["query"] for r in reversed(lines) if r["url_id"] in came}
    rows = [dataset_row(s, "bear", i, 1) for i, s in enumerate(images) if images[s]["status"] == "ok"]
    for row in rows:
        bad = first.get(row["sha256"]) == "teddy cartoon" and rng.random() < 0.9
        if bad or rng.random() < 0.1:
            row |= {"active": False, "changed_by": "b0001-00000000", "changed_in": 1}
        elif rng.random() < 0.1:
            row |= {"label": "cub", "changed_by": "b0001-00000000", "changed_in": 1}
    add_revision(ws, rows)

    found = yields(ws)
    right = wanted(lines, came, images, {r["sha256"]: r for r in rows})
    fates = ("new", "duplicates", "rejected", "waiting", "deleted", "relabelled")
    assert {(y.query, f): getattr(y, f) for y in by_query(found) for f in fates if getattr(y, f)} == dict(right)
    for y in (*by_query(found), *by_host(found)):
        assert y.lines == y.new + y.duplicates + y.rejected + y.waiting
        assert y.new >= y.deleted + y.relabelled
    assert {y.host for y in by_host(found)} == {"a.example", "b.example"}
    assert sum(y.lines for y in by_host(found)) == len(lines)
    (sentence,) = complaints(found)
    cartoons = next(y for y in by_query(found) if y.query == "teddy cartoon")
    assert sentence.startswith(
        f"'teddy cartoon' (openverse) brought {cartoons.new} pictures for 'bear', {cartoons.deleted} of them"
    )
    assert sentence.endswith("drop it?")
    _, out, _ = run(capsys, "status", "-w", ws.root)
    assert sentence in out.replace("\n", " ")
    assert "teddy cartoon" in out
