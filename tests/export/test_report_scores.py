"""Scores of the report card, by hand, against their libraries, and as they are shown."""

from xml.etree import ElementTree

import numpy as np
import pytest
from markdown_it import MarkdownIt
from sklearn.metrics import ndcg_score

from embed_onnx_export import similarity
from embed_onnx_export.report import (
    histogram,
    markdown,
    scores,
)


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_the_histogram() -> None:
    """Every value is in a bar, bars lie on the axis, and words have the page's own colour."""
    values = [0.9712, 0.99, 0.9901, 0.9999, 1.0000001]

    drawn = histogram.svg('a < "b"', values)

    root = ElementTree.fromstring(drawn)
    words = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    bars = [bar.attrib for bar in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert 'a < "b"' == root.get("aria-label") == words[0]
    assert ["0.9700", "0.9850", "1.0000"] == words[-3:]
    assert sorted(["1", "2", "2"]) == sorted(words[1:-3])
    assert {174.0} == {round(float(bar["y"]) + float(bar["height"]), 1) for bar in bars}
    assert all(20 <= float(bar["x"]) <= 620 - float(bar["width"]) for bar in bars)
    assert {"currentColor"} == {text.get("fill") for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert "\n\n" not in drawn


def test_the_histogram_of_what_is_all_the_same() -> None:
    root = ElementTree.fromstring(histogram.svg("float32", [1.0] * 73))

    assert ["73", "0.9950"] == [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")][1:3]


def test_a_table_keeps_its_cells() -> None:
    page = (
        MarkdownIt("commonmark")
        .enable("table")
        .render(markdown.table(["a", "b"], [["1", markdown.literal("x | y")]]))
    )

    assert "<td>x | y</td>" in page


# Scores
def test_cosines_of_any_lengths() -> None:
    remaining = np.array([[1, 0], [3, 4], [1, 1]], np.float32)
    right = np.array([[0, 2], [30, 40], [-1, -1]], np.float32)

    assert similarity.cosines(remaining, right) == pytest.approx([0, 1, -1])


def test_cosines_of_zero_vectors() -> None:
    """Two are alike, one is like no other, and what is not a number stays so."""
    remaining = np.array([[0, 0], [0, 0], [1, 0], [np.nan, 0]], np.float32)
    right = np.array([[0, 0], [1, 0], [0, 0], [1, 0]], np.float32)

    assert similarity.cosines(remaining, right).tolist() == pytest.approx([1, 0, 0, np.nan], nan_ok=True)


def test_spearman_shares_ranks() -> None:
    """By hand: ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4 have 4.5 of covariance, and 4.5 and 5 of variance."""
    assert scores.spearman([1, 2, 3], [10, 20, 90]) == pytest.approx(1)
    assert scores.spearman([1, 2, 3], [9, 8, 7]) == pytest.approx(-1)
    assert scores.spearman([1, 2, 2, 3], [1, 3, 2, 4]) == pytest.approx(4.5 / np.sqrt(4.5 * 5))


def test_nearest() -> None:
    """Best first, the first of equal ones, and without what is left out; in blocks as in one."""
    documents = np.array([[1, 0], [0, 1], [1, 0], [0.5, 0.5]], np.float32)
    queries = np.array([[1, 0], [0, 1]], np.float32)

    assert [[0, 2, 3], [1, 3, 0]] == scores.nearest(queries, documents, [-1, -1], 3).tolist()
    assert [[2, 3, 1], [3, 0, 2]] == scores.nearest(queries, documents, [0, 1], 3).tolist()
    many = rng().normal(size=(600, 8)).astype(np.float32)
    products = many @ many.T
    np.fill_diagonal(products, -np.inf)
    assert np.array_equal(np.argsort(-products, axis=1)[:, :10], scores.nearest(many, many, range(600)))


def test_overlap() -> None:
    """Two of three, in whatever order, and none."""
    one, other = np.array([[1, 2, 3], [1, 2, 3]]), np.array([[3, 9, 1], [4, 5, 6]])

    assert scores.overlap(one, other) == pytest.approx((2 / 3 + 0) / 2)


def test_ndcg_and_recall_by_hand() -> None:
    """Found in the second place and in the first and third, of one and of three that are right."""
    ranked = np.array([[5, 1, 7], [2, 8, 4]])
    gains = [{1: 1.0}, {2: 1.0, 4: 2.0, 9: 1.0}]
    first = (1 / np.log2(3)) / 1
    second = (1 + 2 / np.log2(4)) / (2 + 1 / np.log2(3) + 1 / np.log2(4))

    assert scores.ndcg(ranked, gains) == pytest.approx((first + second) / 2)
    assert scores.recall(ranked, gains) == pytest.approx((1 + 2 / 3) / 2)


def test_ndcg_is_that_of_scikit_learn() -> None:
    random = rng()
    similar, relevance = random.normal(size=(30, 40)), random.integers(0, 4, size=(30, 40)).astype(float)
    gains = [{place: gain for place, gain in enumerate(row) if gain} for row in relevance.tolist()]

    ranked = np.argsort(-similar, axis=1)[:, :10]

    assert scores.ndcg(ranked, gains) == pytest.approx(ndcg_score(relevance, similar, k=10))
