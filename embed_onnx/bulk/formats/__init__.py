"""Files of texts by format, each to the same blocks of records."""
