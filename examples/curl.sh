#!/bin/sh
# curl, with --fail-with-body so that an error's sentence is shown and the script ends.
#
#   OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=unused sh examples/curl.sh
set -eu

curl --silent --show-error --fail-with-body "$OPENAI_BASE_URL/embeddings" \
  --header "Authorization: Bearer $OPENAI_API_KEY" \
  --header 'Content-Type: application/json' \
  --data '{"model": "all-MiniLM-L6-v2", "input": ["A cat sleeps.", "A kitten naps."], "dimensions": 8}'
