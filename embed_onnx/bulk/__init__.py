"""Files of texts to files of vectors, without a server."""
