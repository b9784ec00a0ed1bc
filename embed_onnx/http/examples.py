"""What each route answers to the example of its request, for /openapi.json; vectors are cut short.

A test compares them with the schema, and with what a server answers.
"""

from typing import Any

FIRST, SECOND = [-0.064506, 0.05632, 0.055063], [-0.028432, 0.034372, -0.061915]
VECTORS = [FIRST, SECOND]
HEAD: dict[str, Any] = {"id": "dea375a7-170d-40a7-be2d-1e0a36bdb30b", "object": "list", "created": 1795752118}
USAGE = {"prompt_tokens": 6, "total_tokens": 6}
EMBEDDINGS = {
    **HEAD,
    "model": "all-MiniLM-L6-v2",
    "data": [
        {"object": "embedding", "index": index, "embedding": vector, "num_tokens": 3}
        for index, vector in enumerate(VECTORS)
    ],
    "usage": USAGE,
}
CARD = {
    "id": "all-MiniLM-L6-v2",
    "object": "model",
    "created": 1795750457,
    "owned_by": "sentence-transformers",
    "root": "all-MiniLM-L6-v2",
    "aliases": ["sentence-transformers/all-MiniLM-L6-v2"],
    "tasks": ["embed"],
    "dimensions": 384,
    "entries": None,
    "labels": None,
    "activation": None,
    "max_tokens": 256,
    "pooling": ["mean"],
    "precision": "int8",
    "bytes": 23568754,
    "exporter": "native",
    "reference": "sentence-transformers 6.2.0",
    "runs_on": "avx512vnni kernels",
    "parity": {
        "texts": 128,
        "cosine_mean": 0.999248,
        "cosine_min": 0.996006,
        "short": {"texts": 77, "cosine_mean": 0.998262, "cosine_min": 0.964965},
    },
    "score_parity": None,
    "sparse_parity": None,
    "token_parity": None,
    "similarity": None,
    "prompts": {"query": "", "document": ""},
    "default_prompt": None,
    "matryoshka": [],
}
RANKS = {
    "id": HEAD["id"],
    "model": "my-reranker",
    "usage": {"prompt_tokens": 28, "total_tokens": 28},
    "results": [{"index": 0, "relevance_score": 0.9876}, {"index": 1, "relevance_score": 0.0021}],
}
SCORES = {
    **HEAD,
    "model": "my-reranker",
    "data": [{"index": 0, "object": "score", "score": 0.9876}],
    "usage": {"prompt_tokens": 14, "total_tokens": 14},
}
TOKEN_HEAD = {**HEAD, "model": "my-colbert", "usage": USAGE}
POOLED = {
    **TOKEN_HEAD,
    "data": [{"index": index, "object": "pooling", "data": VECTORS} for index in range(2)],
}
COHERE_META = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 6}}
COHERE_TEXTS = {"id": HEAD["id"], "texts": ["Hello", "world"]}
OLLAMA_DETAILS = {
    "parent_model": "",
    "format": "onnx",
    "family": "sentence-transformers",
    "families": ["sentence-transformers"],
    "parameter_size": "22.6M",
    "quantization_level": "int8",
    "context_length": 256,
    "embedding_length": 384,
}
OLLAMA_MODEL = {
    "name": "all-MiniLM-L6-v2:latest",
    "model": "all-MiniLM-L6-v2:latest",
    "size": 23568754,
    "digest": "c797713e8b108d3fb3d903bb96ec4b2f26837dc2be411baa77ce9137e77640a1",
    "details": OLLAMA_DETAILS,
}
MODIFIED = {"modified_at": "2026-11-27T03:34:17Z"}

ANSWERS: dict[str, Any] = {
    "/v1/embeddings": EMBEDDINGS,
    "/embeddings": EMBEDDINGS,
    "/v1/sparse_embeddings": {
        **HEAD,
        "model": "my-splade",
        "entries": 30522,
        "data": [
            {
                "object": "sparse_embedding",
                "index": index,
                "indices": [2482, 3446, 6165],
                "values": [0.617421, 1.937446, 1.238978],
                "num_tokens": 3,
            }
            for index in range(2)
        ],
        "usage": USAGE,
    },
    "/v1/token_embeddings": {
        **TOKEN_HEAD,
        "data": [
            {
                "object": "token_embeddings",
                "index": index,
                "embeddings": VECTORS,
                "shape": [2, 128],
                "dtype": "float32",
                "num_tokens": 3,
            }
            for index in range(2)
        ],
    },
    "/tokenize": {
        "model": "all-MiniLM-L6-v2",
        "data": [
            {
                "index": 0,
                "tokens": ["[CLS]", "hello", ",", "world", "[SEP]"],
                "ids": [101, 7592, 1010, 2088, 102],
                "num_tokens": 5,
            }
        ],
    },
    "/v1/models": {"object": "list", "data": [CARD]},
    "/v1/models/{model_id}": CARD,
    "/models/{model_id}": CARD,
    "/models": {
        "data": {"models": {"all-MiniLM-L6-v2": {"dim": 384}}},
        "generated": "2026-11-27T04:01:58.435191+00:00",
        "id": HEAD["id"],
    },
    "/embed": VECTORS,
    "/similarity": [0.345435],
    "/embed_sparse": [[{"index": 2482, "value": 0.617421}, {"index": 3446, "value": 1.937446}]] * 2,
    "/embed_all": [VECTORS] * 2,
    "/info": {
        "model_id": "sentence-transformers/all-MiniLM-L6-v2",
        "model_sha": None,
        "model_dtype": "int8",
        "served_model_name": "all-MiniLM-L6-v2",
        "model_type": {"embedding": {"pooling": "mean"}},
        "max_concurrent_requests": 1048576,
        "max_input_length": 256,
        "max_batch_tokens": 1048576,
        "max_batch_requests": None,
        "max_client_batch_size": 2048,
        "auto_truncate": True,
        "tokenization_workers": 4,
        "version": "0.1.0",
        "sha": None,
        "docker_label": None,
    },
    "/rerank": [{"index": 0, "score": 0.9876}, {"index": 1, "score": 0.0021}],
    "/predict": [{"label": "good", "score": 0.912978}, {"label": "bad", "score": 0.087022}],
    "/api/embed": {
        "model": "all-MiniLM-L6-v2",
        "embeddings": VECTORS,
        "total_duration": 1863296,
        "load_duration": 23795,
        "prompt_eval_count": 6,
    },
    "/api/embeddings": {"embedding": FIRST},
    "/api/tags": {"models": [OLLAMA_MODEL | MODIFIED]},
    "/api/ps": {
        "models": [
            OLLAMA_MODEL | {"expires_at": "2300-01-01T00:00:00Z", "size_vram": 0, "context_length": 256}
        ]
    },
    "/api/show": {
        "details": OLLAMA_DETAILS,
        "model_info": {
            "general.architecture": "sentence-transformers",
            "general.basename": "all-MiniLM-L6-v2",
            "general.parameter_count": 22639686,
            "sentence-transformers.context_length": 256,
            "sentence-transformers.embedding_length": 384,
        },
        "capabilities": ["embedding"],
        **MODIFIED,
        "license": "apache-2.0",
        "modelfile": "",
        "parameters": "",
        "template": "",
    },
    "/api/pull": {"status": "success"},
    "/api/version": {"version": "0.1.0"},
    "/v1/embed": {
        **COHERE_TEXTS,
        "response_type": "embeddings_floats",
        "embeddings": VECTORS,
        "meta": COHERE_META | {"api_version": {"version": "1"}},
    },
    "/v2/embed": {
        **COHERE_TEXTS,
        "response_type": "embeddings_by_type",
        "embeddings": {"float": VECTORS},
        "meta": COHERE_META,
    },
    "/v1/rerank": RANKS,
    "/v2/rerank": RANKS | {"meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}},
    "/v1/score": SCORES,
    "/score": SCORES,
    "/classify": {
        **HEAD,
        "model": "my-classifier",
        "data": [{"index": 0, "label": "good", "probs": [0.087022, 0.912978], "num_classes": 2}],
        "usage": USAGE,
    },
    "/v1/pooling": POOLED,
    "/pooling": POOLED,
    "/admin/reload": {"models": ["all-MiniLM-L6-v2", "my-reranker"]},
    "/health": {"status": "ok"},
    "/ready": {"status": "ready", "kernels": "avx512vnni", "seconds_since_success": 0.008332},
    "/metrics": 'embed_onnx_requests_total{method="POST",route="/v1/embeddings",status="200"} 3.0\n',
}
"""By path; of every status 200."""
