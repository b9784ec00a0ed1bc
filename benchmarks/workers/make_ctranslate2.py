"""A model for CTranslate2: ``make_ctranslate2.py CHECKPOINT FOLDER``, int8 weights, by its own converter."""

import sys

from ctranslate2.converters import TransformersConverter

if __name__ == "__main__":
    checkpoint, folder = sys.argv[1:]
    TransformersConverter(checkpoint).convert(folder, quantization="int8")
