"""From a Sentence-Transformers checkpoint to an artifact folder: the only place for torch.

    sources -> convert -> optimize -> quantize -> parity -> artifact

``pipeline`` runs these stages for the lines of models.txt.
"""
