"""The README of a site: front matter for a static Hugging Face Space, how to publish it, and whom to credit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from keepset.card import attribution
from keepset.models import ModelRecord
from keepset.workspace import Workspace

__all__ = ["write_readme"]

_TEXT = """\
# {name}

A classifier that runs in the browser: {classes}. Nothing is uploaded, and once loaded it works without a connection.
Made with Keepset: model {model}, revision {revision} of the data set.

## Try it

    python -m http.server

in this folder, then open http://localhost:8000. The folder must be served: opened as a file, the page cannot load its
parts.

## Publish it

* **Hugging Face**: `hf repo create NAME --repo-type space --space-sdk static`, then
  `hf upload NAME . . --repo-type space` in this folder.
* **GitHub Pages**: commit this folder to a repository, then choose its branch and folder under Settings, Pages.
* **Any other static host**: copy the folder. A phone needs https for the offline copy.

## Whom to credit

`attribution.csv` lists the pictures on this site with creator and licence; `about.html` shows them. ONNX Runtime Web is
under the MIT licence (`onnxruntime-license.txt`).
"""


def write_readme(folder: Path, ws: Workspace, record: ModelRecord, shown: Sequence[dict[str, str]]) -> None:
    """``README.md``, ``attribution.csv``, and ``.nojekyll``, which tells GitHub to serve the files as they are."""
    front = {
        "title": ws.name,
        "emoji": "\U0001f5bc\ufe0f",
        "colorFrom": "blue",
        "colorTo": "indigo",
        "sdk": "static",
        "pinned": False,
    }
    lines = [f"{k}: {json.dumps(v, ensure_ascii=False)}" for k, v in front.items()]
    text = _TEXT.format(
        name=" ".join(ws.name.split()), classes=", ".join(record.classes), model=record.id[:8],
        revision=record.dataset_revision,
    )  # fmt: skip
    (folder / "README.md").write_text("\n".join(["---", *lines, "---", "", text]), encoding="utf-8")
    attribution.write(folder / "attribution.csv", iter(shown))
    (folder / ".nojekyll").touch()
