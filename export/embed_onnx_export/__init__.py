"""From a Sentence-Transformers checkpoint to an artifact folder: the only place for torch.

    sources -> convert -> optimize -> families, encoder_graph -> parity -> artifact
                                      or else quantize

``pipeline`` runs these stages for the lines of models.txt.
"""
