"""Texts to measure with: made up here, or the lines of files given on the command line."""

import random
from collections.abc import Sequence
from pathlib import Path

WORDS = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or had an "
    "which one we were all their there been has when who will more no if out so said what up its about into "
    "than them can only other time new some could these two may first then do any like my now over such our "
    "man me even most made after also did many off before must well back through years where much your way "
    "down should because long each just state people those too mr how little good world make very year still "
    "see work life being day between under never same another know while last might us great old go come"
).split()


def of_words(count: int, words: int, seed: int = 0) -> list[str]:
    """Texts of that many words, each of one token for most English vocabularies."""
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=words)) for _ in range(count)]


def mixed(files: Sequence[Path], count: int, seed: int = 0) -> list[str]:
    """Texts of mixed lengths: lines drawn from files, or made-up texts of mostly few words."""
    rng = random.Random(seed)
    if files:
        lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines() if line]
        return rng.sample(lines, min(count, len(lines)))
    lengths = [min(250, max(2, int(rng.lognormvariate(2.8, 1.0)))) for _ in range(count)]
    return [of_words(1, length, seed=place)[0] for place, length in enumerate(lengths)]
