"""Threads that log and search with the unmodified client, and never retry.

    mlflow_load.py URL THREADS ROUNDS

It exits with 0 when every call succeeded.
"""

import os
import sys
import threading
import traceback

os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

from mlflow import MlflowClient  # noqa: E402, the settings come first
from mlflow.entities import Metric, Param, RunTag  # noqa: E402

failures = []


def work(url, rounds):
    try:
        c = MlflowClient(url)
        run = c.create_run("0").info.run_id
        for k in range(rounds):
            c.log_batch(run, [Metric(f"m{i}", k, 1 + k, k) for i in range(50)], [Param(f"p{k}", str(k))], [RunTag("k", str(k))])
            c.log_metric(run, "single", float(k), step=k)
            c.search_runs(["0"], "metrics.m1 >= 1", order_by=["metrics.m2 DESC"], max_results=5)
            assert c.get_run(run).data.metrics["m3"] == k
        assert len(c.get_metric_history(run, "m4")) == rounds
    except Exception:
        failures.append(traceback.format_exc())


url, threads, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
all = [threading.Thread(target=work, args=(url, rounds)) for _ in range(threads)]
for t in all:
    t.start()
for t in all:
    t.join()
print("\n".join(failures))
sys.exit(1 if failures else 0)
