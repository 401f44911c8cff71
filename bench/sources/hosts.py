"""Does the error on unseen sources cover the error on hosts that nobody has seen, where that of the random split is too low?

    python -m bench.sources.hosts [--sets 100]

Made-up features, as a frozen network gives them: each class has a direction, and each host its own: what its cameras,
shops and layouts have in common. On a host the classes are unevenly frequent, so a head can learn hosts instead of
classes; ``pull`` says how strongly a host shows in the features. The truth is the error of the product's head, trained on
everything, on 150 further hosts.
"""

from __future__ import annotations

import argparse

import numpy as np

from keepset.interpret.unseen import Judged, error_on_unseen
from keepset.train.head import fit_head

CLASSES, WIDTH = 3, 120


class World:
    """Directions of the classes, and hosts drawn as they are needed."""

    def __init__(self, seed: int, pull: float) -> None:
        self.rng, self.pull = np.random.default_rng([seed, int(100 * pull)]), pull
        self.centres = self.rng.normal(0, 0.22, (CLASSES, WIDTH))

    def hosts(self, count: int, mean: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features, labels and host of the pictures of ``count`` hosts."""
        x, y, h = [], [], []
        for host in range(count):
            n = int(np.ceil(self.rng.lognormal(np.log(mean) - 0.4, 0.9)))
            labels = self.rng.choice(CLASSES, n, p=self.rng.dirichlet(np.full(CLASSES, 0.5)))
            own = self.rng.normal(0, self.pull, WIDTH)
            x.append(self.centres[labels] + own + self.rng.normal(0, 1, (n, WIDTH)))
            y.append(labels)
            h.append(np.full(n, host))
        return np.concatenate(x).astype(np.float32), np.concatenate(y), np.concatenate(h)


def one(seed: int, hosts: int, pull: float) -> tuple[float, object]:
    """The true error on unseen hosts, and what the product says."""
    world = World(seed, pull)
    x, y, h = world.hosts(hosts, 400 / hosts)
    others, truth, _ = world.hosts(150, 8)
    strength = 0.03
    error = float((fit_head(x, y, CLASSES, strength).logits(others).argmax(1) != truth).mean())
    folds = world.rng.integers(0, 5, len(y))
    plain = np.zeros(len(y), bool)
    for f in range(5):
        head = fit_head(x[folds != f], y[folds != f], CLASSES, strength)
        plain[folds == f] = head.logits(x[folds == f]).argmax(1) != y[folds == f]
    sites = [f"host{i}" for i in h]
    names = [str(c) for c in range(CLASSES)]
    return error, error_on_unseen(
        Judged(
            names,
            y,
            folds,
            plain,
            sites,
            [None] * len(y),
            [str(i) for i in range(len(y))],
            lambda k: x[k],
            strength,
            seed,
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=100)
    sets = parser.parse_args().sets
    print(
        "| hosts | pull | measured | true error | unseen, mean | covers | too low | random split, mean | covers | too low |\n|---|---|---|---|---|---|---|---|---|---|",
        flush=True,
    )
    for hosts in (10, 25, 80):
        for pull in (0.0, 0.2, 0.4):
            done = [one(seed, hosts, pull) for seed in range(sets)]
            some = [(t, u) for t, u in done if u.error is not None]
            if not some:
                print(f"| {hosts} | {pull} | 0 of {sets} | | | | | | | |", flush=True)
                continue
            truth = np.array([t for t, _ in some])
            ours = np.array([(u.error, u.low, u.high) for _, u in some])
            plain = np.array([(u.plain, u.plain_low, u.plain_high) for _, u in some])
            cells = [f"{hosts}", f"{pull}", f"{len(some)} of {sets}", f"{truth.mean():.1%}"]
            for rates in (ours, plain):
                covers, low = (rates[:, 1] <= truth) & (truth <= rates[:, 2]), rates[:, 2] < truth
                cells += [f"{rates[:, 0].mean():.1%}", f"{covers.mean():.0%}", f"{low.mean():.0%}"]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
