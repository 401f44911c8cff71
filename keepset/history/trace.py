"""The family tree of a picture: where it was found, what was decided and by whom, and what holds it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from keepset import manifests
from keepset.blocklist import BlockList, digest
from keepset.card.public import shown_place, shown_url
from keepset.clean.matching import Wanted, holding, rows_of
from keepset.errors import ReviewError
from keepset.review import list_batches
from keepset.review.naming import SHORTEST, called
from keepset.text import file_name
from keepset.workspace import Workspace

__all__ = ["Trace", "trace"]

_HEX = frozenset("0123456789abcdef")
MOST = 1000
"""Pictures of one creator that are followed."""


@dataclass(frozen=True)
class Trace:
    """One picture. ``found``: the lines of sources that led to it; ``image``: what is known of its file; ``copies``: other
    pictures that it is a copy of, or that are one of it; ``decisions``: what people decided, the oldest first; ``sides``:
    class and side by revision; ``held``: the models, reports, open batches and exports that hold it."""

    sha256: str
    name: str
    found: list[dict[str, Any]]
    image: dict[str, Any]
    copies: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    sides: dict[int, str]
    held: dict[str, list[Any]]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def told(self) -> Iterator[tuple[str, list[str]]]:
        """Titles and lines for people; what is empty is left out."""
        i = self.image
        facts = [f"{k}: {i[k]}" for k in ("title", "creator", "license", "landing_page", "url") if i.get(k)]
        found = [
            f"{f['source']} {f['query'] or ''} (line {f['rank'] + 1}, {str(f['discovered_at'])[:10]}, for '{f['label']}'"
            f"{', ' + f['reason'] if f['reason'] else ''})" for f in self.found
        ]  # fmt: skip
        decided = [
            f"{d['at'][:16].replace('T', ' ')} {d['who']}: {d['what']}" + (f" (“{d['why']}”)" if d["why"] else "")
            for d in self.decisions
        ]
        sections = {
            "picture": facts, "found by": found, "copies": [f"{c['sha256'][:12]} {c['how']}" for c in self.copies],
            "decided": decided, "in the data set": list(_spans(self.sides)), "models": self.held["models"],
            "reports": self.held["reports"], "open batches": self.held["batches"], "exports": self.held["exports"],
        }  # fmt: skip
        yield from ((title, lines) for title, lines in sections.items() if lines)


def trace(ws: Workspace, what: str) -> list[Trace]:
    """Of every picture that ``what`` names: 8 digits of a sha256 or more, its name as `keepset diff` prints it, a file on
    this machine, a URL, or a creator.

    Raises ``ReviewError`` if nothing is known of it.
    """
    shas = _named(ws, what.strip())
    if not shas:
        removed = digest(what) in BlockList.of(ws).urls | BlockList.of(ws).creators
        more = "It was taken down (`keepset remove`): nothing of it is left." if removed else _ASK
        raise ReviewError(f"No picture here is of '{what[:100]}'.", more)
    chosen = sorted(shas)[:MOST]
    images = {r["sha256"]: r for r in rows_of(ws, "images", _IMAGE) if r["sha256"] in shas or r["dup_of"] in shas}
    lines = _lines(ws, set(chosen))
    decisions, sides = _decisions(ws, set(chosen)), _sides(ws, set(chosen))
    return [
        Trace(
            sha, called(sha, images), lines.get(sha, []), _shown(images.get(sha, {})), _copies(images, sha), decisions[sha],
            sides[sha], {k: v for k, v in holding(ws, {sha}).items() if k not in ("active", "revisions")},
        )
        for sha in chosen
    ]  # fmt: skip


_ASK = "Give 8 digits of its sha256 or more, its name (as in `keepset diff`), its file, its URL, or its creator as the source wrote it."
_IMAGE = (
    "sha256", "url", "source", "title", "creator", "license", "license_url", "landing_page", "pixel_hash", "dup_of", "dup_kind",
    "dup_how", "group_id", "width", "height", "format",
)  # fmt: skip
_LINE = (
    "url_id",
    "url",
    "label",
    "source",
    "query",
    "rank",
    "reason",
    "discovered_at",
    "creator",
    "license",
    "landing_page",
)


def _named(ws: Workspace, what: str) -> set[str]:
    if len(what) >= SHORTEST and set(what.lower()) <= _HEX:
        known = (r["sha256"] for r in rows_of(ws, "images", ("sha256",)))
        if fits := {s for s in known if s.startswith(what.lower())}:
            return fits
    if "://" not in what and _is_file(what):
        sha = hashlib.sha256(Path(what).read_bytes()).hexdigest()
        return {sha} & {r["sha256"] for r in rows_of(ws, "images", ("sha256",))}
    wanted = Wanted("url" if "://" in what else "creator", what).test()

    def test(row: Mapping[str, Any]) -> bool:
        return wanted(row) or file_name(row["url"]) == what

    ids = {r["url_id"] for r in rows_of(ws, "urls", _LINE) if test(r)}
    led_to = {r["sha256"] for r in rows_of(ws, "downloads", ("url_id", "sha256")) if r["url_id"] in ids and r["sha256"]}
    return led_to | {r["sha256"] for r in rows_of(ws, "images", _IMAGE) if test(r)}


def _is_file(what: str) -> bool:
    try:
        return Path(what).is_file()
    except OSError:  # a name that is too long for a file, or a folder that may not be read
        return False


def _lines(ws: Workspace, shas: set[str]) -> dict[str, list[dict[str, Any]]]:
    led_to = {r["url_id"]: r["sha256"] for r in rows_of(ws, "downloads", ("url_id", "sha256")) if r["sha256"] in shas}
    addresses = {r["url"]: led_to[r["url_id"]] for r in rows_of(ws, "urls", ("url_id", "url")) if r["url_id"] in led_to}
    found: dict[str, list[dict[str, Any]]] = {}
    for r in rows_of(ws, "urls", _LINE):  # a second query that gave the same address is a line too
        if (sha := led_to.get(r["url_id"]) or addresses.get(r["url"])) is not None:
            line = r | {"query": shown_place(r["source"], r["query"] or ""), "url": shown_url(r["url"])}
            found.setdefault(sha, []).append(line)
    return found


def _shown(image: Mapping[str, Any]) -> dict[str, Any]:
    return {**image, "url": shown_url(image.get("url"))} if image else {}


def _copies(images: Mapping[str, Mapping[str, Any]], sha: str) -> list[dict[str, Any]]:
    mine = images.get(sha, {})
    found = [
        {"sha256": r["sha256"], "how": f"{r['dup_kind']} copy of this one" + (f" ({r['dup_how']})" if r["dup_how"] else "")}
        for r in images.values() if r["dup_of"] == sha
    ]  # fmt: skip
    if mine.get("dup_of"):
        how = f"this is its {mine['dup_kind']} copy" + (f" ({mine['dup_how']})" if mine["dup_how"] else "")
        found.append({"sha256": mine["dup_of"], "how": how})
    return found


def _decisions(ws: Workspace, shas: set[str]) -> dict[str, list[dict[str, Any]]]:
    """Approved decisions on each picture, and restorations, the oldest first."""
    found: dict[str, list[dict[str, Any]]] = {s: [] for s in shas}
    for batch in list_batches(ws):
        approval = batch.approval()
        if approval is None or approval.decision != "approve":
            continue
        for sha in shas & approval.decisions.keys():
            d = approval.decisions[sha]
            what = f"{d['action']}{' as ' + d['label'] if d['label'] else ''} in {batch.id} ({d['by']})"
            found[sha].append({"at": approval.at, "who": d["who"] or approval.who, "what": what, "why": approval.note})
    for row in ws.audit_log():
        if row["action"] in ("restore", "remove", "purge"):
            for sha in shas.intersection(_images_of(row["what"])):
                what = f"{row['action']} (revision {row['what'].get('revision')})"
                found[sha].append({"at": row["at"], "who": row["who"], "what": what, "why": row["why"]})
    return {s: sorted(d, key=lambda d: str(d["at"])) for s, d in found.items()}


def _images_of(what: Mapping[str, Any]) -> Sequence[str]:
    named = what.get("images")  # of a purge, how many there were
    return named if isinstance(named, list) else what.get("sha256") or []


def _sides(ws: Workspace, shas: set[str]) -> dict[str, dict[int, str]]:
    """By picture and revision: class and side, or that it is not in use."""
    found: dict[str, dict[int, str]] = {s: {} for s in shas}
    for number in ws.revisions():
        for r in manifests.picked(ws.dataset(number), "dataset", ("sha256", "label", "split", "active"), shas):
            found[r["sha256"]][number] = f"{r['label']} ({r['split']})" if r["active"] else "not in use"
    return found


def _spans(sides: Mapping[int, str]) -> Iterator[str]:
    """``revisions 1 to 3: apple (train)``."""
    numbers = sorted(sides)
    begin = 0
    for i, n in enumerate(numbers):
        if i + 1 == len(numbers) or sides[numbers[i + 1]] != sides[n]:
            first = numbers[begin]
            yield f"revision {n}: {sides[n]}" if first == n else f"revisions {first} to {n}: {sides[n]}"
            begin = i + 1
