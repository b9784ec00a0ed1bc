"""Small models with random weights, saved by sentence-transformers itself; nothing is downloaded."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from sentence_transformers import CrossEncoder, MultiVectorEncoder, SentenceTransformer, SparseEncoder
from sentence_transformers.base.modules import Dense, Router, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling
from small_tokenizers import MAX_TOKENS, fast_tokenizer, template

from embed_onnx_export.graph import encoders
from embed_onnx_export.graph.encoders import Encoder

WIDTH = 32
SHAPE = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
AFTER_PADDING = {"max_position_embeddings": MAX_TOKENS + 2, "pad_token_id": 1}
"""Where positions start after the padding id."""
PROMPTS = {"query": "search for: ", "document": "text: "}
TOKENS = "token_embeddings"
"""What modules between the transformer and token vectors read and write."""
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", {**SHAPE, "max_position_embeddings": MAX_TOKENS}),
    "camembert": ("Camembert", {**SHAPE, **AFTER_PADDING, "type_vocab_size": 1}),
    "distilbert": (
        "DistilBert",
        {"dim": WIDTH, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "max_position_embeddings": MAX_TOKENS},
    ),
    "mpnet": ("MPNet", {**SHAPE, **AFTER_PADDING}),
    "roberta": ("Roberta", {**SHAPE, **AFTER_PADDING, "type_vocab_size": 1}),
    "xlm-roberta": ("XLMRoberta", {**SHAPE, **AFTER_PADDING, "type_vocab_size": 1}),
}
"""The BERT family: the prefix of the classes in transformers, and the fields of the config."""
ENCODERS = (*ARCHITECTURES, "modernbert")
"""What the native kernels run."""
OTHER_TOKENS = 160
"""The limit of the others: beyond the windows of 16 and 32 tokens that some of them have."""
POSITIONS = {**SHAPE, "max_position_embeddings": OTHER_TOKENS}
DECODER = {**POSITIONS, "num_key_value_heads": 1, "head_dim": 16, "pad_token_id": 1}
SPECIAL_IDS = {
    "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3
}  # fmt: skip
ROPE = {"rope_type": "default", "rope_theta": 500.0}
"""Other than any class has by itself."""
T5 = {"d_model": WIDTH, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, "pad_token_id": 1}
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "albert": ("Albert", {**POSITIONS, "embedding_size": 16}),
    "big_bird": ("BigBird", {**POSITIONS, "attention_type": "original_full"}),
    "convbert": ("ConvBert", {**POSITIONS, "num_attention_heads": 4, "embedding_size": 16}),
    "deberta": (
        "Deberta",
        {**POSITIONS, "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "type_vocab_size": 0},
    ),
    "deberta-v2": (
        "DebertaV2",
        {
            **POSITIONS,
            "relative_attention": True,
            "position_buckets": 16,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "type_vocab_size": 0,
        },
    ),
    "electra": ("Electra", {**POSITIONS, "embedding_size": 16}),
    "ernie": ("Ernie", POSITIONS),
    "eurobert": ("EuroBert", {**DECODER, **SPECIAL_IDS, "rope_parameters": ROPE}),
    "gemma": ("Gemma", DECODER),
    "gemma2": ("Gemma2", {**DECODER, "sliding_window": 32, "query_pre_attn_scalar": 16}),
    "gemma3_text": (
        "Gemma3Text",
        {
            **DECODER,
            "sliding_window": 32,
            "query_pre_attn_scalar": 16,
            "layer_types": ["sliding_attention", "full_attention"],
            "use_bidirectional_attention": True,
        },
    ),
    "gpt2": ("GPT2", {"n_embd": WIDTH, "n_layer": 2, "n_head": 2, "n_positions": OTHER_TOKENS}),
    "gpt_neox": ("GPTNeoX", POSITIONS),
    "gte": ("Gte", {**POSITIONS, "pad_token_id": 1, "rope_parameters": ROPE}),
    "jina_embeddings_v3": (
        "JinaEmbeddingsV3",
        {**POSITIONS, **SPECIAL_IDS, "type_vocab_size": 1, "rope_parameters": ROPE},
    ),
    "llama": ("Llama", DECODER),
    "longformer": ("Longformer", {**POSITIONS, "attention_window": [16, 16], "pad_token_id": 1}),
    "mistral": ("Mistral", {**DECODER, "sliding_window": 32}),
    "mobilebert": ("MobileBert", {**POSITIONS, "embedding_size": 16, "intra_bottleneck_size": 16}),
    "modernbert": (
        "ModernBert",
        {
            **POSITIONS,
            **SPECIAL_IDS,
            "num_hidden_layers": 3,
            "global_attn_every_n_layers": 3,
            "local_attention": 32,
        },
    ),
    "mt5": ("MT5", T5),
    "nomic_bert": ("NomicBert", {**POSITIONS, "head_dim": 16, "pad_token_id": 1, "rope_parameters": ROPE}),
    "nystromformer": ("Nystromformer", POSITIONS),
    "olmo2": ("Olmo2", {**POSITIONS, "num_key_value_heads": 1, "pad_token_id": 1}),
    "opt": (
        "OPT",
        {
            "hidden_size": WIDTH,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "ffn_dim": 64,
            "word_embed_proj_dim": WIDTH,
            "max_position_embeddings": OTHER_TOKENS,
        },
    ),
    "phi3": ("Phi3", {**POSITIONS, **SPECIAL_IDS, "num_key_value_heads": 1}),
    "qwen2": ("Qwen2", {**DECODER, "use_sliding_window": True, "sliding_window": 32, "max_window_layers": 1}),
    "qwen3": ("Qwen3", DECODER),
    "rembert": ("RemBert", {**POSITIONS, "input_embedding_size": 16}),
    "roformer": ("RoFormer", {**POSITIONS, "embedding_size": WIDTH}),
    "squeezebert": ("SqueezeBert", {**POSITIONS, "embedding_size": WIDTH}),
    "t5": ("T5", T5),
    "umt5": ("UMT5", T5),
    "xlm-roberta-xl": (
        "XLMRobertaXL",
        {**SHAPE, "max_position_embeddings": OTHER_TOKENS + 2, "pad_token_id": 1},
    ),
}
"""What goes the general path, or is refused; ModernBERT is run by the native kernels as well."""
CAUSAL = {
    "gemma", "gemma2", "gpt2", "gpt_neox", "llama", "mistral", "olmo2", "opt", "phi3", "qwen2", "qwen3"
}  # fmt: skip
"""Of these, a text's vector is the state of its last token."""
TOKEN_TYPES = {"bert", "albert", "convbert", "deberta", "deberta-v2", "electra", "ernie", "mobilebert"} | {
    "nomic_bert", "nystromformer", "rembert", "roformer", "squeezebert"
}  # fmt: skip
"""Whose tokenizers make token_type_ids."""


def build(architecture: str, vocabulary: int = 300, **changes: Any) -> transformers.PreTrainedModel:
    """A model of that architecture, some fields of its config changed.

    Biases and norms are random too: as zeros and ones, they would hide where they are used.
    """
    prefix, fields = (ARCHITECTURES | OTHERS)[architecture]
    config = getattr(transformers, f"{prefix}Config")(vocab_size=vocabulary, **{**fields, **changes})
    torch.manual_seed(7)
    kind = "EncoderModel" if fields is T5 else "Model"
    model: transformers.PreTrainedModel = getattr(transformers, prefix + kind)(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model.eval()


def encoder(model: transformers.PreTrainedModel) -> Encoder:
    """A model as the exporter native reads it, of its config and its parameters."""
    arrays = {name: parameter.detach().numpy() for name, parameter in model.named_parameters()}
    config = {**model.config.to_dict(), "model_type": model.config.model_type}
    return encoders.read(config, arrays, strict=False)


def save(
    folder: Path,
    architecture: str = "bert",
    *,
    pooling: str | tuple[str, ...] = "mean",
    normalize: bool = True,
    default_prompt: str | None = None,
    tokenizer: str | None = None,
    **changes: Any,
) -> Path:
    """Save a model of that architecture, with one of ``TOKENIZERS``, as a Sentence-Transformers folder."""
    other = architecture in OTHERS
    kind = tokenizer or ("bpe" if architecture in CAUSAL else "wordpiece")
    fast = fast_tokenizer(
        kind,
        max_tokens=OTHER_TOKENS if other else MAX_TOKENS,
        token_types=architecture in TOKEN_TYPES,
    )
    checkpoint = folder.with_name(folder.name + "-transformer")
    build(architecture, len(fast), **changes).save_pretrained(checkpoint)
    fast.save_pretrained(checkpoint)
    if architecture in CAUSAL:
        pooling = "lasttoken"
    modules = [Transformer(str(checkpoint)), Pooling(WIDTH, pooling)] + [Normalize()] * normalize
    SentenceTransformer(
        modules=modules, prompts=PROMPTS, default_prompt_name=default_prompt, device="cpu"
    ).save_pretrained(str(folder))
    return folder


def save_scoring_stack(
    folder: Path, architecture: str = "bert", *, labels: int = 1, pooling: str = "mean", **changes: Any
) -> Path:
    """Save a CrossEncoder of a Transformer without a classifier, a Pooling and two Dense."""
    plain = save_scoring(folder.with_name(f"{folder.name}-plain"), architecture, plain=True, **changes)
    torch.manual_seed(8)
    layers = [Dense(WIDTH, 24), Dense(24, labels, activation_function=None, module_output_name="scores")]
    with torch.no_grad():
        for layer in layers:
            layer.linear.weight.mul_(4)
    transformer = Transformer(str(plain), max_seq_length=MAX_TOKENS)
    CrossEncoder(modules=[transformer, Pooling(WIDTH, pooling), *layers], device="cpu").save_pretrained(
        str(folder)
    )
    return folder


def save_scoring(
    folder: Path, architecture: str = "bert", *, labels: int = 1, plain: bool = False, **changes: Any
) -> Path:
    """Save a model of that architecture that scores pairs, as a CrossEncoder; or plain, as transformers does.

    Its weights are larger than at first, so that pairs have scores that are well apart.
    """
    prefix, fields = (ARCHITECTURES | OTHERS)[architecture]
    fast = fast_tokenizer("wordpiece", token_types=architecture in TOKEN_TYPES)
    pair = "[CLS] $A [SEP] $B:1 [SEP]:1" if architecture in TOKEN_TYPES else "[CLS] $A [SEP] [SEP] $B [SEP]"
    fast.backend_tokenizer.post_processor = template("[CLS] $A [SEP]", pair)
    config = getattr(transformers, f"{prefix}Config")(
        vocab_size=len(fast), num_labels=labels, **{**fields, **changes}
    )
    torch.manual_seed(7)
    model = getattr(transformers, f"{prefix}ForSequenceClassification")(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    checkpoint = folder if plain else folder.with_name(folder.name + "-transformer")
    model.save_pretrained(checkpoint)
    fast.save_pretrained(checkpoint)
    if not plain:
        CrossEncoder(str(checkpoint), device="cpu").save_pretrained(str(folder))
    return folder


def save_sparse(
    folder: Path,
    architecture: str = "bert",
    *,
    pooling: str = "max",
    activation: str = "relu",
    plain: bool = False,
    **changes: Any,
) -> Path:
    """Save a SparseEncoder of a masked language model of that architecture; or plain, as transformers does.

    Scores are random and large, and lower by a bias, so that about half of them are above zero.
    """
    prefix, fields = (ARCHITECTURES | OTHERS)[architecture]
    fast = fast_tokenizer("wordpiece", token_types=architecture in TOKEN_TYPES)
    config = getattr(transformers, f"{prefix}Config")(vocab_size=len(fast), **{**fields, **changes})
    torch.manual_seed(7)
    model = getattr(transformers, f"{prefix}ForMaskedLM")(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
        model.get_output_embeddings().bias.sub_(1)
    checkpoint = folder if plain else folder.with_name(folder.name + "-transformer")
    model.save_pretrained(checkpoint)
    fast.save_pretrained(checkpoint)
    if not plain:
        modules = [
            Transformer(str(checkpoint), transformer_task="fill-mask", max_seq_length=MAX_TOKENS),
            SpladePooling(pooling, activation_function=activation),
        ]
        SparseEncoder(modules=modules, prompts=PROMPTS, device="cpu").save_pretrained(str(folder))
    return folder


def save_router(
    folder: Path, *, default_route: str = "document", prompts: dict[str, str] | None = None
) -> Path:
    """Save a SparseEncoder whose queries are weighed by a table, and its documents as by ``save_sparse``."""
    plain = save_sparse(folder.with_name(f"{folder.name}-plain"), plain=True)
    transformer = Transformer(str(plain), transformer_task="fill-mask", max_seq_length=MAX_TOKENS)
    torch.manual_seed(9)
    weights = torch.rand(len(transformer.tokenizer))
    weights[::5] = 0
    router = Router.for_query_document(
        query_modules=[SparseStaticEmbedding(transformer.tokenizer, weight=weights)],
        document_modules=[transformer, SpladePooling("max")],
        default_route=default_route,
    )
    SparseEncoder(modules=[router], prompts=prompts or {}, device="cpu").save_pretrained(str(folder))
    return folder


def save_by_token(
    folder: Path,
    architecture: str = "bert",
    *,
    expansion: dict[str, Any] | None = None,
    mask: dict[str, Any] | None = None,
    widths: Sequence[int] = (16,),
    lengths: dict[str, int] | None = None,
    prompts: dict[str, str] = PROMPTS,
    **changes: Any,
) -> Path:
    """Save a MultiVectorEncoder of that architecture, with a Dense for each of the widths.

    ``expansion`` is of its queries, ``mask`` the options of a MultiVectorMask, ``lengths`` those of texts.
    """
    fast = fast_tokenizer("wordpiece", token_types=architecture in TOKEN_TYPES)
    checkpoint = folder.with_name(folder.name + "-transformer")
    build(architecture, len(fast), **changes).save_pretrained(checkpoint)
    fast.save_pretrained(checkpoint)
    torch.manual_seed(8)
    transformer = Transformer(
        str(checkpoint), max_seq_length=MAX_TOKENS, query_expansion=expansion, **(lengths or {})
    )
    layers = [
        Dense(start, end, bias=False, activation_function=torch.nn.Identity(), module_input_name=TOKENS)
        for start, end in itertools.pairwise((WIDTH, *widths))
    ]
    modules = [
        transformer, *layers, MultiVectorMask(**(mask or {})), Normalize(module_input_name=TOKENS)
    ]  # fmt: skip
    MultiVectorEncoder(modules=modules, prompts=prompts, device="cpu").save_pretrained(str(folder))
    return folder
