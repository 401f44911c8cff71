"""What was measured on sets of pictures, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.review.evaluated import Evaluated
from bench.review.ranking import SHARES

__all__ = ["mean_of", "report"]

_LISTED = 20
_FIRST = " | ".join(f"first {s:.0%}" for s in SHARES)


def report(e: Evaluated) -> str:
    """One set: the tables, and the files that were suggested, grouped or placed wrongly."""
    return "\n".join(_one(e))


def mean_of(results: Sequence[Evaluated]) -> str:
    """Sums over the sets, and the mean of the average precisions of sets in which something is bad."""
    return "\n".join(_several(results))


def _one(e: Evaluated) -> Iterator[str]:
    ours = e.orders["keepset"]
    yield f"## {e.name}: {e.images} images, {ours.bad} surely bad, {e.images - ours.images} count neither way"
    if e.missing:
        yield f"NOT IN THE FOLDER ({len(e.missing)}): {', '.join(e.missing)}"
    if e.bad_rejected:
        yield f"surely bad and rejected by validation ({len(e.bad_rejected)}): {', '.join(e.bad_rejected)}"
    yield from ("", *_orders([e]), "", *_kinds([e]), "")
    yield f"batch: {e.batch_bad} of {ours.bad} bad in {e.batch} cards"
    for what, bad, right in (("delete", e.delete_bad, e.delete_good), ("relabel", e.relabel_bad, e.relabel_good)):
        yield f"suggested to {what}: {bad} bad, {len(right)} right{_named(right)}"
    c = e.copies
    yield f"copies grouped: {c.grouped} of {c.sure}; not grouped: {len(c.missed)}{_named([f'{a} + {b}' for a, b in c.missed])}"
    called = _named([f"{a} + {b}" for a, b in c.bursts_as_copies])
    yield f"bursts grouped: {c.bursts_grouped} of {c.bursts}; called copies: {len(c.bursts_as_copies)}{called}"
    near = sum(kind == "near" for _, _, kind in c.wrong)
    listed = _named([f"{a} + {b} {kind}" for a, b, kind in c.wrong])
    yield f"grouped wrongly: {len(c.wrong)}; called copies: {near}{listed}"
    late = [(i, card) for i, card in enumerate(e.cards, 1) if card.truth not in ("", "ignored")]
    late = [(i, card) for i, card in late if i > e.images * SHARES[-1]][-_LISTED:]
    yield f"latest bad: {', '.join(f'{card.file} ({card.truth}) {i}' for i, card in late) or 'none'}"
    yield "seconds: " + ", ".join(f"{name} {s:.1f}" for name, s in e.seconds.items())


def _several(results: Sequence[Evaluated]) -> Iterator[str]:
    bad, c = sum(e.orders["keepset"].bad for e in results), [e.copies for e in results]
    yield f"## {len(results)} sets: {sum(e.images for e in results)} images, {bad} surely bad"
    yield from ("", *_orders(results), "", *_sets(results), "", *_kinds(results), "")
    yield f"batches: {sum(e.batch_bad for e in results)} of {bad} bad in {sum(e.batch for e in results)} cards"
    yield f"suggested to delete: {sum(e.delete_bad for e in results)} bad, {sum(len(e.delete_good) for e in results)} right"
    yield f"suggested to relabel: {sum(e.relabel_bad for e in results)} bad, {sum(len(e.relabel_good) for e in results)} right"
    yield f"copies grouped: {sum(x.grouped for x in c)} of {sum(x.sure for x in c)}"
    yield f"bursts grouped: {sum(x.bursts_grouped for x in c)} of {sum(x.bursts for x in c)}; called copies: {sum(len(x.bursts_as_copies) for x in c)}"
    yield f"grouped wrongly: {sum(len(x.wrong) for x in c)}"


def _orders(results: Sequence[Evaluated]) -> Iterator[str]:
    yield f"| order | average precision | {_FIRST} | 2k looks |"
    yield "|---|---|---|---|---|---|"
    for name in results[0].orders:
        found = [e.orders[name] for e in results if e.orders[name].bad]
        precision = sum(f.precision for f in found) / max(len(found), 1)
        first = [sum(f.first[i] for f in found) for i in range(len(SHARES))]
        cells = [name, f"{precision:.3f}", *map(str, first), str(sum(f.twice for f in found))]
        yield f"| {' | '.join(cells)} |"


def _sets(results: Sequence[Evaluated]) -> Iterator[str]:
    """Average precision of each order in each set, and what its batch holds."""
    orders = list(results[0].orders)
    yield f"| set | images | bad | {' | '.join(orders)} | batch: bad of cards | copies grouped |"
    yield "|---" * (len(orders) + 5) + "|"
    for e in results:
        bad = e.orders["keepset"].bad
        precisions = [f"{e.orders[name].precision:.3f}" if bad else "" for name in orders]
        held, copies = f"{e.batch_bad} of {e.batch}", f"{e.copies.grouped} of {e.copies.sure}"
        yield f"| {' | '.join([e.name, str(e.images), str(bad), *precisions, held, copies])} |"


def _kinds(results: Sequence[Evaluated]) -> Iterator[str]:
    yield f"| kind | bad | {_FIRST} | 2k looks | in the batch |"
    yield "|---|---|---|---|---|---|---|"
    for kind in sorted({k for e in results for k in e.orders["keepset"].kinds}):
        per = [e.orders["keepset"].kinds[kind] for e in results if kind in e.orders["keepset"].kinds]
        total = [sum(n) for n in zip(*per, strict=True)]
        in_batch = sum(e.batch_kinds.get(kind, 0) for e in results)
        yield "| " + " | ".join(map(str, [kind, *total, in_batch])) + " |"


def _named(files: Sequence[str]) -> str:
    more = f" and {len(files) - _LISTED} more" if len(files) > _LISTED else ""
    return f" ({', '.join(files[:_LISTED])}{more})" if files else ""
