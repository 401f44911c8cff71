"""The run config: a run's facts, seed included, in one frozen object.

It is read from a TOML file, checked whole before anything is written, and its relevant part is written into
every manifest and model. Machine facts (threads, ports, paths) live in ``keepset.settings``.
"""

from keepset.config.reading import check_config, load_config, parse_config, saved_config, saved_train
from keepset.config.sections import (
    ClassConfig,
    DownloadConfig,
    InboxConfig,
    ReviewConfig,
    RunConfig,
    TrainConfig,
    ValidateConfig,
)

__all__ = [
    "ClassConfig",
    "DownloadConfig",
    "InboxConfig",
    "ReviewConfig",
    "RunConfig",
    "TrainConfig",
    "ValidateConfig",
    "check_config",
    "load_config",
    "parse_config",
    "saved_config",
    "saved_train",
]
