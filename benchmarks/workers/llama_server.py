"""llama.cpp's own HTTP server on a GGUF file: ``llama_server.py FILE THREADS --port PORT``.

It is the one of xllamacpp, whose wheel does without the newer instructions of this processor; compiled for
it is only llama-cpp-python, whose server answers one request at a time.
"""

import argparse
import signal

import xllamacpp

SLOTS = 8
"""Texts at a time, over all requests."""
TOKENS = 512
"""Of the longest text, and of a batch."""


def main() -> None:
    """Serve until a signal ends it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("threads", type=int)
    parser.add_argument("--port", type=int)
    arguments = parser.parse_args()

    params = xllamacpp.CommonParams()
    params.model.path = arguments.file
    params.hostnames, params.port = ["127.0.0.1"], arguments.port
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.n_parallel, params.n_ctx = SLOTS, SLOTS * TOKENS
    params.n_batch = params.n_ubatch = TOKENS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = arguments.threads
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
