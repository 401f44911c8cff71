"""``python -m keepset``: the command line."""

from __future__ import annotations

from keepset.cli import main

if __name__ == "__main__":
    main()
