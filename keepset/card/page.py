"""The card as Markdown, with the front matter that Hugging Face data sets have, so that it can lie beside an export.

Fields: https://github.com/huggingface/hub-docs/blob/main/datasetcard.md
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from keepset.text import share

__all__ = ["page"]

Facts = Mapping[str, Any]
_HUB_LICENSES = re.compile(
    r"cc0-1\.0|cc-by-(2\.0|2\.5|3\.0|4\.0)|cc-by-sa-(3\.0|4\.0)|cc-by-nc-(2\.0|3\.0|4\.0)|cc-by-nd-4\.0"
    r"|cc-by-nc-nd-(3\.0|4\.0)|cc-by-nc-sa-(2\.0|3\.0|4\.0)"
)
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~$])")


def _front_matter(f: Facts, more: Mapping[str, Any] | None) -> str:
    n = f["images"]["active"]
    fields: dict[str, Any] = {
        "pretty_name": f["name"],
        "license": sorted({_hub_license(x["license"]) for x in f["licenses"]}) or ["unknown"],
        "task_categories": ["image-classification"],
        "size_categories": [next((words for most, words in _SIZES if n < most), "10M<n<100M")],
        "annotations_creators": ["found"],
        "source_datasets": ["original"],
        "tags": ["image", "keepset"],
        **(more or {}),
    }
    # A JSON value is a YAML value too, and quotes whatever a title may hold.
    lines = [f"{k}: {json.dumps(v, ensure_ascii=False)}" for k, v in fields.items()]
    return "\n".join(["---", *lines, "---", ""])


def page(f: Facts, more: Mapping[str, Any] | None = None) -> str:
    """The whole card; ``more`` adds fields to the front matter, such as an export's ``configs``."""
    parts = [_head(f), _classes(f), _sources(f), _licenses(f), _left_out(f), _history(f)]
    return _front_matter(f, more) + "\n" + "\n\n".join("\n".join(p) for p in parts) + "\n"


def _hub_license(code: str) -> str:
    if code in ("unknown", "cc0", "pdm"):
        return {"cc0": "cc0-1.0", "pdm": "other"}.get(code, code)
    return code if _HUB_LICENSES.fullmatch(code) else "other"


def _head(f: Facts) -> Iterator[str]:
    i = f["images"]
    yield f"# {_text(f['name'])}"
    yield ""
    yield (
        f"{_n(i['active'], 'image')} in {_n(len(f['classes']), 'class', 'classes')}: revision {f['revision']}, "
        f"content hash `{f['dataset_hash'][:16]}`. Made with Keepset."
    )
    yield ""
    yield (
        f"Labels are what the sources said{_corrected(i)}. {_n(i['deleted'], 'image')} "
        f"{_was(i['deleted'])} taken out by a person's decision"
        + (f", {i['set_aside']} set aside because they tie both sides of the split together" if i["set_aside"] else "")
        + (f", {i['waiting']} wait for a review" if i["waiting"] else "")
        + "."
    )
    if f["found"]["first"]:
        yield ""
        yield f"Found on the web or this machine between {f['found']['first'][:10]} and {f['found']['last'][:10]}."


def _corrected(images: Facts) -> str:
    n = images["relabelled"]
    return f"; {_n(n, 'image')} {_was(n)} given another one by a person" if n else ""


def _classes(f: Facts) -> Iterator[str]:
    total = max(1, f["images"]["active"])
    yield "## Classes and split\n"
    sides = [s for s in ("train", "valid", "test") if s in f["splits"]]
    rows: list[Sequence[Any]] = [
        (c["label"], c["images"], share(c["images"] / total), *(c[s] for s in sides)) for c in f["classes"]
    ]
    rows.append(("all", f["images"]["active"], "", *(f["splits"][s] for s in sides)))
    yield from _table(("class", "images", "share", *sides), rows)
    yield ""
    yield (
        f"An image's side comes from a hash of the seed ({f['seed']}) and its origin, is given once and never changes; "
        "copies and pictures of one scene are on one side as far as validation found them, and so are pictures of one "
        "page or creator, unless they are too many."
    )
    for words in f.get("elsewhere", ()):
        yield ""
        yield f"A model trained on it: {_text(words)}" if words == f["elsewhere"][0] else _text(words)


def _sources(f: Facts) -> Iterator[str]:
    yield "## Sources\n"
    if not f["sources"]:
        yield "Not recorded."
        return
    columns = ("label", "source", "query", "lines", "new", "duplicates", "rejected", "deleted", "relabelled")
    head = ("class", "source", "list, page, folder or search", *columns[3:])
    yield from _table(head, ([s[c] for c in columns] for s in f["sources"]))
    yield ""
    yield (
        "A picture that several of them found is new for the first and a duplicate for the others, and so is a near copy of "
        "another picture. Of the new ones, people deleted and relabelled as many as the last columns say."
    )


def _licenses(f: Facts) -> Iterator[str]:
    yield "## Licences and authors\n"
    yield "The pictures belong to their authors; this card gives no rights. As the sources told:"
    yield ""
    rows = [(_license_cell(x), x["images"], x["creators"], _some(x["names"], x["creators"])) for x in f["licenses"]]
    yield from _table(("licence", "images", "authors named", "most often"), rows, raw=(0,))
    unknown = sum(x["images"] for x in f["licenses"] if x["license"] == "unknown")
    yield ""
    yield (
        f"{f['creators']['images_with']} of {f['images']['active']} images name an author. "
        "[attribution.csv](attribution.csv) credits every single one: title, author, licence and where it was found."
    )
    if unknown:
        yield ""
        yield (
            f"**{_n(unknown, 'image')} came without a licence.** Whether you may use or pass them on depends on your "
            "country and purpose; ask their owners, or build the data set again with `[scrape] licenses`."
        )


def _license_cell(x: Facts) -> str:
    """A link, if the address cannot break out of one."""
    url = x["url"] or ""
    safe = url and re.fullmatch(r"[\w./:%?&=~,+-]+", url)
    return f"[{_text(x['license'])}]({url})" if safe else _text(x["license"])


def _some(names: Sequence[str], total: int) -> str:
    shown = names[:5]
    return ", ".join(shown) + (f" and {total - len(shown)} more" if total > len(shown) else "")


def _left_out(f: Facts) -> Iterator[str]:
    yield "## What was left out\n"
    for s in f["stages"]:
        yield f"- {s['manifest']}: {s['ok']} of {s['rows']} taken" + _why(s["dropped"])
    d = f["duplicates"]
    yield ""
    yield (
        f"{_n(d['groups'], 'group')} of duplicates: {d['exact']} exact and {d['near']} near "
        f"{'copy' if d['exact'] + d['near'] == 1 else 'copies'} of a better picture are among the images; exact ones "
        f"are not trained on. {_n(d['scenes'], 'picture')} {'shows' if d['scenes'] == 1 else 'show'} the same scene as another one. "
        f"{_n(d['conflicts'], 'picture')} {_was(d['conflicts'])} found under more than one class."
    )


def _why(dropped: Iterable[Facts]) -> str:
    words = ", ".join(f"{_text(d['reason'])} {d['count']}" for d in dropped)
    return f" ({words})" if words else ""


def _history(f: Facts) -> Iterator[str]:
    yield "## Revisions and decisions\n"
    rows = [
        (r["revision"], r["cause"], r["images"], _changes(r), r["who"], r["at"][:10], r["why"]) for r in f["revisions"]
    ]
    yield from _table(("revision", "made by", "images", "changes", "who", "when", "why"), rows)


def _changes(r: Facts) -> str:
    return ", ".join(f"{r[k]} {k}" for k in ("added", "deleted", "relabelled", "restored", "removed") if r[k])


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]], raw: Sequence[int] = ()) -> Iterator[str]:
    """``raw``: columns that are Markdown already."""
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        cells = [str(c) if i in raw else _text(str(c)) for i, c in enumerate(row)]
        yield f"| {' | '.join(cells)} |"


def _text(text: str) -> str:
    """Text of other people as plain text of Markdown: one line, no markup, no HTML."""
    line = " ".join(str(text).split())
    return _SPECIAL.sub(r"\\\1", line.replace("&", "&amp;")).replace("<", "&lt;").replace(">", "&gt;")


def _n(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def _was(count: int) -> str:
    return "was" if count == 1 else "were"
