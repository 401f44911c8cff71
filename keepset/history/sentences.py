"""What happened to a data set, in plain sentences: rows of the audit log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from keepset.text import many

__all__ = ["sentence"]

_Facts = Mapping[str, Any]


def sentence(row: _Facts) -> str:
    """A row of the audit log as a sentence. Of an action that is not known here, its facts by name."""
    what: _Facts = row["what"]
    write = _SENTENCES.get(str(row["action"]))
    try:
        return write(what) if write else _plain(what)
    except (KeyError, TypeError):  # written by another version
        return _plain(what)


def _plain(what: _Facts) -> str:
    return ", ".join(f"{k.replace('_', ' ')}: {str(v)[:60]}" for k, v in what.items() if v not in (None, "", []))


def _opened(w: _Facts) -> str:
    return f"Opened {w['batch']}: {many(w['candidates'], 'picture')} of revision {w['revision']} to review."


def _decided(w: _Facts) -> str:
    verb = {"approve": "Approved", "reject": "Rejected", "send_back": "Sent back"}[w["decision"]]
    where = {"gallery": "in the gallery", "cli": "on the command line", "prefect": "in Prefect"}.get(w["via"], w["via"])
    said = f"{verb} {w['batch']} {where}"
    if w["decision"] == "approve":
        rest = "the rest as suggested" if w["undecided"] == "suggested" else "the rest unchanged"
        said += f": delete {w['delete']}, relabel {w['relabel']}, keep {w['keep']}; {rest}"
    return said + "." + "".join(f" Confirmed: {g}" for g in w["ticked"])


def _cleaned(w: _Facts) -> str:
    if not w.get("changed", True):
        return f"{w['batch']} changes nothing."
    return f"Applied {w['batch']} as revision {w['revision']}: deleted {w['deleted']}, relabelled {w['relabelled']}."


def _exported(w: _Facts) -> str:
    return f"model {w['model'][:8]} as {w['format']}" if "model" in w else f"revision {w['revision']} as {w['format']}"


def _promoted(w: _Facts) -> str:
    before = f" instead of {w['before'][:8]}" if w["before"] else ""
    return f"Model {w['model_id'][:8]} is in use{before}."


_SENTENCES: dict[str, Callable[[_Facts], str]] = {
    "open": _opened,
    "review": _decided,
    "expire": lambda w: f"{w['batch']} expired undecided ({w['marked']} marked).",
    "reopen": lambda w: f"Reopened {w['batch']}, open until {w['deadline'][:16].replace('T', ' ')} UTC.",
    "clean": _cleaned,
    "restore": lambda w: f"Restored {many(w['restored'], 'picture')} as revision {w['revision']}.",
    "purge": lambda w: f"Deleted the files of {many(w['images'], 'picture')} ({w['bytes'] / 1e6:.1f} MB) for good.",
    "takedown": lambda w: (
        f"Asked to take down {many(len(w['sha256']), 'picture')} by {w['by']}; none of it is fetched again."
    ),
    "remove": lambda w: f"Took down {many(w['removed'], 'picture')} as revision {w['revision']}.",
    "certificate": lambda w: (
        f"Finished the takedown {w['id']}: deleted the files of {many(w['pictures'], 'picture')}"
        + (f"; models that learnt from them: {', '.join(m[:8] for m in w['models'])}" if w["models"] else "")
        + "."
    ),
    "export": lambda w: f"Exported {_exported(w)} to {w['to']}.",
    "promote": _promoted,
}
