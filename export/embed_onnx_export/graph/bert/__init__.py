"""The graph of the BERT family, written from its weights."""
