"""What a data scientist leaves in the registry, and what a server then loads.

    registry_go.py URL make|load

make registers two versions of a model, the first of which is the champion, and
prints its predictions for both. load prints those of the champion.
"""

import json
import os
import sys

os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

import mlflow  # noqa: E402, the settings come first
import mlflow.sklearn  # noqa: E402
import numpy as np  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.models import infer_signature  # noqa: E402
from sklearn.linear_model import LinearRegression, Ridge  # noqa: E402

url, what = sys.argv[1:]
mlflow.set_tracking_uri(url)
x = np.arange(12.0).reshape(6, 2) ** 2
y = x @ np.array([2.0, -1.0]) + 3


def make():
    said = []
    mlflow.set_experiment("from python")
    for n, model in enumerate([Ridge(alpha=1000.0), LinearRegression()]):
        model.fit(x, y)
        with mlflow.start_run():
            data = mlflow.data.from_numpy(x, targets=y, name="points")
            mlflow.log_input(data, context="evaluation")
            info = mlflow.sklearn.log_model(model, name="line", signature=infer_signature(x, model.predict(x)), input_example=x[:2], pip_requirements=["scikit-learn"])
            mlflow.log_metric("rmse", float(np.sqrt(np.mean((model.predict(x) - y) ** 2))), model_id=info.model_id, dataset=data)
            source = info.model_uri
            if n == 0:  # as a folder of the run, the way of older clients
                mlflow.sklearn.save_model(model, "saved", signature=infer_signature(x, model.predict(x)), pip_requirements=["scikit-learn"])
                mlflow.log_artifacts("saved", "saved")
                source = f"runs:/{mlflow.active_run().info.run_id}/saved"
        mlflow.register_model(source, "line")
        said.append(model.predict(x).tolist())
    MlflowClient().set_registered_model_alias("line", "champion", "1")
    return said


def load():
    return mlflow.pyfunc.load_model("models:/line@champion").predict(x).tolist()


try:
    print(json.dumps({"make": make, "load": load}[what]()))
except mlflow.exceptions.MlflowException as e:
    print(json.dumps({"error": e.error_code, "message": e.message}))
    sys.exit(3)
