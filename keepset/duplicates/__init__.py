"""Duplicates: the same pixels, copies that somebody cropped, mirrored, captioned or recoloured, and frames of one scene.

A perceptual hash (``hashes``) and the features of a pretrained network (``neighbours``) propose pairs; a close comparison
of the two thumbnails decides about each (``compare``, ``overlay``, ``verdict``); ``groups`` makes groups of what it says.
"""

from keepset.duplicates.compare import Look, look_at
from keepset.duplicates.groups import SCENE, Judge, Pair, Pictures, group, hanging_together
from keepset.duplicates.hashes import look_alikes, near_pairs
from keepset.duplicates.neighbours import Axes, nearest_pairs
from keepset.duplicates.verdict import Kinship, PairVerdict, judge

__all__ = [
    "SCENE",
    "Axes",
    "Judge",
    "Kinship",
    "Look",
    "Pair",
    "PairVerdict",
    "Pictures",
    "group",
    "hanging_together",
    "judge",
    "look_alikes",
    "look_at",
    "near_pairs",
    "nearest_pairs",
]
