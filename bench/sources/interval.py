"""Does the interval for pictures in clusters cover the true rate? Beta-binomial clusters of known rate and likeness.

    python -m bench.sources.interval

Each cluster (a site) has its own error rate, drawn from a beta distribution with the true mean; sizes are alike, or as
uneven as the web's (log-normal). Beside it: Wilson's interval, which takes the pictures for independent.
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np

from keepset.models.intervals import clustered, wilson

RATES, LIKENESS, CLUSTERS = (0.01, 0.05, 0.15, 0.4), (0.0, 0.05, 0.2, 0.4), (8, 15, 40)


def sizes(rng: np.random.Generator, clusters: int, uneven: bool) -> np.ndarray:
    return np.ceil(rng.lognormal(2.0, 1.0, clusters)).astype(int) if uneven else np.full(clusters, 12)


def one(
    rng: np.random.Generator, rate: float, likeness: float, clusters: int, uneven: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Whether each picture is wrong, and its cluster."""
    n = sizes(rng, clusters, uneven)
    spread = (1 - likeness) / likeness if likeness else 0.0
    own = rng.beta(rate * spread, (1 - rate) * spread, clusters) if likeness else np.full(clusters, rate)
    groups = np.repeat(np.arange(clusters), n)
    return rng.random(len(groups)) < own[groups], groups


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    print("| sizes | clusters | likeness | " + " | ".join(f"rate {r:.0%}" for r in RATES) + " |")
    print("|---|---|---|" + "---|" * len(RATES))
    all_of_it = []
    for uneven, clusters, likeness in itertools.product((False, True), CLUSTERS, LIKENESS):
        cells = []
        for rate in RATES:
            rng = np.random.default_rng([7, clusters, int(100 * rate), int(100 * likeness), uneven])
            hit, plain, width = 0, 0, 0.0
            for _ in range(draws):
                wrong, groups = one(rng, rate, likeness, clusters, uneven)
                low, high = clustered(wrong, groups)
                a, b = wilson(int(wrong.sum()), len(wrong))
                hit, plain, width = hit + (low <= rate <= high), plain + (a <= rate <= b), width + high - low
            cells.append(f"{hit / draws:.1%} ({plain / draws:.0%}; width {width / draws:.2f})")
            all_of_it.append(hit / draws)
        print(f"| {'uneven' if uneven else 'alike'} | {clusters} | {likeness} | {' | '.join(cells)} |", flush=True)
    print(f"\nleast {min(all_of_it):.1%}, mean {np.mean(all_of_it):.1%}")


if __name__ == "__main__":
    main()
