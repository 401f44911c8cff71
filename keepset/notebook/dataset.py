"""The data set of a workspace as one object: its table, its worst pictures, its report, its gallery."""

from __future__ import annotations

import hashlib
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from keepset.errors import ConfigError, ModelError, PictureUnreadable, ReviewError, WorkspaceError
from keepset.finding import find_workspace
from keepset.models import list_models
from keepset.notebook.pictures import Pictures
from keepset.notebook.shown import Gallery, Report
from keepset.storage import locate
from keepset.storage.localfiles import shown
from keepset.text import many
from keepset.workspace import SHA256, Workspace

if TYPE_CHECKING:
    import pandas as pd

    from keepset.models import ModelRecord
    from keepset.predict import Predictor

__all__ = ["Dataset", "open_dataset"]


def open_dataset(source: str | Path | None = None) -> Dataset:
    """Open a data set. ``source``: a workspace, a run config, or a folder with one folder of pictures per class.

    Without it, the workspace around or in the current folder. Of a run config, its workspace is opened, or made; a folder
    of pictures is imported first. Raises ``WorkspaceError`` or ``ConfigError``.
    """
    from keepset.starting import start

    if source is None:
        return Dataset(Workspace.open(find_workspace()))
    place = locate(source)
    if (place / "keepset.json").exists():
        return Dataset(Workspace.open(place))
    if not place.exists():  # "bears": the data set of bears.toml, whatever its workspace is called
        named, place = place, place.with_name(f"{place.name}.toml")
        if not place.is_file():
            raise WorkspaceError(
                f"There is no data set {shown(named)}.",
                "Give a workspace, a run config, or a folder with one folder of pictures per class.",
            )
    return Dataset(start(place, None, print))


class Dataset:
    """One data set. Nothing is kept in memory: each call reads the workspace as it is now.

    Pictures are given as the path in ``df``, as a sha256 (``df.index``), or as any file with the same bytes.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    # -- the table ---------------------------------------------------------------------------------

    @property
    def df(self) -> pd.DataFrame:
        """A row per picture in use, by sha256: path, label, split, predicted, loss, reasons, source.

        ``predicted`` and ``loss`` (cross-entropy, nats) are of a model that was not trained on the picture: the newest
        model for validation pictures, cross-validation for the others. They are empty before the first training, and for
        exact copies. ``reasons``: why the newest cleaning batch proposes it. ``source``: URL or file that it came from.
        Raises ``ManifestMissing`` before the first split.
        """
        from keepset.notebook.table import table

        return table(self.workspace)

    def top_losses(self, n: int = 9) -> Pictures:
        """The pictures that the model is most wrong about, worst first. Raises ``ModelError`` before a training."""
        self._newest_model()
        worst = self.df.dropna(subset="loss").nlargest(n, "loss")
        return Pictures(self.workspace, worst, "Highest losses")

    def confusion(self) -> pd.DataFrame:
        """The validation set's pictures by given class (rows) and predicted class (columns), by the newest model.

        Raises ``ModelError`` before a training.
        """
        import pandas as pd

        from keepset.interpret.metrics import confusion
        from keepset.interpret.scored import read_predictions
        from keepset.reasons import Split

        scored = read_predictions(self.workspace, self._newest_model()).model(Split.VALID)
        names = list(scored.classes)
        return pd.DataFrame(confusion(scored), pd.Index(names, name="given"), pd.Index(names, name="predicted"))

    def batch(self) -> Pictures:
        """The newest open cleaning batch, or else the newest one: its pictures in order, with explanation and suggestion.

        Raises ``ReviewError`` if there is none.
        """
        from keepset.notebook.table import batch_table
        from keepset.review import BatchStatus, list_batches

        every = list_batches(self.workspace)
        if not every:
            raise ReviewError("There is no cleaning batch.", "ds.run() proposes one, if any image needs review.")
        chosen = ([b for b in every if b.status == BatchStatus.OPEN] or every)[-1]
        return Pictures(self.workspace, batch_table(chosen), f"{chosen.id} ({str(chosen.status).replace('_', ' ')})")

    def similar(self, picture: str | Path, n: int = 12) -> Pictures:
        """The pictures that look most like one, most similar first, by the newest model's features (``likeness``, -1 to 1).

        Raises ``ModelError`` before a training, and ``PictureUnreadable`` or ``ConfigError`` for a picture that is not in
        the data set.
        """
        from keepset.review.similar import rows_of

        features, rows = rows_of(self.workspace, self._newest_model().id)
        known = features.sha256
        sha = self._sha(picture)
        if sha not in known:
            raise ConfigError(
                f"The model has not seen {picture}.",
                "Give a picture of this data set: a path from ds.df.path. Of exact copies the best one is known.",
            )
        likeness = dict(zip(known, (rows @ rows[known.index(sha)]).tolist(), strict=True))
        table = self.df
        name = table.source[sha].rpartition("/")[2] if sha in table.index else sha[:8]
        title = f"Most similar to {name}"
        table = table[[s in likeness and s != sha for s in table.index]]
        table = table.assign(likeness=[likeness[s] for s in table.index])
        return Pictures(self.workspace, table.nlargest(n, "likeness"), title)

    # -- the model, the report, the gallery --------------------------------------------------------

    @property
    def model(self) -> Predictor:
        """The model in use: ``ds.model.predict("photo.jpg")``. Raises ``ModelError`` before the first training."""
        from keepset.predict import load

        return load(self.workspace.root)

    def run(self) -> Dataset:
        """Run the full pipeline, as ``keepset run`` does, and print a line per stage. Safe to repeat."""
        from keepset.notebook.running import run_here

        run_here(self.workspace)
        return self

    def report(self) -> Report:
        """The newest model's report. Raises ``ModelError`` before a training."""
        model = self._newest_model()
        path = self.workspace.reports / model.id / "report.html"
        if not path.is_file():
            from keepset.interpret import interpret

            interpret(self.workspace, self.workspace.config(), model_id=model.id)
        return Report(path)

    def review(self) -> Gallery:
        """The review gallery: that of a service that runs, or one of this notebook's own, which ends with it."""
        from keepset.status import gallery_url

        running = gallery_url(self.workspace)
        return Gallery(running) if running else Gallery.start(self.workspace)

    # -- how it is shown ---------------------------------------------------------------------------

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        first, *others = self._lines()
        counts = ""
        if self.workspace.revisions():
            table = self.df
            counts = table.groupby(["label", "split"]).size().unstack(fill_value=0).to_html()
        return f"<b>{escape(first)}</b>{counts}<br>" + "<br>".join(map(escape, others))

    def _lines(self) -> list[str]:
        from keepset.status.next_step import next_step

        ws = self.workspace
        lines = [f"{ws.name}  {ws.root}"]
        if revisions := ws.revisions():
            lines.append(f"Revision {revisions[-1]}: {many(len(self.df), 'picture')}")
        promoted = ws.promoted()
        lines.append(f"Model in use: {promoted[:8] if promoted else 'none yet'}")
        return [*lines, f"Next: {next_step(ws)}"]

    def _newest_model(self) -> ModelRecord:
        if models := list_models(self.workspace):
            return models[-1]
        raise ModelError(f"{self.workspace.name} has no model yet.", "Train one: ds.run()")

    def _sha(self, picture: str | Path) -> str:
        name = Path(picture).name
        if SHA256.fullmatch(name):
            return name
        try:
            with Path(picture).open("rb") as f:
                return hashlib.file_digest(f, "sha256").hexdigest()
        except OSError as e:
            raise PictureUnreadable(
                f"{picture} cannot be read: {(e.strerror or str(e)).lower()}.", "Give a path from ds.df.path."
            ) from e
