"""Fields of other APIs that would change a vector: what they mean here, or why they are refused.

``WORDS`` has all of them: the field of ours that does the same, if there is one; the values that change
nothing here; and what a client can do about all other values. It is for routes of dense vectors. The tables
of other routes also have the fields that only dense vectors have, and say None of what changes nothing there.

APIs: vLLM's, Infinity's, text-embeddings-inference's, Ollama's and llama.cpp's servers; Cohere's, Voyage's,
Jina's, Google's, NVIDIA's, Mistral's, Amazon's and Alibaba's; and the words of Sentence-Transformers.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

NESTED = (
    *("parameters", "options", "config", "extra_body", "nvext"),
    *("kwargs", "encode_kwargs", "model_kwargs", "embed_content_config"),
)
"""Objects that clients put fields into: Hugging Face's, Ollama's, Google's, NVIDIA's; OpenAI's by mistake."""
OTHER_TEXTS = {
    *("input", "inputs", "texts", "text", "sentences", "content", "contents", "documents", "messages")
}
"""What other APIs call the texts."""
OTHER_MODELS = {
    *("model_name", "model_id", "model_uid", "engine", "deployment", "deployment_id", "deployment_name")
}
"""What other APIs call the model; where it is named so alone, it would be the first one in silence."""
VECTOR_FIELDS = ("dimensions", "normalize", "pooling")
"""Of our own, those that are about vectors alone."""


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """What a field means here.

    ``field`` is that of ours which does the same, None if there is none. ``values`` are those that are taken,
    in upper or lower case, with ours for them; None takes all as they are. ``elsewhere`` has the field of
    those that are of another one. ``cuts`` says that it also has long texts cut, and ``vectors`` that it is
    about vectors alone, and not about the tokens of a text.
    """

    field: str | None = None
    values: Mapping[Any, Any] | None = None
    elsewhere: Mapping[Any, str] = {}
    remedy: str = ""
    cuts: bool = False
    vectors: bool = False


def _same(field: str, names: str) -> dict[str, Word]:
    return dict.fromkeys(names.split(), Word(field=field, vectors=field in VECTOR_FIELDS))


def _served(names: str, values: Iterable[Any], remedy: str) -> dict[str, Word]:
    return dict.fromkeys(names.split(), Word(values=dict.fromkeys(values), remedy=remedy))


def _vectors(names: str, values: Iterable[Any], remedy: str) -> dict[str, Word]:
    return dict.fromkeys(names.split(), Word(values=dict.fromkeys(values), remedy=remedy, vectors=True))


NUMBERS = {
    **{name: name for name in ("float", "float16", "bfloat16", "int8", "uint8", "binary", "ubinary")},
    **dict.fromkeys(("float32", "fp32"), "float"),
    **dict.fromkeys(("fp16", "half"), "float16"),
    "bf16": "bfloat16",
}
"""The types of numbers, as other APIs call them."""
INPUT_TYPES = {
    name: name
    for name in (
        *("query", "document", "passage", "search_query", "search_document"),
        *("classification", "clustering"),
    )
}
TASK_NAMES = ("task", "task_type", "text_type", "prompt_type", "embedding_task")
"""Fields that say what a text is for."""
PREFIX_NAMES = (
    "instruction instructions instruct task_instruction custom_instruction embed_instruction "
    "query_instruction prefix query_prefix text_prefix prompt_template"
)
"""Fields whose text is put before each text."""
QUERY_TASKS = (
    *("retrieval.query", "code.query", "nl2code.query", "qa.query"),
    *("retrieval_query", "question_answering", "fact_verification", "code_retrieval_query"),
)
DOCUMENT_TASKS = ("retrieval.passage", "code.passage", "nl2code.passage", "qa.passage", "retrieval_document")
TASKS = {
    **INPUT_TYPES,
    **dict.fromkeys(QUERY_TASKS, "query"),
    **dict.fromkeys(DOCUMENT_TASKS, "document"),
    "separation": "clustering",
    "task_type_unspecified": None,
}
ONE_TYPE = "send one of these"
FLOAT32 = "POST /v1/embeddings takes it as output_dtype, and POST /v2/embed as embedding_types"
TEXTS_ALONE = "only texts are read here"
DENSE = "each text has one dense vector here"
SPARSE = "each text has one sparse vector here"
TOKENS = "each token of a text has a vector here"
OF_SPARSE = "POST /v1/sparse_embeddings takes it"
OF_TOKENS = "POST /v1/token_embeddings takes it"
FLOATS = ("float", "float32", "fp32")

WORDS: dict[str, Word] = {
    # Fewer dimensions.
    **_same(
        "dimensions",
        "output_dimension output_dimensions output_dimensionality output_dim output_dims dim dims "
        "dimensionality matryoshka_dim matryoshka_dimension truncate_dim embedding_dim embedding_dimension "
        "embedding_dimensions embedding_size output_size vector_size num_dims n_dims",
    ),
    # Texts that are too long.
    **_same("truncate", "truncation auto_truncate"),
    **_same("truncation_direction", "truncation_side"),
    **_same(
        "max_tokens",
        "max_length max_len max_seq_length max_seq_len max_sequence_length max_input_tokens max_input_length "
        "truncate_input_tokens num_ctx",
    ),
    "truncate_prompt_tokens": Word(field="max_tokens", cuts=True),
    **_served("long_texts", ["cut"], "windows are for vectors of texts, on other routes"),
    # Vectors of length 1.
    **_same(
        "normalize",
        "normalized normalize_embeddings normalize_embedding normalize_vectors l2_normalize use_activation",
    ),
    "embd_normalize": Word(
        field="normalize",
        values={2: True, -1: False},
        vectors=True,
        remedy="the Euclidean norm is the only one here",
    ),
    # Prompts.
    **dict.fromkeys(
        TASK_NAMES,
        Word(field="input_type", values=TASKS, remedy="name one of the model's prompts with prompt_name"),
    ),
    **_served(
        PREFIX_NAMES,
        (),
        "send the whole prefix as prompt, or the name of one of the model's prompts as prompt_name",
    ),
    **_served("title", (), "put it before the text yourself"),
    # How numbers are sent.
    **dict.fromkeys(
        ("embedding_type", "embedding_types", "encoding_type"),
        Word(
            field="output_dtype",
            values={**NUMBERS, "base64": "base64"},
            elsewhere={"base64": "encoding_format"},
            vectors=True,
            remedy=ONE_TYPE,
        ),
    ),
    **dict.fromkeys(
        ("embed_dtype", "embedding_dtype", "return_dtype", "dtype", "precision"),
        Word(field="output_dtype", values=NUMBERS, vectors=True, remedy=ONE_TYPE),
    ),
    **_vectors("encoding_format", ["float"], "this route sends lists of numbers"),
    **_vectors("output_dtype", FLOATS, FLOAT32),
    **_vectors("endianness", ["little", "native"], "this route sends lists of numbers"),
    **_vectors("quantization", ["none"], "send output_dtype"),
    # What is embedded.
    **_served("modality modalities input_modality", ["text"], TEXTS_ALONE),
    **_served("image images video videos audio", (), TEXTS_ALONE),
    **_vectors("late_chunking", [False], "each text is embedded by itself here"),
    # What comes out.
    **_same("pooling", "pooling_type pooling_mode pooling_method pooling_strategy pool_type"),
    **_vectors("output_type", ["dense"], DENSE),
    **_vectors("output_value", ["sentence_embedding"], DENSE),
    **_vectors("return_multivector return_sparse return_colbert return_colbert_vecs", [False], DENSE),
    **_vectors("return_dense", [True], DENSE),
    **_vectors("max_active_dims", (), OF_SPARSE),
    **_vectors("return_terms", [False], OF_SPARSE),
    **_vectors("return_tokens", [False], OF_TOKENS),
}
"""By name in snake case; their camel case is understood as well."""

TEXT_WORDS: dict[str, Word | None] = {
    **{name: None if word.vectors else word for name, word in WORDS.items()},
    **dict.fromkeys(VECTOR_FIELDS),
}
"""Of routes whose answers are not vectors."""

ACTIVATIONS = ("use_activation", "activation", "softmax", "apply_softmax")
"""vLLM's names, older and newer, for what makes scores of logits."""

SCORE_WORDS: dict[str, Word | None] = {
    **TEXT_WORDS,
    **dict.fromkeys(ACTIVATIONS, Word(field="raw_scores", values={True: False, False: True})),
    **dict.fromkeys(("input_type", *TASK_NAMES)),
    **_served(f"prompt prompt_name {PREFIX_NAMES}", (), "texts are scored as they are; put it before them"),
    **_served("add_special_tokens", [True], "the model's special tokens are around each pair"),
    **_served("rank_fields", (), "send the text of each document"),
}
"""Of routes of scores, where a text's field says what it is for."""

CLASSIFY_WORDS: dict[str, Word | None] = {
    **SCORE_WORDS,
    **dict.fromkeys(
        ACTIVATIONS, Word(values={True: None}, remedy="raw_scores gives logits, in Infinity's form")
    ),
}
"""Of vLLM's classes, where ``raw_scores`` requests an answer of another form."""

RANK_WORDS: dict[str, Word | None] = {
    **SCORE_WORDS,
    **_same("top_n", "top_k"),
    **_same("return_documents", "return_text"),
}
"""Of routes of ranks."""

SPARSE_WORDS: dict[str, Word | None] = {
    **WORDS,
    **_vectors(
        "dimensions",
        (),
        "sparse vectors are not cut; POST /v1/sparse_embeddings keeps fewer weights by max_active_dims",
    ),
    **_vectors("normalize", (), "weights are sent as the model makes them"),
    **_vectors("pooling", (), "the model has its own"),
    **_vectors("output_dtype", FLOATS, "weights are float32"),
    **_vectors("output_type", ["sparse"], SPARSE),
    **_vectors("output_value", (), SPARSE),
    **_vectors("return_sparse", [True], SPARSE),
    **_vectors("return_dense return_multivector return_colbert return_colbert_vecs", [False], SPARSE),
}
"""Of routes of sparse vectors."""

TOKEN_WORDS: dict[str, Word | None] = {
    **WORDS,
    **_vectors("dimensions", (), "token vectors are not cut"),
    **_vectors("normalize", (), "the model normalises token vectors, or does not"),
    **_vectors("pooling", (), "token vectors are not pooled"),
    **_vectors("output_dtype", FLOATS, OF_TOKENS),
    **_vectors("encoding_format", ["float"], OF_TOKENS),
    **_vectors("endianness", ["little", "native"], "bytes are little-endian"),
    **_vectors("output_type", (), TOKENS),
    **_vectors("output_value", ["token_embeddings"], TOKENS),
    **_vectors("return_multivector return_colbert return_colbert_vecs", [True], TOKENS),
    **_vectors("return_dense return_sparse", [False], TOKENS),
}
"""Of routes of token vectors."""
