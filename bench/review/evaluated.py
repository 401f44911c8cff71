"""A review against the truth: orders, the batch, and the copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.review.peers import peers
from bench.review.ranking import Found, measured
from bench.review.runs import Reviewed
from bench.review.truth import Pair, Standing, Truth, linked, read_truth, standing
from keepset import manifests
from keepset.errors import ConfigError

__all__ = ["Card", "Copies", "Evaluated", "copies", "evaluated"]


@dataclass(frozen=True)
class Card:
    """One image in the order of ``review --all``. ``truth``: a kind of ``truth.KINDS``, "ignored", or "" if it is right."""

    file: str
    truth: str
    in_batch: bool
    score: float
    reasons: list[str]
    suggestion: str
    explanation: str


@dataclass(frozen=True)
class Copies:
    """Sure copies (pairs of files), those in one duplicate group, bursts in one group, and of the bursts and of pairs
    that the truth does not know those that are grouped: ``a, b, kind``, where kind is near if one is to be deleted."""

    sure: int
    grouped: int
    missed: list[tuple[str, str]]
    bursts: int
    bursts_grouped: int
    bursts_as_copies: list[tuple[str, str]]
    wrong: list[tuple[str, str, str]]


@dataclass(frozen=True)
class Evaluated:
    """One set. ``orders``: keepset and its peers; ``cards``: every image in the order of ``review --all``.

    ``bad_rejected``: surely bad files that validation has rejected; ``missing``: files that the truth names and the
    folder does not hold.
    """

    name: str
    images: int
    orders: dict[str, Found]
    batch: int
    batch_bad: int
    batch_kinds: dict[str, int]
    delete_bad: int
    delete_good: list[str]
    relabel_bad: int
    relabel_good: list[str]
    copies: Copies
    bad_rejected: list[str]
    missing: list[str]
    seconds: dict[str, float]
    cards: list[Card]


def evaluated(name: str, run: Reviewed, truth_file: Path, pairs_file: Path | None) -> Evaluated:
    """Raises ``ConfigError`` if the truth cannot be read, or names no file of the folder."""
    truth = read_truth(truth_file, pairs_file, run.classes)
    missing = sorted(truth.files() - set(run.hashes))
    if missing and len(missing) == len(truth.files()):
        raise ConfigError(
            f"None of the files in {truth_file} is in the folder, e.g. {missing[0]}.",
            "Name files relative to the folder of class folders, such as black/00000001.jpg.",
        )
    active = {r["sha256"]: r for r in run.ws.current_dataset().rows() if r["active"]}
    images = {r["sha256"]: r for r in manifests.read(run.ws.images, "images").rows()}
    order = sorted(active, key=lambda s: _worse(active[s], images[s]))
    names = _names(run.hashes, {s: r["label"] for s, r in active.items()})
    said = standing(truth, run.hashes, {s: r["label"] for s, r in active.items()}, order)
    with run.timed("peers"):
        orders = {"keepset": [r["sha256"] for r in run.everything], **peers(run.ws, run.model_id)}
    shown = {r["sha256"] for r in run.batch}
    asked = {a: [r["sha256"] for r in run.batch if r["suggestion"] == a] for a in ("delete", "relabel")}
    good = {a: [names[s] for s in of if s not in said.bad and s not in said.ignored] for a, of in asked.items()}
    return Evaluated(
        name, len(active), {k: measured(o, said.bad, said.ignored) for k, o in orders.items()},
        len(shown), len(shown & set(said.bad)), dict(Counter(said.bad[s] for s in shown & set(said.bad))),
        sum(s in said.bad for s in asked["delete"]), good["delete"],
        sum(s in said.bad for s in asked["relabel"]), good["relabel"],
        copies(truth, run.hashes, active, names),
        sorted(v.file for v in truth.verdicts if v.sure and run.hashes.get(v.file, "") not in active and v.file in run.hashes),
        missing, run.seconds, [_card(r, names, said, shown) for r in run.everything],
    )  # fmt: skip


def _worse(row: Mapping[str, Any], image: Mapping[str, Any]) -> tuple[bool, int, int, str]:
    """The better picture first: the one that is kept, then by pixels and bytes."""
    pixels = (image["width"] or 0) * (image["height"] or 0)
    return row["dup_of"] is not None, -pixels, -image["bytes"], row["sha256"]


def _names(hashes: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, str]:
    """A file for each sha256, if possible one in the folder of its class."""
    found: dict[str, str] = {}
    for file, sha in hashes.items():
        if sha not in found or (file.split("/")[-2] == labels.get(sha) != found[sha].split("/")[-2]):
            found[sha] = file
    return found


def _card(row: Mapping[str, Any], names: Mapping[str, str], said: Standing, shown: set[str]) -> Card:
    sha = row["sha256"]
    truth = said.bad.get(sha, "ignored" if sha in said.ignored else "")
    return Card(names[sha], truth, sha in shown, row["score"], row["reasons"], row["suggestion"], row["explanation"])


def copies(
    truth: Truth, hashes: Mapping[str, str], active: Mapping[str, Mapping[str, Any]], names: Mapping[str, str]
) -> Copies:
    """Pairs of images in use, by duplicate group. Pairs that hang together through pairs of the truth are known, sure
    or not, and so are files with the same pixels."""

    def together(p: Pair) -> bool:
        return active[hashes[p.a]]["group_id"] == active[hashes[p.b]]["group_id"]

    def as_copy(a: str, b: str) -> bool:
        kept = {active[s]["dup_of"] or s for s in (a, b)}
        return len(kept) == 1

    there = [p for p in truth.pairs if hashes.get(p.a) in active and hashes.get(p.b) in active]
    sure = [p for p in there if p.sure and p.is_copy]
    bursts = [p for p in there if not p.is_copy]
    known = linked((hashes[p.a], hashes[p.b]) for p in there)
    groups: dict[str, list[str]] = {}
    for sha, row in active.items():
        groups.setdefault(row["group_id"], []).append(sha)
    wrong = [
        (names[a], names[b], "near" if as_copy(a, b) else "group")
        for members in groups.values()
        for i, a in enumerate(members)
        for b in members[:i]
        if not any({a, b} <= s for s in known) and not _same_pixels(active[a], active[b])
    ]
    return Copies(
        len(sure), sum(map(together, sure)), [(p.a, p.b) for p in sure if not together(p)],
        len(bursts), sum(map(together, bursts)),
        [(p.a, p.b) for p in bursts if as_copy(hashes[p.a], hashes[p.b])], sorted(wrong),
    )  # fmt: skip


def _same_pixels(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    kept = {r["dup_of"] or r["sha256"] for r in (a, b)}
    return len(kept) == 1 and all(r["dup_kind"] in (None, "exact") for r in (a, b))
