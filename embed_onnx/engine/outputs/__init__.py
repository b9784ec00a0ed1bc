"""From the states of tokens to what comes out of a model: a file for each kind of output."""
