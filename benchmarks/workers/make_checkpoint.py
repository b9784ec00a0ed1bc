"""A model with random weights: ``make_checkpoint.py FOLDER TOKENIZER_FOLDER MAX_TOKENS``."""

import sys
import tempfile

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import AutoTokenizer, BertConfig, BertModel


def main(folder: str, tokenizer_folder: str, max_tokens: str) -> None:
    """BERT of mpnet-base's size, 12 layers, 768 wide: the architecture that every peer knows how to fuse."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    config = BertConfig(vocab_size=len(tokenizer))
    with tempfile.TemporaryDirectory() as transformer:
        BertModel(config).save_pretrained(transformer)
        tokenizer.save_pretrained(transformer)
        modules = [
            Transformer(transformer, max_seq_length=int(max_tokens)),
            Pooling(config.hidden_size, "mean"),
            Normalize(),
        ]
        SentenceTransformer(modules=modules, device="cpu").save_pretrained(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
