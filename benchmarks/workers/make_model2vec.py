"""Model2Vec's table of static embeddings: ``make_model2vec.py CHECKPOINT FOLDER``, with its defaults."""

import sys

from model2vec.distill import distill

if __name__ == "__main__":
    checkpoint, folder = sys.argv[1:]
    distill(checkpoint).save_pretrained(folder)
