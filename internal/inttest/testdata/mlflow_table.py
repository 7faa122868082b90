"""Says what MLflow's client has of a judged run: mlflow_table.py URL RUN TABLE."""

import json
import os
import sys

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"

import mlflow  # noqa: E402, the settings come first

url, run_id, table = sys.argv[1:]
mlflow.set_tracking_uri(url)
run = mlflow.get_run(run_id)
mlflow.set_experiment(experiment_id=run.info.experiment_id)
listed = [t["path"] for t in json.loads(run.data.tags["mlflow.loggedArtifacts"]) if t["type"] == "table"]
assert listed == [table], listed
inputs = [
    f"{i.dataset.name} {i.dataset.digest} " + next(t.value for t in i.tags if t.key == "mlflow.data.context")
    for i in run.inputs.dataset_inputs
]
rows = mlflow.load_table(table, run_ids=[run_id])
print(json.dumps({
    "rows": json.loads(rows.to_json(orient="records")),
    "inputs": inputs,
    "params": run.data.params,
    "mean": run.data.metrics["helpful/mean"],
}))
