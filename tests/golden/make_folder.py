# SPDX-License-Identifier: MIT
"""Writes dtypes.safetensors, folder/ (two shards and an index) and what is in them, by the
safetensors package; every value as torch holds it.

A line of the .txt files: name, dtype, shape (slowest dimension first, commas), bytes in hex.
Made with safetensors 0.8.0, torch 2.13.0."""
import json
import pathlib

import safetensors
import torch
from safetensors.torch import save_file

here = pathlib.Path(__file__).parent


def raw(t):
    return t.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if t.numel() else b""


def write_text(path, tensors):
    lines = []
    for name, t in tensors.items():
        shape = ",".join(map(str, t.shape)) or "-"
        lines.append(f"{name} {str(t.dtype)[6:]} {shape} {raw(t).hex() or '-'}\n")
    path.write_text("".join(lines))


def some(dtype, *shape):
    if dtype == torch.bool:
        return torch.rand(*shape) > 0.5
    if dtype.is_floating_point:
        return torch.randn(*shape).to(dtype)
    info = torch.iinfo(dtype)
    return torch.randint(max(info.min, -(2 ** 40)), min(info.max, 2 ** 40), shape).to(dtype)


def main():
    torch.manual_seed(5)
    names = ["float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int64", "int32",
             "int16", "int8", "uint8", "uint16", "uint32", "uint64", "bool"]
    tensors = {n: some(getattr(torch, n), 2, 3) for n in names}
    tensors["scalar"] = torch.tensor(3.25)
    tensors["empty"] = torch.zeros(0, 4)
    tensors["vector"] = some(torch.float32, 7)
    tensors["cube"] = some(torch.float16, 2, 3, 4)
    tensors["four"] = some(torch.int8, 2, 3, 4, 5)
    tensors["five"] = some(torch.int8, 2, 3, 4, 5, 6)
    tensors["name with \"quotes\" and \u00e9"] = some(torch.float32, 1)
    save_file(tensors, here / "dtypes.safetensors", metadata={"format": "pt", "note": "a\nb"})
    write_text(here / "dtypes.txt", {k.replace(" ", "_"): v for k, v in tensors.items()})

    out = here / "folder"
    out.mkdir(exist_ok=True)
    shards = [{"model.embed.weight": some(torch.bfloat16, 8, 4), "model.layers.0.q.weight": some(torch.float16, 4, 4)},
              {"model.norm.weight": some(torch.float32, 4), "lm_head.weight": some(torch.bfloat16, 8, 4)}]
    where = {}
    for i, shard in enumerate(shards):
        name = f"model-{i + 1:05}-of-{len(shards):05}.safetensors"
        save_file(shard, out / name, metadata={"format": "pt"})
        where |= {k: name for k in shard}
    index = {"metadata": {"total_size": sum(t.numel() * t.element_size() for s in shards for t in s.values())},
             "weight_map": where}
    (out / "model.safetensors.index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
    write_text(here / "folder.txt", shards[0] | shards[1])
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4, "rms_norm_eps": 1e-05,
              "tie_word_embeddings": False, "bos_token_id": None, "eos_token_id": [1, 2], "torch_dtype": "bfloat16",
              "rope_scaling": {"factor": 8.0, "rope_type": "llama3", "deep": {"er": -3}}, "layer_types": [],
              "time_step_limit": [0.0, float("inf")], "mixed": [1, "a", None], "nested": [[1, 2], [3]],
              "flags": [True, False], "id2label": {"0": "no", "1": "y\u00e9s"}, "big": 2 ** 70, "names": ["a", "b\n"]}
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (out / "generation_config.json").write_text(json.dumps({"temperature": 0.6, "eos_token_id": [1], "do_sample": True}))
    (out / "tokenizer.json").write_text("{}\n")
    (out / "1_Pooling").mkdir(exist_ok=True)
    (out / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    for f in [here / "dtypes.safetensors", *out.glob("*.safetensors")]:
        f.chmod(0o644)
    print(safetensors.__version__, torch.__version__)


if __name__ == "__main__":
    main()
