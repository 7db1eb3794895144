"""Sums of squares of scikit-learn's k-means of numbers, the best of 20 runs: line.json."""
import json
import numpy as np
from sklearn.cluster import KMeans

random = np.random.default_rng(7)
cases = []
for draw in (random.normal, random.laplace):
    for n, k in ((200, 4), (400, 16), (400, 32)):
        values = draw(size=n).astype(np.float32)
        fit = KMeans(k, n_init=20, random_state=0, tol=0).fit(values.astype(np.float64)[:, None])
        cases.append({"values": [float(v) for v in values], "K": k, "inertia": float(fit.inertia_)})
with open(__file__.replace(".py", ".json"), "w") as file:
    json.dump(cases, file)
