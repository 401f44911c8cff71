"""The joined tables that a notebook shows: what is known of each picture, in one row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keepset import manifests
from keepset.models import list_models
from keepset.reasons import Split
from keepset.review import Batch, list_batches
from keepset.storage.localfiles import shown
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["batch_table", "table"]

COLUMNS = ("path", "label", "split", "predicted", "loss", "reasons", "source")


def table(ws: Workspace) -> pd.DataFrame:
    """``Dataset.df``. Raises ``ManifestMissing`` before the first split."""
    data = ws.current_dataset().frame().set_index("sha256")
    data = data[data["active"]]
    found = data.join(_outcomes(ws)).join(_sources(ws)).join(_reasons(ws))
    found["path"] = [str(ws.blob(sha)) for sha in found.index]
    found["reasons"] = found["reasons"].fillna("")
    return found[list(COLUMNS)]


def batch_table(batch: Batch) -> pd.DataFrame:
    """A batch's candidates in order, with the columns of ``table`` and ``explanation``, ``suggestion``, ``suggested_label``."""
    found = batch.candidates().frame().set_index("sha256").sort_values("rank").join(_sources(batch.ws))
    found["path"] = [str(batch.ws.blob(sha)) for sha in found.index]
    found["reasons"] = found["reasons"].map(", ".join)
    return found[[*COLUMNS, "explanation", "suggestion", "suggested_label"]]


def _outcomes(ws: Workspace) -> pd.DataFrame:
    """``predicted`` and ``loss`` by a model that was not trained on the picture."""
    import pandas as pd

    models = list_models(ws)
    if not models:
        return pd.DataFrame({"predicted": pd.Series(dtype=str), "loss": pd.Series(dtype=float)})
    path = ws.models / models[-1].id / "predictions.parquet"
    said = manifests.read(path, "predictions").frame().set_index("sha256")
    unseen = said["split"] != Split.TRAIN
    return pd.DataFrame(
        {
            "predicted": said["predicted"].where(unseen, said["cv_predicted"]),
            "loss": said["loss"].where(unseen, said["cv_loss"]),
        }
    )


def _sources(ws: Workspace) -> pd.DataFrame:
    """Where each picture came from: its URL, or the path of its file."""
    images = manifests.read(ws.images, "images").frame().set_index("sha256")
    return images[["url"]].map(lambda u: shown(u) if u.startswith("file:") else u).set_axis(["source"], axis=1)


def _reasons(ws: Workspace) -> pd.DataFrame:
    """The reasons of the newest batch, if it is of the current revision."""
    import pandas as pd

    batches = [b for b in list_batches(ws) if b.record.revision == ws.revisions()[-1]]
    if not batches:
        return pd.DataFrame({"reasons": pd.Series(dtype=str)})
    found = batches[-1].candidates().frame().set_index("sha256")
    return found[["reasons"]].map(", ".join)
