"""A data set in a notebook: ``ds = keepset.open("bears")``. HTML in Jupyter, plain text elsewhere."""

from __future__ import annotations

from keepset.notebook.dataset import Dataset, open_dataset
from keepset.notebook.pictures import Pictures
from keepset.notebook.shown import Gallery, Report

__all__ = ["Dataset", "Gallery", "Pictures", "Report", "open_dataset"]
