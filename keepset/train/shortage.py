"""Memory that is not enough: how to tell it from other errors, and what to say."""

from __future__ import annotations

from keepset.errors import TrainingError

__all__ = ["cause", "out_of_memory", "too_large"]


def out_of_memory(e: BaseException) -> bool:
    """Whether ``e`` is what torch (CUDA, MPS or CPU), numpy or Python raise when memory is used up."""
    import torch

    if isinstance(e, torch.OutOfMemoryError | MemoryError):
        return True
    signs = ("can't allocate memory", "out of memory", "not enough memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(e, RuntimeError) and any(s in str(e) for s in signs)


def cause(e: BaseException) -> str:
    """One line for people."""
    return str(e).strip().split("\n", maxsplit=1)[0][:120] or type(e).__name__


def too_large(reason: str) -> TrainingError:
    return TrainingError(
        f"Memory is not enough for a single image ({reason}).",
        "Set a smaller [train] size or [train] arch, or use a machine with more memory.",
    )
