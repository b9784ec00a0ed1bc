"""Embed a folder of text files and search it, without a server. Before: pip install faiss-cpu

python examples/search_folder.py FOLDER QUERY
"""

import sys
from pathlib import Path

import faiss

from embed_onnx import Model

files = sorted(Path(sys.argv[1]).rglob("*.txt"))
with Model.load("artifacts/all-MiniLM-L6-v2") as model:
    index = faiss.IndexFlatIP(model.manifest.output.dimensions)  # vectors have length 1: products are cosines
    index.add(model.encode([file.read_text(encoding="utf-8") for file in files]))
    scores, places = index.search(model.encode([sys.argv[2]]), min(3, len(files)))
for score, place in zip(scores[0], places[0], strict=True):
    print(f"{score:.2f} {files[place]}")
