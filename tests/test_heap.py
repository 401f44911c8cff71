"""Memory freed within a training stays with the process; at its end the system gets it back."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from keepset.machine import heap

PAGE = resource.getpagesize()
PAGES = 48 * 2**20 // PAGE
TIMES = 40

pytestmark = pytest.mark.skipif(heap._glibc() is None, reason="only glibc is told")


def _handed_out() -> int:
    """Pages that the system had to find while a block is taken, touched and freed again and again."""
    import torch

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(TIMES):
        torch.empty(PAGES * PAGE, dtype=torch.uint8)[::PAGE] = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


def test_a_block_taken_again_costs_no_pages_within_and_goes_back_at_the_end() -> None:

    with heap.held():
        found = _handed_out()
        held = _resident()
    assert found < TIMES * PAGES / 2  # the first few times it may lie elsewhere in the heap
    assert held - _resident() > PAGES / 2
