"""Writes search.json: what faiss's IndexPQ (asymmetric distances by tables) and IndexFlatL2 (exact) find. Run: python3 test/vectors/search.py"""
import json, pathlib
import faiss
import numpy

generator = numpy.random.default_rng(5)
n, d, M, bits, q, k = 200, 8, 4, 4, 12, 6
# Clusters, so that neighbours are worth finding; values of few digits keep the file small.
centers = generator.normal(size=(20, d))
points = numpy.round(centers[generator.integers(20, size=n)] + 0.3 * generator.normal(size=(n, d)), 3).astype("float32")
queries = numpy.round(centers[generator.integers(20, size=q)] + 0.3 * generator.normal(size=(q, d)), 3).astype("float32")

index = faiss.IndexPQ(d, M, bits)
index.train(points)
index.add(points)
distances, ids = index.search(queries, k)
exact = faiss.IndexFlatL2(d)
exact.add(points)
exact_distances, exact_ids = exact.search(queries, k)

codewords = faiss.vector_to_array(index.pq.centroids).reshape(M, 2**bits, d // M)
decoded = index.reconstruct_n(0, n)
codes = numpy.stack([((decoded[:, None, m * 2:m * 2 + 2] - codewords[m][None]) ** 2).sum(2).argmin(1) for m in range(M)], 1)
assert all((codewords[m][codes[:, m]] == decoded[:, m * 2:m * 2 + 2]).all() for m in range(M))

listed = lambda array: [float(f"{value:.9g}") if array.dtype.kind == "f" else int(value) for value in array.ravel()]
(pathlib.Path(__file__).parent / "search.json").write_text(json.dumps({
    "n": n, "d": d, "M": M, "K": 2**bits, "q": q, "k": k,
    "points": listed(points), "queries": listed(queries), "codewords": listed(codewords), "codes": listed(codes),
    "distances": listed(distances), "ids": listed(ids), "exactDistances": listed(exact_distances), "exactIds": listed(exact_ids),
}) + "\n")
