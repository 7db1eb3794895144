"""k-means of faiss and of scikit-learn (variants 'lloyd', 'elkan'), one thread, all points, given first codewords (see ../serve.ts)."""
from serve import read_array, serve


def prepare(job, variant):
    points = read_array(job["points"]).reshape(job["n"], job["d"])
    init = read_array(job["init"]).reshape(job["k"], job["d"])
    last = {}

    if variant == "faiss":
        import faiss
        faiss.omp_set_num_threads(job["threads"])

        def run():
            # By default faiss trains on a sample of 256 points per centroid.
            kmeans = faiss.Kmeans(job["d"], job["k"], niter=job["iterations"], max_points_per_centroid=job["n"])
            kmeans.train(points, init_centroids=init)
            last["codewords"] = kmeans.centroids
    else:
        from sklearn.cluster import KMeans

        def run():
            kmeans = KMeans(job["k"], init=init, n_init=1, max_iter=job["iterations"], tol=0, algorithm=variant)
            last["codewords"] = kmeans.fit(points).cluster_centers_

    return run, lambda: last["codewords"]


serve(prepare)
