"""The tables of docs/token-vectors.md."""

from benchmarks import engines, record
from benchmarks.sparse_tables import Results, figures
from embed_onnx_export.report import markdown


def speed() -> str:
    """Milliseconds by engine of vectors and of MaxSim, and how near each is to PyTorch, in Markdown."""
    file = record.read("token_vectors")
    cells, cosines = file["results"]["cells"], file["results"]["cosine"]
    encoded = {cell: rows for cell, rows in cells.items() if "MaxSim" not in cell}
    scored = {cell: rows for cell, rows in cells.items() if "MaxSim" in cell}
    head = ["", *(f"{cell}: ms, times ours" for cell in encoded), "cosine to PyTorch's: documents, queries"]
    vectors = (
        [name, *(figures(row[name]) for row in encoded.values()), _cosines(cosines, name)]
        for name in cosines["document"]
    )
    scores = (
        [name, *(figures(row[name]) for row in scored.values())] for name in next(iter(scored.values()))
    )
    where = f"`{file['command']}`, in turns, on {record.machine_and_instructions(file)}"
    notes = (
        f"{engines.OURS} takes lists as they come; the others have the batch that is fastest for them. "
        "MaxSim is of 32 vectors with those of stored documents: of mixed lengths, which PyTorch pads, or of "
        "one length."
    )
    tables = (
        markdown.table(head, vectors),
        markdown.table(["", *(f"{cell}: ms, times ours" for cell in scored)], scores),
    )
    return "\n\n".join([*tables, f"Medians; {where}. {notes}"])


def _cosines(cosines: Results, name: str) -> str:
    return ", ".join(f"{by_role[name]:.4f}" for by_role in cosines.values())
