"""Fields of other APIs and misspelt ones: they do what they mean, or are refused by name; never ignored."""

import json
from typing import Any

import msgspec
import pytest

from embed_onnx.errors import InvalidRequest
from embed_onnx.http.body import foreign, reading, words
from embed_onnx.http.cohere.embed import EmbedRequest
from embed_onnx.http.ollama import embed as ollama
from embed_onnx.http.openai import embeddings as wire
from embed_onnx.http.openai.sparse import SparseRequest
from embed_onnx.http.openai.token_vectors import TokenRequest
from embed_onnx.http.openai.tokenize import TokenizeRequest
from embed_onnx.http.ranking import RerankRequest
from embed_onnx.http.tei import embed as tei
from embed_onnx.http.tei.scores import PredictRequest, TeiRerankRequest
from embed_onnx.http.tei.sparse import TeiSparseRequest
from embed_onnx.http.tei.token_vectors import AllRequest
from embed_onnx.http.vllm import ClassifyRequest, PoolingRequest, ScoreRequest

OLLAMA_OPTIONS = """
num_keep seed num_predict top_k top_p min_p tfs_z typical_p repeat_last_n temperature repeat_penalty
presence_penalty frequency_penalty mirostat mirostat_tau mirostat_eta penalize_newline stop numa num_batch
num_gqa num_gpu main_gpu low_vram f16_kv logits_all vocab_only use_mmap use_mlock embedding_only
rope_frequency_base rope_frequency_scale num_thread draft_num_predict
"""


def read(fields: dict[str, Any], kind: type[msgspec.Struct] = wire.EmbeddingRequest) -> dict[str, Any]:
    """The fields of a request that say something, but for its texts."""
    request = msgspec.structs.asdict(reading.read(json.dumps(fields).encode(), kind))
    silent = (None, msgspec.UNSET)
    return {
        name: value for name, value in request.items() if value not in silent and name not in foreign.TEXTS
    }


def refusal(fields: dict[str, Any], kind: type[msgspec.Struct] = wire.EmbeddingRequest) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refused:
        read(fields, kind)
    return refused.value


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"truncation": False}, {"truncate": False}, id="voyage"),
        pytest.param({"autoTruncate": True}, {"truncate": True}, id="vertex"),
        pytest.param({"truncation_side": "left"}, {"truncation_direction": "Left"}, id="vllm-side"),
        pytest.param({"truncate_prompt_tokens": 8}, {"max_tokens": 8, "truncate": True}, id="vllm"),
        pytest.param({"truncate_prompt_tokens": -1}, {"truncate": True}, id="vllm-model-limit"),
        pytest.param(
            {"truncate_prompt_tokens": 8, "truncate": False}, {"max_tokens": 8, "truncate": False}, id="both"
        ),
        pytest.param({"max_length": 8}, {"max_tokens": 8}, id="transformers"),
        pytest.param({"max_seq_length": 8}, {"max_tokens": 8}, id="sentence-transformers"),
        pytest.param({"normalized": False}, {"normalize": False}, id="jina-normalized"),
        pytest.param({"use_activation": False}, {"normalize": False}, id="vllm-activation"),
        pytest.param({"embd_normalize": -1}, {"normalize": False}, id="llama.cpp"),
        pytest.param({"embd_normalize": 2}, {"normalize": True}, id="llama.cpp-euclidean"),
        pytest.param({"task": "retrieval.query"}, {"input_type": "query"}, id="jina"),
        pytest.param({"task": "retrieval.passage"}, {"input_type": "document"}, id="jina-passage"),
        pytest.param({"task": "separation"}, {"input_type": "clustering"}, id="jina-separation"),
        pytest.param({"taskType": "RETRIEVAL_DOCUMENT"}, {"input_type": "document"}, id="gemini"),
        pytest.param({"task_type": "TASK_TYPE_UNSPECIFIED"}, {}, id="gemini-unspecified"),
        pytest.param({"prompt_type": "passage"}, {"input_type": "passage"}, id="prompt-type"),
        pytest.param({"embedding_types": ["float"]}, {"output_dtype": "float"}, id="cohere"),
        pytest.param({"embedding_type": "base64"}, {"encoding_format": "base64"}, id="jina-base64"),
        pytest.param({"pooling_type": "MEAN"}, {"pooling": "MEAN"}, id="pooling"),
        pytest.param({"embedding_type": "ubinary"}, {"output_dtype": "ubinary"}, id="jina-bits"),
        pytest.param({"embedding_types": ["int8"]}, {"output_dtype": "int8"}, id="cohere-int8"),
        pytest.param({"output_dtype": "INT8"}, {"output_dtype": "int8"}, id="voyage-int8"),
        pytest.param({"precision": "fp16"}, {"output_dtype": "float16"}, id="half"),
        pytest.param(
            {"embed_dtype": "bfloat16", "endianness": "big"},
            {"output_dtype": "bfloat16", "endianness": "big"},
            id="vllm-numbers",
        ),
        pytest.param({"modality": "text"}, {}, id="infinity"),
        pytest.param({"modality": ["text"]}, {}, id="nvidia"),
        pytest.param({"late_chunking": False, "return_multivector": False}, {}, id="jina-off"),
        pytest.param({"instruction": "", "images": [], "title": None}, {}, id="empty"),
        pytest.param({"dimensions": 4, "output_dimension": 4}, {"dimensions": 4}, id="twice-the-same"),
        pytest.param({"dimensions": None, "dims": 4}, {"dimensions": 4}, id="ours-is-null"),
        pytest.param({"input_type": "QUERY"}, {"input_type": "query"}, id="word-in-capitals"),
        pytest.param({"truncate": "none"}, {"truncate": "NONE"}, id="word-in-small-letters"),
        pytest.param({"foo": 1, "metadata": {"a": [None]}, "request_id": "x"}, {}, id="unknown"),
        pytest.param({"x" * 5000: 1}, {}, id="a-long-name"),
        pytest.param(
            {"safety_identifier": "a", "provider": {"order": ["x"]}, "priority": 1, "service_tier": "auto"},
            {},
            id="of-a-proxy",
        ),
    ],
)
def test_what_it_means(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert expected == read({"input": "a", **fields})


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        pytest.param({"output_dtype": "int4"}, "int8, ubinary, uint8", id="voyage"),
        pytest.param({"embedding_types": ["int4"]}, '["int4"], and this route takes "float"', id="cohere"),
        pytest.param({"embedding_types": ["float", "int8"]}, '["float", "int8"]', id="cohere-two"),
        pytest.param({"embed_dtype": "fp8_e4m3"}, 'embed_dtype is "fp8_e4m3"', id="vllm"),
        pytest.param({"endianness": "middle"}, "big, little, native", id="endianness"),
        pytest.param({"modality": "image"}, "only texts are read here", id="infinity"),
        pytest.param({"images": ["https://a/b.png"]}, "only texts are read here", id="images"),
        pytest.param({"late_chunking": True}, "each text is embedded by itself here", id="jina"),
        pytest.param(
            {"task": "text-matching"}, "name one of the model's prompts with prompt_name", id="task"
        ),
        pytest.param({"task": {"a": 1}}, 'task is {"a": 1}', id="task-object"),
        pytest.param({"instruction": "Find"}, "send the whole prefix as prompt", id="instruction"),
        pytest.param({"instruct": "Find"}, "send the whole prefix as prompt", id="alibaba"),
        pytest.param({"title": "A"}, "put it before the text yourself", id="gemini"),
        pytest.param({"output_type": "sparse"}, "one dense vector", id="alibaba-sparse"),
        pytest.param({"embd_normalize": 1}, "Euclidean", id="llama.cpp"),
        pytest.param({"output_dimension": "x"}, "Expected `int | null`, got `str`", id="type"),
        pytest.param(
            {"dimensions": 4, "output_dimension": 5}, "are both there and differ", id="contradiction"
        ),
        pytest.param(
            {"output_dim": 4, "dims": 5}, "output_dim and dims are both there", id="contradiction-2"
        ),
        pytest.param({"dimension": 2}, "did you mean dimensions?", id="dimension"),
        pytest.param({"dimentions": 2}, "did you mean dimensions?", id="dimentions"),
        pytest.param({"normalise": True}, "did you mean normalize?", id="normalise"),
        pytest.param({"promt": "x"}, "did you mean prompt?", id="promt"),
        pytest.param({"modle": "x"}, "did you mean model?", id="modle"),
        pytest.param({"encodingFormat": "float"}, "did you mean encoding_format?", id="camel-case"),
        pytest.param({"inputType": "query"}, "did you mean input_type?", id="camel-case-2"),
        pytest.param({"Input-Type": "query"}, "did you mean input_type?", id="kebab-case"),
        pytest.param({"DIMENSIONS": 2}, "did you mean dimensions?", id="capitals"),
        pytest.param({"inputs": "x"}, "did you mean input?", id="inputs"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], sentence: str) -> None:
    """The error names the field as it was sent, and what can be done."""
    error = refusal({"input": "a", **fields})

    assert sentence in str(error)
    assert error.param == list(fields)[-1]
    assert str(error.param) in str(error)


@pytest.mark.parametrize("place", words.NESTED)
def test_fields_in_an_object(place: str) -> None:
    """Wherever clients put them, they do what they mean; what changes no vector is ignored there as well."""
    inside = {"outputDimensionality": 3, "truncate": False, "prompt_name": "query", "temperature": 0.5}

    assert {"dimensions": 3, "truncate": False, "prompt_name": "query"} == read({"input": "a", place: inside})
    assert {"dimensions": 3} == read({"input": "a", "dimensions": 3, place: {"dimensions": 3, "x": None}})
    assert {} == read({"input": "a", place: {}})
    assert {} == read({"input": "a", place: None})
    for field, value, sentence in (
        ("embed_dtype", "int4", f'{place}.embed_dtype is "int4"'),
        ("dimension", 3, f"{place}.dimension is not a field of this route; did you mean dimensions?"),
        ("dimensions", 4, f"dimensions and {place}.dimensions are both there and differ"),
        ("normalize", "x", f"got `str` - at `$.{place}.normalize`"),
    ):
        assert sentence in str(refusal({"input": "a", "dimensions": 3, place: {field: value}}))


def test_a_very_large_object_of_options() -> None:
    """Each of its fields would become an object of ours."""
    many = {str(number): 1 for number in range(10_000)}

    assert "at most 65536 are taken" in str(refusal({"input": "a", "options": many}))


@pytest.mark.parametrize("kind", [ollama.OllamaRequest, ollama.EmbeddingsRequest])
def test_options_of_ollama(kind: type[msgspec.Struct]) -> None:
    """All that its clients can send pass; what is none of them is refused where it is nearly one."""
    ours = {"model": "m", "prompt": "a"}
    options = dict.fromkeys(OLLAMA_OPTIONS.split(), 1)

    assert {"model": "m"} == read(ours | {"options": options}, kind)
    assert {"model": "m", "max_tokens": 8} == read(ours | {"options": options | {"num_ctx": 8}}, kind)
    for name in ("num_ctxx", "num_ct", "nun_ctx", "numctx"):
        assert "did you mean num_ctx?" in str(refusal(ours | {"options": {name: 8}}, kind))
    for wrong in ([], "x", 5, True):
        assert "send an object, or leave it out" in str(refusal(ours | {"options": wrong}, kind))


@pytest.mark.parametrize(
    ("name", "right"),
    [
        *(("output_dimensionn", "output_dimension"), ("truncate_prompt_token", "truncate_prompt_tokens")),
        *(("embeding_types", "embedding_types"), ("endianess", "endianness"), ("modalty", "modality")),
        *(("outputDimensionalty", "output_dimensionality"), ("num_ctxx", "num_ctx")),
    ],
)
def test_a_word_of_another_api_that_is_misspelt(name: str, right: str) -> None:
    assert f"did you mean {right}?" in str(refusal({"input": "a", name: 3}))


@pytest.mark.parametrize(
    "name", ["max_output_tokens", "prompt_id", "embedding_mode", "return_tensors", "request_id", "priority"]
)
def test_names_that_are_only_alike(name: str) -> None:
    assert {} == read({"input": "a", name: 3})


@pytest.mark.parametrize("name", ["model_name", "modelId", "engine", "deployment"])
def test_the_model_under_another_name(name: str) -> None:
    """It would be the first one, in silence."""
    assert "send its name as model" in str(refusal({"input": "a", name: "small"}))
    assert {"model": "m"} == read({"input": "a", "model": "m", name: "small"})


@pytest.mark.parametrize("name", ["texts", "sentences", "inputs", "text", "contents"])
def test_texts_under_another_name(name: str) -> None:
    assert "send the texts as input" in str(refusal({name: ["a"]}))
    assert "send the texts as input" in str(refusal({name: ["a"], "input": None}))


def test_each_route_knows_its_own_fields() -> None:
    """What is a field on one route is another API's on the next."""
    assert "send the texts as inputs" in str(refusal({"input": "a"}, tei.TeiRequest))
    assert "this route sends lists" in str(
        refusal({"inputs": "a", "encoding_format": "base64"}, tei.TeiRequest)
    )
    assert "this route sends lists" in str(
        refusal({"inputs": "a", "embedding_type": "base64"}, tei.TeiRequest)
    )
    for name in ("output_dtype", "embedding_type", "precision"):
        assert "POST /v1/embeddings takes it as output_dtype" in str(
            refusal({"inputs": "a", name: "int8"}, tei.TeiRequest)
        )
        assert {} == read({"inputs": "a", name: "float"}, tei.TeiRequest)
    assert {} == read({"inputs": "a", "encoding_format": "float", "user": "me"}, tei.TeiRequest)
    assert "send the texts as prompt" in str(refusal({"model": "m", "input": "a"}, ollama.EmbeddingsRequest))


def test_all_words_are_for_fields_that_every_route_has() -> None:
    for kind in (tei.TeiRequest, ollama.OllamaRequest, ollama.EmbeddingsRequest):
        fields = {word.field for word in words.WORDS.values()} - {None}
        assert fields - set(kind.__struct_fields__) <= {"encoding_format", "output_dtype"}
    fields = {word.field for word in words.WORDS.values() if not word.vectors} - {None}
    assert fields <= set(TokenizeRequest.__struct_fields__)


def test_what_is_about_vectors_alone_does_not_matter_for_tokens() -> None:
    fields = {
        "output_dtype": "int8",
        "encoding_format": "base64",
        "dims": 4,
        "dimensions": 3,
        "normalized": False,
    }

    assert {"max_tokens": 9} == read({"input": "a", "max_length": 9, **fields}, TokenizeRequest)
    assert "only texts" in str(refusal({"input": "a", "modality": "image"}, TokenizeRequest))


def test_among_very_many_fields_those_of_other_apis_count() -> None:
    """No unknown name becomes an object there, as 16 MB of them would fill the memory."""
    fields = b",".join(b'"%d":1' % number for number in range(100_000))

    request = reading.read(b'{"input": "a", %s, "outputDimension": 3}' % fields, wire.EmbeddingRequest)

    assert 3 == request.dimensions
    with pytest.raises(InvalidRequest, match="modality is"):
        reading.read(b'{"input": "a", %s, "modality": "image"}' % fields, wire.EmbeddingRequest)


def test_a_long_text_beside_an_unknown_field_is_taken() -> None:
    request = reading.read(json.dumps({"x": 1, "input": "a" * 500_000}).encode(), wire.EmbeddingRequest)

    assert 500_002 == len(request.input)


def test_halves_of_surrogate_pairs_where_values_are_looked_at() -> None:
    """In keys, in words of other APIs, and within objects of options."""
    for fields in (r'"embed_dtype": "\ud83d"', r'"options": {"embed_dtype": "\ud83d"}'):
        with pytest.raises(InvalidRequest, match="ufffd"):
            reading.read(b'{"input": "a", %s}' % fields.encode(), wire.EmbeddingRequest)
    for fields in (r'"\ud83d": 1', r'"options": {"\ud83d": {"\ud83d": 1}}', r'"x": ["\ude00"]'):
        reading.read(b'{"input": "a", %s}' % fields.encode(), wire.EmbeddingRequest)


# Routes of sparse vectors and of token vectors
OF_VECTORS = (
    wire.EmbeddingRequest, tei.TeiRequest, ollama.OllamaRequest, SparseRequest, TeiSparseRequest,
    TokenRequest, AllRequest, PoolingRequest, EmbedRequest,
)  # fmt: skip


def around(kind: type[msgspec.Struct], fields: dict[str, Any]) -> dict[str, Any]:
    """The fields beside a text."""
    return {
        next(name for name in ("input", "inputs", "texts") if name in kind.__struct_fields__): "a",
        **fields,
    }


@pytest.mark.parametrize("kind", OF_VECTORS, ids=lambda kind: kind.__name__)
def test_no_route_of_vectors_ignores_what_is_about_vectors(kind: type[msgspec.Struct]) -> None:
    """A value that nothing takes is refused by its name, in snake case and in camel case."""
    names = {*words.VECTOR_FIELDS, *(name for name, word in words.WORDS.items() if word.vectors)}
    for name in sorted(names):
        head, *rest = name.split("_")
        for spelling in {name, head + "".join(map(str.capitalize, rest))}:
            assert spelling in str(refusal(around(kind, {spelling: {"a": 1}}), kind)), (name, spelling)


@pytest.mark.parametrize(
    ("kind", "fields", "sentence"),
    [
        (wire.EmbeddingRequest, {"max_active_dims": 9}, "POST /v1/sparse_embeddings takes it"),
        (tei.TeiRequest, {"return_terms": True}, "POST /v1/sparse_embeddings takes it"),
        (SparseRequest, {"encoding_format": "base64"}, "this route sends lists of numbers"),
        (SparseRequest, {"output_dtype": "float16"}, "weights are float32"),
        (SparseRequest, {"embedding_types": ["int8"]}, "weights are float32"),
        (SparseRequest, {"dimensions": 256}, "keeps fewer weights by max_active_dims"),
        (SparseRequest, {"truncate_dim": 256}, "truncate_dim is 256, and this route does not take it"),
        (SparseRequest, {"return_dense": True}, "each text has one sparse vector here"),
        (TeiSparseRequest, {"max_active_dims": 9}, "POST /v1/sparse_embeddings takes it"),
        (TeiSparseRequest, {"return_terms": True}, "POST /v1/sparse_embeddings takes it"),
        (TeiSparseRequest, {"parameters": {"max_active_dims": 9}}, "parameters.max_active_dims is 9"),
        (SparseRequest, {"endianness": "big"}, 'this route takes "little", "native"'),
        (tei.TeiRequest, {"endianness": "big"}, 'this route takes "little", "native"'),
        (TokenRequest, {"max_active_dims": 9}, "POST /v1/sparse_embeddings takes it"),
        (TokenRequest, {"endianness": "big"}, "bytes are little-endian"),
        (TokenRequest, {"output_dtype": "int8"}, "it is one of float, float16, float32"),
        (TokenRequest, {"normalize": True}, "the model normalises token vectors, or does not"),
        (AllRequest, {"output_dtype": "float16"}, "POST /v1/token_embeddings takes it"),
        (AllRequest, {"encoding_format": "base64"}, "POST /v1/token_embeddings takes it"),
        (AllRequest, {"return_sparse": True}, "each token of a text has a vector here"),
        (AllRequest, {"return_tokens": True}, "POST /v1/token_embeddings takes it"),
        (SparseRequest, {"return_tokens": True}, "POST /v1/token_embeddings takes it"),
        (SparseRequest, {"embd_normalize": 2}, "embd_normalize is 2, and"),
        (TeiSparseRequest, {"dtype": "half"}, 'dtype is "half", and'),
        (PoolingRequest, {"dimensions": 64}, "token vectors are not cut"),
        (PoolingRequest, {"embed_dtype": "float16"}, "POST /v1/token_embeddings takes it"),
        (PoolingRequest, {"endianness": "big"}, "bytes are little-endian"),
        (PoolingRequest, {"normalize": False}, "the model normalises token vectors, or does not"),
        (PoolingRequest, {"max_active_dims": 9}, "POST /v1/sparse_embeddings takes it"),
    ],
)
def test_what_a_route_has_no_meaning_for(
    kind: type[msgspec.Struct], fields: dict[str, Any], sentence: str
) -> None:
    assert sentence in str(refusal(around(kind, fields), kind))


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        (SparseRequest, {"output_dtype": "float32", "encoding_format": "float", "return_sparse": True}, {}),
        (SparseRequest, {"return_dense": False, "output_type": "sparse", "dimensions": None}, {}),
        (TokenRequest, {"embed_dtype": "half"}, {"output_dtype": "float16"}),
        (TokenRequest, {"embedding_type": "base64"}, {"encoding_format": "base64"}),
        (TokenRequest, {"return_colbert_vecs": True, "endianness": "little"}, {}),
        (AllRequest, {"output_dtype": "fp32", "return_terms": False}, {}),
        (PoolingRequest, {"embed_dtype": "float32", "endianness": "native"}, {}),
        (PoolingRequest, {"embedding_type": "base64"}, {"encoding_format": "base64"}),
    ],
)
def test_what_a_route_does_anyway_is_taken(
    kind: type[msgspec.Struct], fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert expected == read(around(kind, fields), kind)


@pytest.mark.parametrize("kind", OF_VECTORS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    ("name", "right"),
    [
        *(("dimension", "dimensions"), ("dimentions", "dimensions"), ("normalise", "normalize")),
        *(("truncat", "truncate"), ("promptName", "prompt_name"), ("modle", "model")),
        *(("max_active_dim", "max_active_dims"), ("embeding_types", "embedding_types")),
    ],
)
def test_no_route_of_vectors_ignores_a_misspelt_field(
    kind: type[msgspec.Struct], name: str, right: str
) -> None:
    """Neither one that it takes nor one that it refuses by its name."""
    error = refusal(around(kind, {name: 3}), kind)

    assert f"{name} is not a field of this route; did you mean {right}?" == str(error)
    assert name == error.param


# Routes of scores
RANKS = {"query": "a", "documents": ["b"]}
OF_SCORES = [
    pytest.param(RerankRequest, RANKS, id="rerank"),
    pytest.param(TeiRerankRequest, {"query": "a", "texts": ["b"]}, id="tei-rerank"),
    pytest.param(PredictRequest, {"inputs": "a"}, id="predict"),
    pytest.param(ScoreRequest, {"text_1": "a", "text_2": "b"}, id="score"),
    pytest.param(ClassifyRequest, {"input": "a"}, id="classify"),
]


@pytest.mark.parametrize(("kind", "texts"), OF_SCORES)
def test_no_route_of_scores_ignores_what_changes_a_score(
    kind: type[msgspec.Struct], texts: dict[str, Any]
) -> None:
    alone = read(texts, kind)
    for fields, expected in (
        ({"truncate_prompt_tokens": 8}, {"max_tokens": 8, "truncate": True}),
        ({"truncate_prompt_tokens": -1}, {"truncate": True}),
        ({"truncate_prompt_tokens": 8, "max_tokens": 6}, {"max_tokens": 6, "truncate": True}),
        ({"truncation": False, "parameters": {"max_length": 8}}, {"truncate": False, "max_tokens": 8}),
        ({"truncate": "end"}, {"truncate": "END"}),
    ):
        assert alone | expected == read(texts | fields, kind)
    for fields, sentence in (
        ({"instruction": "c"}, "texts are scored as they are"),
        ({"prompt": "c"}, "texts are scored as they are"),
        ({"prompt_name": "query"}, "texts are scored as they are"),
        ({"add_special_tokens": False}, "the model's special tokens"),
        ({"long_texts": "mean"}, "windows are for vectors of texts"),
        ({"images": ["https://a/b.png"]}, "only texts are read here"),
        ({"rank_fields": ["title"]}, "send the text of each document"),
        ({"truncate_prompt_tokens": 0}, "at `$.truncate_prompt_tokens`"),
        ({"truncat": True}, "did you mean truncate?"),
        ({"maxTokens": 8}, "did you mean max_tokens?"),
        ({"raw_score": True}, "did you mean raw_scores?"),
        ({"instructon": "c"}, "did you mean instruction?"),
        ({"modle": "x"}, "did you mean model?"),
        ({"model_name": "x"}, "send its name as model"),
    ):
        error = refusal(texts | fields, kind)
        assert sentence in str(error)
        assert list(fields) == [error.param]


@pytest.mark.parametrize(("kind", "texts"), OF_SCORES)
def test_what_changes_no_score_is_ignored(kind: type[msgspec.Struct], texts: dict[str, Any]) -> None:
    """That a text has the role of a query says its field, and what is about vectors does not matter."""
    unknown = {"user": "me", "priority": 1, "max_chunks_per_doc": 10, "return_embeddings": False}
    roles = {"input_type": "query", "task": "retrieval.query"}
    silent = {"instruction": None, "prompt": "", "add_special_tokens": True}
    of_vectors = {"dimensions": 3, "normalise": True, "encoding_format": "base64", "embeding_types": ["int8"]}

    assert read(texts, kind) == read(texts | unknown | roles | silent | of_vectors, kind)


@pytest.mark.parametrize("name", ["use_activation", "activation", "softmax", "apply_softmax"])
def test_scores_without_their_activation_are_logits(name: str) -> None:
    """vLLM's fields, older and newer; its classes have no such answer here, and say how logits are had."""
    for kind, texts in ((case.values[0], case.values[1]) for case in OF_SCORES):
        if kind is ClassifyRequest:
            assert "raw_scores gives logits" in str(refusal({**texts, name: False}, kind))
            assert read(texts, kind) == read({**texts, name: True}, kind)
        else:
            assert read(texts, kind) | {"raw_scores": True} == read({**texts, name: False}, kind)
            assert read(texts, kind) | {"raw_scores": False} == read({**texts, name: True}, kind)


def test_other_names_of_fields_of_ranks() -> None:
    expected = read(RANKS, RerankRequest) | {"top_n": 2, "return_documents": True}

    assert expected == read(RANKS | {"top_k": 2, "return_text": True}, RerankRequest)
    assert "did you mean max_tokens_per_doc?" in str(refusal(RANKS | {"max_token_per_doc": 5}, RerankRequest))


def test_such_fields_count_among_very_many() -> None:
    fields = b",".join(b'"%d":1' % number for number in range(100_000))

    for name in ("dimensions", "max_active_dims"):
        with pytest.raises(InvalidRequest, match=f"{name} is 3"):
            reading.read(b'{"inputs": "a", %s, "%s": 3}' % (fields, name.encode()), TeiSparseRequest)
    with pytest.raises(InvalidRequest, match="instruction is"):
        reading.read(b'{"inputs": "a", %s, "instruction": "b"}' % fields, PredictRequest)
