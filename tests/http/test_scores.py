"""Ranks, scores and classes over HTTP, on every wire, with the same bits as in this process."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from harness import CLASSIFIER, RERANKER, SMALL, START_SECONDS, Server, figure, metrics, run
from huggingface_hub import InferenceClient

from embed_onnx import Model

QUERY = "numbers such as 12"
DOCUMENTS = ["a few words", "stand beside letters", "12", "and some more words, commas and dots"]
RERANK = ("/v1/rerank", "/rerank", "/v2/rerank")


def rows(body: dict[str, object]) -> list[tuple[int, np.float32]]:
    """Places and scores; JSON has the digits that a float32 needs."""
    return [(each["index"], np.float32(each["relevance_score"])) for each in body["results"]]


def expected(model: Model, **options: object) -> list[tuple[int, np.float32]]:
    return [(each.index, np.float32(each.score)) for each in model.rank(QUERY, DOCUMENTS, **options)]


@pytest.mark.parametrize("path", RERANK)
@pytest.mark.parametrize("objects", [False, True], ids=["texts", "objects"])
def test_rerank(scorer: httpx.Client, reranker: Model, path: str, objects: bool) -> None:
    """Without a model, the first one that ranks."""
    documents = [{"text": text, "title": "x"} for text in DOCUMENTS] if objects else DOCUMENTS

    answer = scorer.post(path, json={"query": QUERY, "documents": documents})

    body = answer.json()
    assert expected(reranker) == rows(body)
    assert RERANKER == body["model"]
    assert 0 < body["usage"]["prompt_tokens"] == body["usage"]["total_tokens"]
    assert body["id"]
    assert {"index", "relevance_score"} == set(body["results"][0])
    assert ("meta" in body) == (path == "/v2/rerank")
    assert answer.headers["server-timing"].startswith("tokenize;dur=")


@pytest.mark.parametrize("path", RERANK)
def test_options_of_a_rank(scorer: httpx.Client, reranker: Model, path: str) -> None:
    fields = {"query": QUERY, "documents": DOCUMENTS, "model": "rerank-v3.5"}

    best = scorer.post(path, json=fields | {"top_n": 2, "return_documents": True}).json()
    by_other_names = scorer.post(path, json=fields | {"top_k": 2, "return_text": True}).json()
    raw = scorer.post(path, json=fields | {"raw_scores": True, "top_n": 100}).json()

    assert expected(reranker, top_n=2) == rows(best)
    assert by_other_names["results"] == best["results"]
    assert [{"text": DOCUMENTS[index]} for index, _ in rows(best)] == [
        each["document"] for each in best["results"]
    ]
    assert expected(reranker, raw_scores=True) == rows(raw)


def test_long_documents_are_cut_and_said_to_be(scorer: httpx.Client) -> None:
    fields = {"query": "a", "documents": ["few", "few words " * 100]}

    cut = scorer.post("/v1/rerank", json=fields).json()
    limited = scorer.post("/v1/rerank", json=fields | {"max_tokens_per_doc": 5}).json()
    of_pairs = scorer.post("/v1/rerank", json=fields | {"truncate_prompt_tokens": 9}).json()

    for body in (cut, limited, of_pairs):
        assert {0: None, 1: True} == {each["index"]: each.get("truncated") for each in body["results"]}
    sizes = [body["usage"]["total_tokens"] for body in (cut, limited, of_pairs)]
    assert sizes == [5 + 48, 5 + 9, 5 + 9]


def test_text_embeddings_inference(scorer: httpx.Client, reranker: Model) -> None:
    answer = scorer.post("/rerank", json={"query": QUERY, "texts": DOCUMENTS, "return_text": True})
    raw = scorer.post("/rerank", json={"query": QUERY, "texts": DOCUMENTS, "raw_scores": True}).json()

    ranked = reranker.rank(QUERY, DOCUMENTS, return_documents=True)
    assert [(each.index, each.document) for each in ranked] == [
        (each["index"], each["text"]) for each in answer.json()
    ]
    assert expected(reranker) == [(each["index"], np.float32(each["score"])) for each in answer.json()]
    assert expected(reranker, raw_scores=True) == [(each["index"], np.float32(each["score"])) for each in raw]
    assert "cpu" == answer.headers["x-compute-type"]
    assert {"index", "score"} == set(raw[0])


@pytest.mark.parametrize("path", ["/v1/score", "/score"])
def test_score(scorer: httpx.Client, reranker: Model, path: str) -> None:
    scores = dict(expected(reranker))

    one_to_many = scorer.post(path, json={"text_1": QUERY, "text_2": DOCUMENTS}).json()
    in_turn = scorer.post(path, json={"text_1": [QUERY] * 4, "text_2": DOCUMENTS, "model": RERANKER}).json()
    one = scorer.post(path, json={"text_1": QUERY, "text_2": DOCUMENTS[0], "raw_scores": True}).json()

    for body in (one_to_many, in_turn):
        assert ("list", RERANKER) == (body["object"], body["model"])
        assert scores == {each["index"]: np.float32(each["score"]) for each in body["data"]}
    (raw,) = reranker.rank(QUERY, DOCUMENTS[:1], raw_scores=True)
    assert [(0, np.float32(raw.score))] == [
        (each["index"], np.float32(each["score"])) for each in one["data"]
    ]


@pytest.mark.parametrize(
    ("inputs", "items"),
    [
        pytest.param("a few", ["a few"], id="text"),
        pytest.param(["a few"], ["a few"], id="one"),
        pytest.param(["a", "few"], [("a", "few")], id="pair"),
        pytest.param([["a"], ["few"]], ["a", "few"], id="texts"),
        pytest.param([["a", "few"], ["12"]], [("a", "few"), "12"], id="mixed"),
    ],
)
def test_predict(scorer: httpx.Client, classifier: Model, inputs: object, items: list[object]) -> None:
    """By the first model that classifies, which is the reranker, or the one that is named."""
    answer = scorer.post("/predict", json={"inputs": inputs, "model": CLASSIFIER}).json()

    batch = isinstance(inputs, list) and isinstance(inputs[0], list)
    named = [
        [(each["label"], np.float32(each["score"])) for each in labels]
        for labels in (answer if batch else [answer])
    ]
    assert named == [
        [(each.label, np.float32(each.score)) for each in labels] for labels in classifier.classify(items)
    ]
    assert ["LABEL_0"] == [each["label"] for each in scorer.post("/predict", json={"inputs": "a"}).json()]


def test_huggingface_hub(scoring_server: Server, reranker: Model) -> None:
    """Its client for text classification, which takes the first of the labels."""
    best = InferenceClient(model=f"{scoring_server.url}/predict").text_classification("a few")

    (expected,) = reranker.classify("a few")
    assert ("LABEL_0", pytest.approx(expected.score, abs=1e-6)) == (best.label, best.score)


def test_classify(scorer: httpx.Client, classifier: Model) -> None:
    texts = ["a few", "words and 12"]
    predictions = classifier.classify(texts)

    ours = scorer.post("/classify", json={"input": texts, "model": CLASSIFIER}).json()
    infinity = scorer.post(
        "/classify", json={"input": texts, "model": CLASSIFIER, "raw_scores": False}
    ).json()

    assert [labels[0].label for labels in predictions] == [each["label"] for each in ours["data"]]
    assert [max(each["probs"]) for each in ours["data"]] == pytest.approx(
        [labels[0].score for labels in predictions], abs=1e-6
    )
    assert [3, 3] == [each["num_classes"] for each in ours["data"]]
    assert ("list", "classify") == (ours["object"], infinity["object"])
    assert [[each.label for each in labels] for labels in predictions] == [
        [each["label"] for each in labels] for labels in infinity["data"]
    ]


BAD = [
    pytest.param({"documents": ["a"]}, "query", id="no-query"),
    pytest.param({"query": "", "documents": ["a"]}, "query is empty", id="empty-query"),
    pytest.param({"query": 5, "documents": ["a"]}, "Expected `str`, got `int` - at `$.query`", id="number"),
    pytest.param({"query": "q" * 2_000_001, "documents": ["a"]}, "query has 2000001 characters", id="long"),
    pytest.param({"query": "a"}, "documents", id="no-documents"),
    pytest.param({"query": "a", "documents": []}, "documents is an empty list", id="none"),
    pytest.param({"query": "a", "documents": "b"}, "documents is of the wrong type; send a list", id="text"),
    pytest.param({"query": "a", "documents": ["b", ""]}, "documents[1] is empty", id="empty-document"),
    pytest.param({"query": "a", "documents": [{"text": ""}]}, "documents[0] is empty", id="empty-object"),
    pytest.param({"query": "a", "documents": ["b", {"text": "c"}]}, "at `$.documents[1]`", id="mixed"),
    pytest.param({"query": "a", "documents": [{"text": "c"}, "b"]}, "at `$.documents[1]`", id="mixed-too"),
    pytest.param({"query": "a", "documents": [{"title": "c"}]}, "at `$.documents[0]`", id="no-text"),
    pytest.param({"query": "a", "documents": [[1, 2]]}, "documents is of the wrong type", id="ids"),
    pytest.param({"query": "a", "documents": ["b"] * 2049}, "documents has 2049 items", id="many"),
    pytest.param(
        {"query": "a", "documents": [{"text": "b" * 40}] * 2049},
        "documents has 2049 items",
        id="many-objects",
    ),
    pytest.param({"query": "a", "documents": ["b"], "top_n": 0}, "at `$.top_n`", id="top-0"),
    pytest.param({"query": "a", "documents": ["b"], "max_tokens": 3}, "send at least 5", id="max-tokens"),
    pytest.param(
        {"query": "a", "documents": ["b"], "instruction": "c"}, "texts are scored as they are", id="words"
    ),
    pytest.param({"query": "a", "documents": ["b"], "top_m": 1}, "did you mean top_n?", id="misspelt"),
    pytest.param(
        {"query": "a", "documents": ["b " * 99], "truncate": False},
        "documents[0] has 103 tokens as a pair, and this model's maximum context length is 48 tokens",
        id="too-long",
    ),
    pytest.param(
        {"query": "b " * 99, "documents": ["a"], "truncate": "NONE"},
        "documents[0] has 103 tokens as a pair",
        id="long-query",
    ),
    pytest.param(
        {"query": "a", "documents": ["b"], "model": SMALL},
        f"{SMALL} is a model for embed and does not rerank; name one that does: {RERANKER}",
        id="an-embedder",
    ),
    pytest.param(
        {"query": "a", "documents": ["b"], "model": CLASSIFIER},
        f"{CLASSIFIER} is a model for classify and does not rerank; name one that does: {RERANKER}",
        id="a-classifier",
    ),
]


@pytest.mark.parametrize(("body", "sentence"), BAD)
@pytest.mark.parametrize("path", RERANK)
def test_bad_ranks(scorer: httpx.Client, path: str, body: dict[str, object], sentence: str) -> None:
    answer = scorer.post(path, json=body)

    error = answer.json() if path == "/v2/rerank" else answer.json()["error"]
    assert (400, True) == (answer.status_code, sentence in error["message"]), answer.text
    if path != "/v2/rerank" and sentence.startswith((SMALL, CLASSIFIER)):
        assert ("task_not_supported", "model") == (error["code"], error["param"])


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        pytest.param({"query": "a", "texts": []}, "texts is an empty list", id="none"),
        pytest.param({"query": "", "texts": ["a"]}, "query is empty", id="empty-query"),
        pytest.param({"query": "a", "texts": ["b", ""]}, "texts[1] is empty", id="empty"),
        pytest.param({"query": "a", "texts": ["b"] * 2049}, "texts has 2049 items", id="many"),
        pytest.param({"query": "a", "texts": ["b"], "documents": ["b"]}, "texts and documents", id="both"),
        pytest.param({"query": "a", "texts": ["b " * 99], "truncate": False}, "texts[0] has 103", id="long"),
        pytest.param({"query": "a", "texts": ["b"], "model": SMALL}, "does not rerank", id="an-embedder"),
    ],
)
def test_bad_ranks_of_text_embeddings_inference(
    scorer: httpx.Client, body: dict[str, object], sentence: str
) -> None:
    answer = scorer.post("/rerank", json=body)

    assert (422, "Validation") == (answer.status_code, answer.json()["error_type"])
    assert sentence in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        pytest.param("/predict", {"inputs": []}, "inputs is an empty list", id="predict-none"),
        pytest.param("/predict", {"inputs": ""}, "inputs[0] is empty", id="predict-empty"),
        pytest.param("/predict", {"inputs": ["a", "b", "c"]}, "inputs[0] has 3 texts", id="predict-three"),
        pytest.param("/predict", {"inputs": [["a"], []]}, "inputs[1] has 0 texts", id="predict-no-text"),
        pytest.param("/predict", {"inputs": [["a"], "b"]}, "at `$.inputs[1]`", id="predict-mixed"),
        pytest.param("/predict", {"inputs": 5}, "inputs is of the wrong type", id="predict-number"),
        pytest.param("/predict", {"inputs": [["a"]] * 2049}, "inputs has 2049 items", id="predict-many"),
        pytest.param("/predict", {"inputs": "a", "model": SMALL}, "does not classify", id="predict-embedder"),
        pytest.param("/score", {"text_1": ["a", "b"], "text_2": "c"}, "text_1 has 2 texts", id="score-two"),
        pytest.param("/score", {"text_1": "a", "text_2": [1, 2]}, "text_2 is token ids", id="score-ids"),
        pytest.param("/score", {"text_1": "a", "text_2": ["b", ""]}, "text_2[1] is empty", id="score-empty"),
        pytest.param(
            "/score", {"text_1": "a", "text_2": "b", "model": SMALL}, "not rerank", id="score-model"
        ),
        pytest.param("/classify", {"input": []}, "input is an empty list", id="classify-none"),
        pytest.param(
            "/classify", {"input": "a", "model": SMALL}, "does not classify", id="classify-embedder"
        ),
        pytest.param("/classify", {"input": "a", "model": "nope"}, "not served here", id="classify-unknown"),
    ],
)
def test_bad_scores(scorer: httpx.Client, path: str, body: dict[str, object], sentence: str) -> None:
    answer = scorer.post(path, json=body)

    error = answer.json()["error"]
    assert answer.status_code == (422 if path == "/predict" else 404 if body.get("model") == "nope" else 400)
    assert sentence in (error if path == "/predict" else error["message"]), answer.text


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embed", "/api/embed", "/similarity"])
def test_a_reranker_does_not_embed(scorer: httpx.Client, path: str) -> None:
    """And a request without a model goes to the first that does, in any wire."""
    inputs = {"source_sentence": "a", "sentences": ["b"]} if path == "/similarity" else "a"
    field = "input" if path in ("/v1/embeddings", "/api/embed") else "inputs"

    answer = scorer.post(path, json={field: inputs, "model": RERANKER})

    sentence = f"{RERANKER} is a model for rerank, classify and does not embed; name one that does: {SMALL}"
    assert answer.status_code in (400, 422)
    assert sentence in answer.text


def test_halves_of_surrogate_pairs_are_read_as_no_character(scorer: httpx.Client) -> None:
    bodies = ['{"query": "a \\ud800", "documents": ["b \\udfff"]}', '{"query": "a �", "documents": ["b �"]}']

    first, second = (
        scorer.post("/v1/rerank", content=body.encode(), headers={"content-type": "application/json"}).json()
        for body in bodies
    )

    assert first["results"] == second["results"]


def test_a_score_is_the_same_bits_in_any_company(scorer: httpx.Client, scoring_server: Server) -> None:
    """Alone, among 1,000 documents, and while the server embeds and ranks for others."""
    query = {"query": QUERY, "raw_scores": True}
    many = [f"{document} {number}" for number in range(250) for document in DOCUMENTS]
    over = threading.Event()

    def disturb(path: str, fields: dict[str, object]) -> None:
        while not over.is_set():
            httpx.post(f"{scoring_server.url}{path}", json=fields, timeout=START_SECONDS).raise_for_status()

    alone = [rows(scorer.post("/v1/rerank", json=query | {"documents": [text]}).json()) for text in DOCUMENTS]
    among = dict(rows(scorer.post("/v1/rerank", json=query | {"documents": DOCUMENTS + many}).json()))
    others = [
        ("/v1/embeddings", {"input": many}),
        ("/v1/rerank", {"query": "other words", "documents": many}),
    ]
    with ThreadPoolExecutor(len(others)) as threads:
        running = [threads.submit(disturb, *other) for other in others]
        try:
            loaded = [
                rows(scorer.post("/v1/rerank", json=query | {"documents": DOCUMENTS}).json())
                for _ in range(5)
            ]
        finally:
            over.set()
        for future in running:
            future.result()

    scores = {place: score for place, ((_, score),) in enumerate(alone)}
    assert 1004 == len(among)
    assert scores == {place: among[place] for place in scores}
    assert [scores] * 5 == [dict(one) for one in loaded]


def test_metrics_have_the_task(scoring_server: Server, scorer: httpx.Client) -> None:
    labels = {"model": RERANKER, "task": "rerank"}
    before = figure(metrics(scoring_server.url), "embed_onnx_inputs_total", **labels)

    scorer.post("/v1/rerank", json={"query": "a", "documents": ["b", "c"]})

    assert before + 2 == figure(metrics(scoring_server.url), "embed_onnx_inputs_total", **labels)


def test_lists_of_models_say_what_each_can_do(scorer: httpx.Client) -> None:
    cards = {card["id"]: card for card in scorer.get("/v1/models").json()["data"]}

    assert ["embed"] == cards[SMALL]["tasks"]
    assert ["rerank", "classify"] == cards[RERANKER]["tasks"] == cards["rerank-v3.5"]["tasks"]
    assert (["classify"], ["bad", "fair", "good"]) == (
        cards[CLASSIFIER]["tasks"],
        cards[CLASSIFIER]["labels"],
    )
    assert [SMALL] == list(scorer.get("/models").json()["data"]["models"])


def test_commands_for_vectors_refuse_a_model_that_scores(scoring_home: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("a few\n")
    (tmp_path / "sts.csv").write_text("score,sentence1,sentence2\n1,a,b\n2,c,d\n")
    for arguments, sentence in (
        (("embed", "--text", "a", "--model", RERANKER), "does not embed"),
        (("embed", str(tmp_path / "texts.txt"), "-o", "v.npy", "--model", RERANKER), "does not embed"),
        (("report", RERANKER, "--sts", str(tmp_path / "sts.csv")), "--sts is for models of vectors, and"),
    ):
        done = run(*arguments, cwd=scoring_home)
        assert (1, True) == (done.returncode, sentence in done.stderr), done.stderr


def test_commands_list_what_a_model_does(scoring_home: Path) -> None:
    done = run("models", cwd=scoring_home)

    assert 0 == done.returncode
    assert "rerank, classify" in " ".join(done.stdout.split())
