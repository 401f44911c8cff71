"""What was measured on sets of pictures, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.review.evaluated import Copies, Evaluated
from bench.review.ranking import SHARES, Found

__all__ = ["mean_of", "report"]

_LISTED = 20


def report(e: Evaluated) -> str:
    return "\n".join(_lines(e))


def _lines(e: Evaluated) -> Iterator[str]:
    ours = e.orders["keepset"]
    yield f"## {e.name}: {e.images} images, {ours.bad} surely bad, {e.images - ours.images} count neither way"
    if e.missing:
        yield f"NOT IN THE FOLDER ({len(e.missing)}): {', '.join(e.missing)}"
    if e.bad_rejected:
        yield f"surely bad and rejected by validation ({len(e.bad_rejected)}): {', '.join(e.bad_rejected)}"
    yield ""
    yield from _orders(e.orders)
    yield ""
    yield "| kind | bad | " + " | ".join(f"first {s:.0%}" for s in SHARES) + " | 2k looks | in the batch |"
    yield "|---|---|---|---|---|---|---|"
    for kind, numbers in ours.kinds.items():
        yield "| " + " | ".join([kind, *map(str, numbers), str(e.batch_kinds.get(kind, 0))]) + " |"
    yield ""
    yield f"batch: {e.batch_bad} of {ours.bad} bad in {e.batch} cards"
    yield from _suggested("delete", e.delete_bad, e.delete_good)
    yield from _suggested("relabel", e.relabel_bad, e.relabel_good)
    yield from _copies(e.copies)
    late = [(i, c) for i, c in enumerate(e.cards, 1) if c.truth not in ("", "ignored")][-_LISTED:]
    yield f"latest bad: {', '.join(f'{c.file} ({c.truth}) {i}' for i, c in late if i > e.images * SHARES[-1])}"
    yield "seconds: " + ", ".join(f"{name} {s:.1f}" for name, s in e.seconds.items())


def _orders(orders: dict[str, Found]) -> Iterator[str]:
    yield "| order | average precision | " + " | ".join(f"first {s:.0%}" for s in SHARES) + " | 2k looks |"
    yield "|---|---|---|---|---|---|"
    for name, f in orders.items():
        yield f"| {name} | {f.precision:.3f} | " + " | ".join(map(str, (*f.first, f.twice))) + " |"


def _suggested(what: str, bad: int, good: Sequence[str]) -> Iterator[str]:
    yield f"suggested to {what}: {bad} bad, {len(good)} right{_named(good)}"


def _named(files: Sequence[str]) -> str:
    more = f" and {len(files) - _LISTED} more" if len(files) > _LISTED else ""
    return f" ({', '.join(files[:_LISTED])}{more})" if files else ""


def _copies(c: Copies) -> Iterator[str]:
    yield f"copies grouped: {c.grouped} of {c.sure}{_named([f'{a} + {b}' for a, b in c.missed])}"
    called = _named([f"{a} + {b}" for a, b in c.bursts_as_copies])
    yield f"bursts grouped: {c.bursts_grouped} of {c.bursts}, called copies: {len(c.bursts_as_copies)}{called}"
    near = sum(kind == "near" for _, _, kind in c.wrong)
    listed = _named([f"{a} + {b} {kind}" for a, b, kind in c.wrong])
    yield f"grouped wrongly: {len(c.wrong)}, called copies: {near}{listed}"


def mean_of(results: Sequence[Evaluated]) -> str:
    """Sums over the sets, and the mean of the average precisions."""
    bad = sum(e.orders["keepset"].bad for e in results)
    lines = [
        f"## {len(results)} sets: {sum(e.images for e in results)} images, {bad} surely bad", "",
        "| order | mean average precision | " + " | ".join(f"first {s:.0%}" for s in SHARES) + " | 2k looks |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name in results[0].orders:
        found = [e.orders[name] for e in results]
        first = [sum(f.first[i] for f in found) for i in range(len(SHARES))]
        precision = sum(f.precision for f in found) / len(found)
        lines.append(
            f"| {name} | {precision:.3f} | "
            + " | ".join(map(str, [*first, sum(f.twice for f in found)]))
            + " |"
        )
    lines += ["", *_kinds(results), "", f"batches: {sum(e.batch_bad for e in results)} of {bad} bad in {sum(e.batch for e in results)} cards"]  # fmt: skip
    lines.append(
        f"copies grouped: {sum(e.copies.grouped for e in results)} of {sum(e.copies.sure for e in results)}; grouped wrongly: {sum(len(e.copies.wrong) for e in results)}"
    )
    return "\n".join(lines)


def _kinds(results: Sequence[Evaluated]) -> Iterator[str]:
    yield "| kind | bad | " + " | ".join(f"first {s:.0%}" for s in SHARES) + " | 2k looks | in the batch |"
    yield "|---|---|---|---|---|---|---|"
    for kind in sorted({k for e in results for k in e.orders["keepset"].kinds}):
        per = [e.orders["keepset"].kinds[kind] for e in results if kind in e.orders["keepset"].kinds]
        total = [sum(n) for n in zip(*per, strict=True)]
        in_batch = sum(e.batch_kinds.get(kind, 0) for e in results)
        yield "| " + " | ".join(map(str, [kind, *total, in_batch])) + " |"
