"""PyTorch's contender (see ../serve.ts): forward and training of an exchanged network (../exchange.ts), eager, in its own layout."""
import json
import os

import numpy
import torch
import torch.nn.functional as F

from serve import read_array, serve


class Exchanged(torch.nn.Module):
    def __init__(self, folder):
        super().__init__()
        with open(os.path.join(folder, "graph.json")) as file:
            self.graph = json.load(file)
        values = read_array(os.path.join(folder, "weights.f32"))
        self.places = {}
        for i, (name, entry) in enumerate(self.graph["parameters"].items()):
            count = int(numpy.prod(entry["shape"]))
            data = torch.from_numpy(values[entry["first"]:entry["first"] + count].reshape(entry["shape"]).copy())
            statistic = name.endswith((".mean", ".variance"))
            self.places[name] = f"p{i}"
            if statistic:
                self.register_buffer(f"p{i}", data)
            else:
                self.register_parameter(f"p{i}", torch.nn.Parameter(data))

    def forward(self, x):
        values = {self.graph["inputs"][0]["name"]: x}
        for node in self.graph["nodes"]:
            own = {role: getattr(self, self.places[name]) for role, name in node["parameters"].items()}
            inputs = [values[name] for name in node["inputs"]]
            values[node["name"]] = self.apply_node(node["kind"], node["attributes"], own, *inputs)
        return values[self.graph["outputs"][0]]

    def apply_node(self, kind, attributes, own, x, *others):
        if kind == "conv":
            top, left, bottom, right = attributes["padding"]
            if (top, left) != (bottom, right):
                x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
            return F.conv2d(x, own["weight"], own.get("bias"), attributes["stride"], (top, left), attributes["dilation"], attributes["groups"])
        if kind == "dense":
            return F.linear(x, own["weight"], own.get("bias"))
        if kind == "batchNorm":
            return F.batch_norm(x, own["mean"], own["variance"], own["scale"], own["shift"], False, attributes["momentum"], attributes["epsilon"])
        if kind == "maxPool":
            return F.max_pool2d(x, attributes["size"], attributes["stride"], attributes["padding"][:2])
        if kind == "globalAveragePool":
            return x.mean((2, 3))
        if kind == "relu":
            return F.relu(x)
        if kind == "flatten":
            return x.flatten(1)
        if kind == "add":
            return x + others[0]
        raise ValueError(f"torch: no translation of {kind}")


def prepare(job, _variant):
    torch.set_num_threads(job["threads"])
    model = Exchanged(job["network"])
    shape = model.graph["inputs"][0]["shape"]
    x = torch.from_numpy(read_array(job["input"]).reshape([job["batch"], *shape]))
    last = {}

    def forward():
        with torch.no_grad():
            last["output"] = model(x)

    if job["kind"] == "forward":
        model.eval()
        return forward, lambda: last["output"].numpy()

    target = torch.from_numpy(read_array(job["target"]).reshape([job["batch"], -1]))
    optimizer = torch.optim.SGD(model.parameters(), lr=job["rate"], momentum=job["momentum"])

    def step():
        optimizer.zero_grad(set_to_none=True)
        output = model(x)
        F.mse_loss(output, target).backward()
        optimizer.step()
        last["output"] = output.detach()

    return step, lambda: last["output"].numpy()


serve(prepare)
