"""Writes kmeans.json: what scikit-learn and faiss reach on seeded points after 25 iterations, from given codewords and from seeds of their own.
The points are sums of four numbers of a linear congruential generator, which the test makes again."""
import json
import faiss
import numpy as np
from sklearn.cluster import KMeans


def points(count, d, centers, seed):
    """(count, d): around `centers` cluster centers (0: none), spread 1."""
    state = seed
    values = np.empty(count * d)
    for i in range(count * d):
        total = 0.0
        for _ in range(4):
            state = (1664525 * state + 1013904223) % 2 ** 32
            total += state / 2 ** 32
        values[i] = total - 2
    values = values.reshape(count, d)
    if centers:
        values += 3 * values[np.arange(count) % centers]
    return values.astype(np.float32)


cases = []
for count, d, centers, K, seed in [(3000, 8, 0, 32, 1), (2000, 4, 20, 16, 2), (1500, 1, 0, 16, 3), (1000, 9, 5, 8, 4)]:
    data = points(count, d, centers, seed)
    given = KMeans(K, init=data[:K].copy(), n_init=1, max_iter=25, tol=0, algorithm='full').fit(data.astype(np.float64)).inertia_
    own = KMeans(K, n_init=5, max_iter=25, tol=0, random_state=0, algorithm='full').fit(data.astype(np.float64)).inertia_
    reference = faiss.Kmeans(d, K, niter=25, nredo=5, seed=1234, max_points_per_centroid=10 ** 9)
    reference.train(data)
    fromGiven = faiss.Kmeans(d, K, niter=25, nredo=1, max_points_per_centroid=10 ** 9)
    fromGiven.train(data, init_centroids=data[:K].copy())
    objective = lambda k: float(k.index.search(data, 1)[0].astype(np.float64).sum())
    cases.append({'count': count, 'd': d, 'centers': centers, 'codewordCount': K, 'seed': seed, 'checksum': float(np.abs(data.astype(np.float64)).sum()),
                  'scikitGiven': given, 'faissGiven': objective(fromGiven), 'scikit': own, 'faiss': objective(reference)})
json.dump(cases, open('kmeans.json', 'w'), indent=1)
print(json.dumps(cases, indent=1))
