"""What became of each sort of planted picture, and of pictures that are odd and right."""

from __future__ import annotations

from collections.abc import Sequence

from bench.review.evaluated import Card, Evaluated
from bench.review.noise.planting import Planted
from bench.review.noise.sheets import rows

__all__ = ["by_change", "by_note", "spared"]


def spared(e: Evaluated, made: Planted) -> str:
    """Of the innocents: proposed, suggested for deletion, for another label, with their files."""
    cards, kinds = _cards(e), {r["file"]: r["kind"] for r in rows(made.innocents)}
    shown = [c for f, c in cards.items() if f in kinds and c.in_batch]
    said = {a: sum(c.suggestion == a for c in shown) for a in ("delete", "relabel")}
    listed = ", ".join(f"{c.file} {kinds[c.file]} ({c.suggestion}: {'+'.join(c.reasons)})" for c in shown)
    return (
        f"innocents: {len(kinds)}, in the batch {len(shown)}, suggested to delete {said['delete']}, to relabel {said['relabel']}"
        + (f"\n  {listed}" if listed else "")
    )


def by_note(results: Sequence[tuple[Evaluated, Planted]]) -> str:
    """All sorts that were planted in several sets: how many, and how many of them early, in a batch, to be deleted."""
    table: dict[str, list[int]] = {}
    for e, made in results:
        cards = _cards(e)
        counted = [f for f, c in cards.items() if c.truth != "ignored"]
        place = {f: i for i, f in enumerate(counted)}
        sorts = [(r["file"], _sort(r)) for r in rows(made.truth)]
        sorts += [(r["file"], f"innocent: {r['kind']}") for r in rows(made.innocents)]
        for file, sort in sorts:
            line, c = table.setdefault(sort, [0] * 5), cards.get(file)
            line[0] += 1
            if c is not None and file in place:
                line[1] += place[file] < len(counted) * 0.1
                line[2] += c.in_batch
                line[3] += c.in_batch and c.suggestion == "delete"
                line[4] += c.in_batch and c.suggestion == "relabel"
    head = "| sort | planted | first 10% | in the batch | to delete | to relabel |\n|---|---|---|---|---|---|"
    return "\n".join([head, *(f"| {s} | " + " | ".join(map(str, n)) + " |" for s, n in sorted(table.items()))])


def by_change(results: Sequence[tuple[Evaluated, Planted]]) -> str:
    """Copies by what was done to the picture: pairs, and those in one duplicate group."""
    table: dict[str, list[int]] = {}
    for e, made in results:
        for r in rows(made.pairs):
            if r["kind"] == "copy":
                line = table.setdefault(r["note"], [0, 0])
                line[0] += 1
                line[1] += (r["file_a"], r["file_b"]) not in e.copies.missed
    head = "| copy | pairs | grouped |\n|---|---|---|"
    return "\n".join([head, *(f"| {s} | {n} | {grouped} |" for s, (n, grouped) in sorted(table.items()))])


def _sort(row: dict[str, str]) -> str:
    return row["kind"] if row["verdict"] == "wrong_label" else f"{row['kind']}: {row['note']}"


def _cards(e: Evaluated) -> dict[str, Card]:
    return {c.file: c for c in e.cards}
