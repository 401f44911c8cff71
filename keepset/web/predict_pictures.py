"""The pictures that the prediction page shows of the data set: samples to try, and the labels of similar ones."""

from __future__ import annotations

from dataclasses import dataclass

from keepset import manifests
from keepset.errors import KeepsetError
from keepset.predict.samples import sample_pictures
from keepset.predict.serving import Serving
from keepset.text import file_name
from keepset.web.uploads import BadRequest
from keepset.workspace import Workspace

__all__ = ["PagePictures", "Shown"]


@dataclass(frozen=True)
class Shown:
    """``labels`` of the model's training images by sha256, and ``samples``: sha256 and name."""

    labels: dict[str, str]
    samples: tuple[tuple[str, str], ...]


class PagePictures:
    """Read once for each model and revision; its methods read files."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws
        self._found: tuple[tuple[str, int], Shown] | None = None

    def shown(self, serving: Serving) -> Shown:
        """Empty where the data set cannot be read: predicting goes on without it."""
        try:
            key = (serving.record.id, self.ws.revisions()[-1])
            if self._found is None or self._found[0] != key:
                self._found = (key, self._read(serving, key[1]))
        except (KeepsetError, OSError, IndexError):
            return Shown({}, ())
        return self._found[1]

    def _read(self, serving: Serving, revision: int) -> Shown:
        chosen, wanted = sample_pictures(self.ws, serving.record), set(serving.predictor.reference)
        samples = set(chosen)
        rows = manifests.each(self.ws.dataset(revision), "dataset", ("sha256", "label"))
        labels = {r["sha256"]: r["label"] for r in rows if r["sha256"] in wanted}
        places = manifests.each(self.ws.images, "images", ("sha256", "url"))
        names = {r["sha256"]: file_name(r["url"]) for r in places if r["sha256"] in samples}
        return Shown(labels, tuple((sha, names.get(sha) or sha[:12]) for sha in chosen))

    def sample(self, sha256: str) -> bytes:
        """The file of a sample that the page has offered. Raises ``BadRequest``."""
        if self._found is None or sha256 not in dict(self._found[1].samples):
            raise BadRequest(400, "bad_sample", "This sample is no longer offered. Load the page again.")
        try:
            return self.ws.blob(sha256).read_bytes()
        except OSError as e:
            raise BadRequest(400, "bad_sample", "The file of this sample is gone from the workspace.") from e
