"""vLLM's build for CPUs, offline, with a pooling model, in bfloat16: float32 took seven times as long."""

import os

import numpy as np
import protocol
import vllm


def load(folder: str, max_tokens: int) -> protocol.Encode:
    """A checkpoint's folder; a thread on every core, as one is left out by default."""
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    os.environ["VLLM_CPU_KVCACHE_SPACE"] = "1"  # gigabytes; an encoder needs none
    model = vllm.LLM(folder, runner="pooling", dtype="bfloat16")
    cut = {"truncate_prompt_tokens": max_tokens}

    def encode(texts: list[str]) -> np.ndarray:
        items = model.embed(texts, use_tqdm=False, tokenization_kwargs=cut)
        return np.array([item.outputs.embedding for item in items], dtype=np.float32)

    return encode


if __name__ == "__main__":
    protocol.serve(load, ["vllm-cpu", "torch"])
