"""English texts made up here, the same at every run: for rankings and for timing."""

import itertools

import numpy as np

PEOPLE = (
    "the gardener", "a young nurse", "our neighbour", "the ship's cook", "an old physicist",
    "the football coach", "a tired lawyer", "the village baker", "my sister", "the new programmer",
    "a wandering poet", "the bank clerk",
)  # fmt: skip
DEEDS = (
    "repairs the wooden fence", "waters forty tomato plants", "bakes bread with rye flour",
    "measures the speed of light", "writes a letter to the mayor", "debugs a slow database query",
    "sells two shares of a railway", "trains the goalkeeper", "reads a contract aloud",
    "treats a patient with a fever", "sings an old sailors' song", "counts the coins of the day",
    "plans a journey to the mountains", "photographs a flock of geese", "teaches children to swim",
    "paints the kitchen blue", "forgets the password again", "grinds coffee for six guests",
)  # fmt: skip
PLACES = (
    "behind the school", "in a crowded harbour", "at the edge of the forest", "on the night train",
    "in the hospital's garden", "under a leaking roof", "on the third floor", "near the stadium",
)  # fmt: skip
TIMES = (
    "before breakfast", "every Sunday", "in the middle of winter", "while it rains",
    "after the meeting", "at last",
)  # fmt: skip

MEDIAN_SENTENCES, SPREAD, MOST_SENTENCES = 1.5, 0.9, 20
"""Of a text of mixed length: most have a sentence or two, about 12 tokens each, a few are pages."""


def sentences(count: int) -> list[str]:
    """So many different sentences, drawn from all that can be made."""
    combinations = list(itertools.product(PEOPLE, DEEDS, PLACES, TIMES))
    drawn = np.random.default_rng(0).choice(len(combinations), count, replace=False)
    return [
        f"{person.capitalize()} {' '.join(rest)}."
        for person, *rest in (combinations[place] for place in drawn)
    ]


def mixed(count: int) -> list[str]:
    """Texts of one sentence to many, lognormal as most collections are."""
    rng = np.random.default_rng(1)
    lengths = np.clip(np.exp(rng.normal(np.log(MEDIAN_SENTENCES), SPREAD, count)).round(), 1, MOST_SENTENCES)
    pool = iter(sentences(int(lengths.sum())))
    return [" ".join(itertools.islice(pool, int(length))) for length in lengths]
