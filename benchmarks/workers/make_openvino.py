"""An int8 graph for OpenVINO and OpenVINO GenAI: ``make_openvino.py FOLDER MAX_TOKENS < TEXTS``.

A text is a line, and a line with a tab is a pair of texts, for a model that scores them.

NNCF's post-training quantisation for transformers, smooth quantisation included, calibrated over the lines
of standard input: what ``export_static_quantized_openvino_model`` of sentence-transformers does, which takes
its texts from the hub. Beside it the tokenizer as OpenVINO runs it, under the names that GenAI looks for.
"""

import sys

import lists
import nncf
import openvino
from openvino_tokenizers import convert_tokenizer
from transformers import AutoTokenizer


def main(folder: str, max_tokens: str) -> None:
    """Calibrate over the lines of standard input; write FOLDER/openvino."""
    words = lists.tokenizer(folder, int(max_tokens))
    lines = [line.strip().split("\t") for line in sys.stdin]
    model = openvino.convert_model(f"{folder}/onnx/model.onnx")
    names = [one.any_name for one in model.inputs]
    samples = [lists.batch([words.encode(*texts)]) for texts in lines]
    dataset = nncf.Dataset(samples, lambda sample: {name: sample[name] for name in names})
    quantized = nncf.quantize(model, dataset, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(samples))
    openvino.save_model(quantized, f"{folder}/openvino/openvino_model.xml", compress_to_fp16=False)
    tokenizer = convert_tokenizer(AutoTokenizer.from_pretrained(folder))
    openvino.save_model(tokenizer, f"{folder}/openvino/openvino_tokenizer.xml")


if __name__ == "__main__":
    main(*sys.argv[1:])
