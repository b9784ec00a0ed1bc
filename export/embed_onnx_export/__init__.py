"""From a Sentence-Transformers checkpoint to an artifact folder: the only place for torch.

    sources -> original -> optimize -> families, encoder_graph -> parity -> artifact
                                      or else quantize

``run`` does these stages for the lines of models.txt.
"""
