"""Archives of arrays as numpy writes them.

    /usr/bin/python3 test/vectors/npz.py > test/vectors/npz.json
"""
import base64
import io
import json

import numpy as np

arrays = {
    "layer/kernel": np.arange(6, dtype=np.float32).reshape(2, 3) / 2,
    "half": np.array([0.5, -2], np.float16),
    "steps": np.array(7, np.int64),
    "wide": np.array([0.1, 1e30]),
    "turned": np.asfortranarray(np.array([[1, 2], [3, 4]], np.float32)),
}
files = {}
for save in (np.savez, np.savez_compressed):
    file = io.BytesIO()
    save(file, **arrays)
    files[save.__name__] = base64.b64encode(file.getvalue()).decode()
print(json.dumps(files))
