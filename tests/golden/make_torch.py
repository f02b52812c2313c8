# SPDX-License-Identifier: MIT
"""Writes torch_zip.pth, torch_legacy.pth (the same state), torch_nested.pt and torch_legacy4.pt (a training
checkpoint, as protocol 4 has it) and torch_bin/ (two shards and an index), by torch.save; and what is in them (see make_folder.py).

Made with torch 2.13.0."""
import collections
import json
import pathlib

import torch

from make_folder import raw, some, write_text

here = pathlib.Path(__file__).parent
torch.manual_seed(11)

base = some(torch.float32, 6, 8)
state = collections.OrderedDict()
for n in ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool",
          "float8_e4m3fn", "float8_e5m2", "uint16", "uint32", "uint64"]:
    state[n] = some(getattr(torch, n), 2, 3)
state["whole"] = base                           # all of these share one storage
state["transposed"] = base.t()
state["rows"] = base[2:5]
state["columns"] = base[:, 1:4]
state["every.second"] = base[::2, ::3]
state["tied"] = base
state["one.column"] = base[:, 3:4]
state["scalar"] = torch.tensor(2.5)
state["empty"] = torch.zeros(3, 0)
state["parameter"] = torch.nn.Parameter(some(torch.float16, 4))
state["cube"] = some(torch.bfloat16, 3, 4, 5).permute(2, 0, 1)
state["four"] = some(torch.int8, 2, 3, 4, 5).permute(3, 1, 0, 2)
state["five"] = some(torch.int8, 2, 3, 2, 3, 2).transpose(0, 3)
state["f64.transposed"] = some(torch.float64, 3, 5).t()
state._metadata = collections.OrderedDict([("", {"version": 1})])
torch.save(state, here / "torch_zip.pth")
torch.save(state, here / "torch_legacy.pth", _use_new_zipfile_serialization=False)
write_text(here / "torch_zip.txt", state)

layer = torch.nn.Linear(3, 2)
nested = {"epoch": 3, "loss": 0.25, "name": "x\u00e9", "best": None, "big": 2 ** 80, "list": [1, (2, 3), b"x"],
          "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}},
          "model": {"layer": layer.state_dict(), 7: {"w": some(torch.int32, 2, 2)}}}
torch.save(nested, here / "torch_nested.pt", pickle_protocol=4)
torch.save(nested, here / "torch_legacy4.pt", pickle_protocol=4, _use_new_zipfile_serialization=False)
write_text(here / "torch_nested.txt", {**{f"layer.{k}": v.detach() for k, v in layer.state_dict().items()},
                                       "7.w": nested["model"][7]["w"]})

out = here / "torch_bin"
out.mkdir(exist_ok=True)
shards = [{"a.weight": some(torch.float16, 3, 4)}, {"b.weight": some(torch.float32, 4), "b.bias": some(torch.float32, 2)}]
where = {}
for i, shard in enumerate(shards):
    name = f"pytorch_model-{i + 1:05}-of-{len(shards):05}.bin"
    torch.save(shard, out / name)
    where |= {k: name for k in shard}
(out / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
(out / "config.json").write_text('{"model_type": "opt"}\n')
write_text(here / "torch_bin.txt", shards[0] | shards[1])
print(torch.__version__)
