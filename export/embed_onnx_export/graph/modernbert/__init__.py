"""ModernBERT, from its weights: rotated positions, local attention and gated products."""
