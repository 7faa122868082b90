"""Logs two MLflow models, one of columns and one of tensors, and writes what they
predict. The argument is a folder."""

import json
import os
import sys
import warnings

warnings.filterwarnings("ignore")
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

out = sys.argv[1]


class Words(mlflow.pyfunc.PythonModel):
    """Columns of all types in, a frame of three out."""

    def predict(self, context, model_input, params=None):
        if (model_input["amount"] < 0).any():
            raise RuntimeError("an amount is negative")
        return pd.DataFrame({
            "text": model_input["country"] + "-" + model_input["when"].dt.strftime("%Y%m%d"),
            "total": model_input["amount"] * model_input["count"],
            "flag": model_input["flag"],
        })


frame = pd.DataFrame({
    "country": ["de", "fr", "日本"], "amount": [1.5, -0.0, 2.25], "count": np.array([2, 3, 4], dtype=np.int64),
    "flag": [True, False, True], "when": pd.to_datetime(["2026-01-02", "2026-11-22T10:00:00", "1999-12-31"], format="ISO8601"),
})
words = Words()
answer = words.predict(None, frame)
mlflow.pyfunc.save_model(os.path.join(out, "columns"), python_model=words, signature=infer_signature(frame, answer), pip_requirements=[])

iris = load_iris()
forest = RandomForestClassifier(n_estimators=20, random_state=1).fit(iris.data, iris.target)
mlflow.sklearn.save_model(
    forest, os.path.join(out, "tensors"), signature=infer_signature(iris.data, forest.predict_proba(iris.data)),
    pyfunc_predict_fn="predict_proba", pip_requirements=[], serialization_format="cloudpickle",
)
loaded = mlflow.pyfunc.load_model(os.path.join(out, "tensors"))
with open(os.path.join(out, "answers.json"), "w") as f:
    json.dump({
        "text": list(answer["text"]), "total": list(answer["total"]), "flag": [bool(v) for v in answer["flag"]],
        "rows": iris.data.tolist(), "scores": loaded.predict(iris.data).tolist(),
    }, f)
