"""Trains the two versions of the model in model/, on the breast cancer data that
comes with scikit-learn, and writes what they answer as golden cases.

    pip install xgboost scikit-learn && python train.py

Nothing runs it but you: what it writes is in the repository."""

import json
import pathlib

import numpy as np
import xgboost
from sklearn.datasets import load_breast_cancer

COLUMNS = ["worst radius", "worst texture", "worst smoothness", "worst concave points"]
here = pathlib.Path(__file__).parent
data = load_breast_cancer(as_frame=True)
rows = data.frame[COLUMNS].to_numpy(np.float32)
malignant = 1 - data.target.to_numpy()
shuffled = np.random.default_rng(1).permutation(len(rows))
train, held_out = shuffled[:399], shuffled[399:]

for version, (depth, rounds) in {"1": (1, 8), "2": (3, 30)}.items():
    booster = xgboost.train(
        {"objective": "binary:logistic", "max_depth": depth, "eta": 0.3, "nthread": 1, "seed": 1},
        xgboost.DMatrix(rows[train], malignant[train], feature_names=COLUMNS),
        rounds,
    )
    folder = here / "model" / version
    booster.save_model(folder / "model.json")
    answers = booster.inplace_predict(rows[held_out])
    right = float(np.mean((answers > 0.5) == malignant[held_out]))
    print(f"version {version}: {right:.4f} of {len(held_out)} rows right")
    cases = {
        "format": 1,
        "cases": [
            {
                "input": {"inputs": [{"name": "input", "datatype": "FP32", "shape": [8, 4], "data": rows[held_out[:8]].reshape(-1).tolist()}]},
                "output": {"outputs": [{"name": "malignant", "datatype": "FP32", "shape": [8, 1], "data": answers[:8].tolist()}]},
            }
        ],
    }
    (folder / "golden.json").write_text(json.dumps(cases) + "\n")
    (folder / "metrics.json").write_text(json.dumps({"accuracy": round(right, 4), "rows": len(held_out)}) + "\n")

lines = ["radius,texture,smoothness,concave,malignant"]
for i in held_out:
    lines.append(",".join(f"{float(v):.6g}" for v in rows[i]) + f",{malignant[i]}")
(here / "model" / "held_out.csv").write_text("\n".join(lines) + "\n")
