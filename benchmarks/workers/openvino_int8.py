"""OpenVINO on an int8 graph of NNCF.

A single text runs under the latency hint. Lists run under the throughput hint, in a stream a core: of
static shapes where all texts have one length, else of dynamic ones, sorted by length.
"""

import functools

import lists
import numpy as np
import openvino
import protocol

Hint = dict[str, object]


def load(folder: str, file: str, threads: int, max_tokens: int, pairs: bool = False) -> protocol.Encode:
    """An OpenVINO file in a folder with its tokenizer; of a model that scores ``pairs`` or makes vectors."""
    words = lists.tokenizer(folder, max_tokens)
    core = openvino.Core()
    path = f"{folder}/{file}"
    dynamic = _compiled(core, core.read_model(path), _throughput(threads))

    @functools.cache
    def static(texts: int, tokens: int) -> lists.Run:
        model = core.read_model(path)
        model.reshape({one.any_name: [texts, tokens] for one in model.inputs})
        hint = (
            _throughput(threads)
            if texts > 1
            else {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
        )
        return _compiled(core, model, hint)

    def run(batches: list[lists.Batch]) -> list[np.ndarray]:
        shapes = {inputs["input_ids"].shape for inputs in batches}
        return (static(*shapes.pop()) if len(shapes) == 1 else dynamic)(batches)

    results = lists.score if pairs else lists.encode
    return lambda texts: results(texts, words, run, lanes=threads)


def _throughput(threads: int) -> Hint:
    return {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": threads, "INFERENCE_NUM_THREADS": threads}


def _compiled(core: openvino.Core, model: openvino.Model, hint: Hint) -> lists.Run:
    """From batches to their outputs, as many at once as there are streams."""
    compiled = core.compile_model(model, "CPU", hint)
    names = [one.any_name for one in compiled.inputs]
    queue = openvino.AsyncInferQueue(compiled)

    def run(batches: list[lists.Batch]) -> list[np.ndarray]:
        outputs: list[np.ndarray] = [np.empty(0)] * len(batches)

        def keep(request: openvino.InferRequest, place: int) -> None:
            outputs[place] = request.get_output_tensor(0).data.copy()

        queue.set_callback(keep)
        for place, inputs in enumerate(batches):
            queue.start_async({name: inputs[name] for name in names}, place)
        queue.wait_all()
        return outputs

    return run


if __name__ == "__main__":
    protocol.serve(load, ["openvino", "nncf", "tokenizers", "numpy"])
