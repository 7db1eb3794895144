"""The Python side of ../serve.ts: answers one request per line, so that contenders take turns."""
import json
import sys
import time
import traceback

import numpy


def read_array(path):
    return numpy.fromfile(path, dtype="<f4")


def peak_memory():
    """Kilobytes of resident memory at most so far."""
    with open("/proc/self/status") as status:
        return next((int(line.split()[1]) for line in status if line.startswith("VmHWM:")), 0)


def serve(prepare):
    """prepare(job, variant) gives (run, output): one timed call, and the values of the last one."""
    run = output = None
    baseline = 0
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "prepare" in request:
                baseline = peak_memory()
                run, output = prepare(request["prepare"], request["variant"])
                value = True
            elif "output" in request:
                output().astype("<f4").tofile(request["output"])
                value = request["output"]
            elif "memory" in request:
                value = {"peak": peak_memory(), "baseline": baseline}
            else:
                start = time.perf_counter()
                run()
                value = time.perf_counter() - start
            reply = {"value": value}
        except Exception:
            reply = {"error": traceback.format_exc()}
        print("@bench " + json.dumps(reply), flush=True)
