"""From a Sentence-Transformers checkpoint to an artifact folder: the only place for torch.

    sources -> original -> states (an exporter, compared) -> bert rewrite -> parity -> manifest
                                                             or quantize

``build`` is these stages in order, and ``run`` does them for the lines of models.txt.
"""
