"""What is wrong with the choice of a network is told before the first download, not after the last."""

from __future__ import annotations

from keepset.config import TrainConfig
from keepset.errors import ModelError

__all__ = ["check_choice"]


def check_choice(config: TrainConfig) -> None:
    """Raises the ``ModelError`` that training would end with: a network that nobody knows, weights that are not there.

    Costs nothing for the default; another name imports timm (two seconds). What the hub holds is not asked.
    """
    from keepset.train.networks import known, parts
    from keepset.train.weights import file_digest, packaged

    if config.weights != "packaged":
        known(config.arch)
        file_digest(config.weights)
        return
    try:
        for name in parts(config.arch):
            packaged(name)
    except ModelError:
        known(config.arch)  # a misspelt name is said to be one
        raise
