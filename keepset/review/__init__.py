"""Proposing what to clean, and taking a person's decision on it.

``review`` opens a batch from what the model says; people ``mark`` its images; ``submit`` decides on it;
``keepset.clean.clean`` applies what was approved. The state of record is files (``keepset.review.batch``).
"""

from keepset.review.batch import (
    Approval,
    Batch,
    BatchProgress,
    BatchRecord,
    BatchStatus,
    damaged_batches,
    list_batches,
    load_batch,
)
from keepset.review.deciding import Preview, planned, preview, reopen, submit
from keepset.review.left import ErrorsLeft, errors_left
from keepset.review.log import Mark, MarkState
from keepset.review.marking import changes_since, mark, redo, undo
from keepset.review.opening import review

__all__ = [
    "Approval",
    "Batch",
    "BatchProgress",
    "BatchRecord",
    "BatchStatus",
    "ErrorsLeft",
    "Mark",
    "MarkState",
    "Preview",
    "changes_since",
    "damaged_batches",
    "errors_left",
    "list_batches",
    "load_batch",
    "mark",
    "planned",
    "preview",
    "redo",
    "reopen",
    "review",
    "submit",
    "undo",
]
