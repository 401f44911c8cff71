"""How many cores this process may use, which may be fewer than the machine has."""

from __future__ import annotations

import math
import os
from pathlib import Path

__all__ = ["usable_cores"]


def usable_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """By the affinity (taskset, SLURM, a container's CPU set) and the CPU limit of a container (cgroup v2, ``quota``)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        limit, period = quota.read_text(encoding="ascii").split()
        return max(1, min(cores, math.ceil(int(limit) / int(period))))
    except (OSError, ValueError):  # no cgroup, or "max"
        return cores
