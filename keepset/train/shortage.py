"""Memory that is not enough: how to tell it from other errors, and what to say."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from keepset.errors import TrainingError

__all__ = ["cause", "out_of_memory", "told", "too_large"]


def out_of_memory(e: BaseException) -> bool:
    """Whether ``e`` is what torch (CUDA, MPS or CPU), numpy or Python raise when memory is used up.

    oneDNN, which computes on CPUs, then only says that it could not create a primitive; what it does not support it
    calls a primitive descriptor.
    """
    import torch

    if isinstance(e, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(e, OSError):
        return e.errno == errno.ENOMEM
    signs = ("can't allocate memory", "out of memory", "not enough memory", "CUBLAS_STATUS_ALLOC_FAILED")
    words = str(e)
    one_dnn = "could not create a primitive" in words and "descriptor" not in words
    return isinstance(e, RuntimeError) and (one_dnn or any(s in words for s in signs))


def cause(e: BaseException) -> str:
    """One line for people."""
    return str(e).strip().split("\n", maxsplit=1)[0][:120] or type(e).__name__


def too_large(reason: str) -> TrainingError:
    return TrainingError(
        f"Memory is not enough for a single image ({reason}).",
        "Set a smaller [train] size or [train] arch, or use a machine with more memory.",
    )


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Memory that is used up where no smaller pieces help is a ``TrainingError``."""
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as e:
        if not out_of_memory(e):
            raise
        raise TrainingError(
            f"Memory ran out ({cause(e)}).",
            "End what else runs on this machine, use one with more memory, or set a smaller [train] size.",
        ) from e
