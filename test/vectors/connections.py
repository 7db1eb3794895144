"""Correlations between the inputs of linear neurons and their answers, by numpy.corrcoef: connections.json."""
import json
import numpy as np

random = np.random.default_rng(11)
cases = []
for rows, columns, groups in ((3, 5, 1), (4, 3, 2)):
    weights = random.normal(size=(rows, columns)).astype(np.float32)
    moments, found = [], []
    for group in range(groups):
        inputs = random.normal(size=(200, columns)) @ random.normal(size=(columns, columns)) + 1
        part = weights[group * rows // groups : (group + 1) * rows // groups].astype(np.float64)
        answers = inputs @ part.T
        both = np.corrcoef(np.concatenate([answers, inputs], axis=1).T)
        moments += np.cov(inputs.T, bias=True).ravel().tolist()
        found += both[: len(part), len(part) :].ravel().tolist()
    cases.append({"shape": [rows, columns], "weights": [float(w) for w in weights.ravel()], "moments": moments, "correlations": found})
with open(__file__.replace(".py", ".json"), "w") as file:
    json.dump(cases, file)
