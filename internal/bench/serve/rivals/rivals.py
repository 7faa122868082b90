"""The rivals of the benchmark: the same model of XGBoost behind each of them, as their
documentation shows it.

    rivals.py train DIR           trains the model: breast cancer, 100 trees of depth 4
    rivals.py fastapi DIR PORT    FastAPI on uvicorn, one process
    rivals.py bentoml DIR PORT    BentoML, one worker
    rivals.py mlserver DIR PORT   MLServer, no workers beside, a runtime that is one call

XGBOOST is the folder of packages that xgboost is loaded from, where the rival's own
environment has none.
"""

import json
import os
import sys

if "XGBOOST" in os.environ:
    sys.path.append(os.environ["XGBOOST"])  # at the end: the rival's own packages come first


def booster(folder):
    import xgboost

    model = xgboost.Booster(model_file=os.path.join(folder, "model.json"))
    model.set_param({"nthread": 1})
    return model


def train(folder):
    import numpy as np
    import xgboost
    from sklearn.datasets import load_breast_cancer

    X, y = load_breast_cancer(return_X_y=True)
    model = xgboost.XGBClassifier(n_estimators=100, max_depth=4, n_jobs=1).fit(X, y)
    model.save_model(os.path.join(folder, "model.json"))
    X.astype(np.float32)[:64].tofile(os.path.join(folder, "rows.f32"))


def fastapi(folder, port):
    import numpy as np
    import uvicorn
    from fastapi import FastAPI
    from pydantic import BaseModel

    model, app = booster(folder), FastAPI()

    class Rows(BaseModel):
        rows: list[list[float]]

    @app.post("/predict")
    async def predict(body: Rows) -> list[float]:
        return model.inplace_predict(np.array(body.rows, np.float32)).tolist()

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


def bentoml(folder, port):
    with open(os.path.join(folder, "bench_service.py"), "w") as f:
        f.write(
            f"""import sys
sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})
import bentoml
import numpy as np
from rivals import booster


@bentoml.service(workers=1)
class Bench:
    def __init__(self):
        self.model = booster({folder!r})

    @bentoml.api
    def predict(self, rows: list[list[float]]) -> list[float]:
        return self.model.inplace_predict(np.array(rows, np.float32)).tolist()
"""
        )
    os.chdir(folder)
    os.environ.update(BENTOML_HOME=os.path.join(folder, "bentoml"), BENTOML_DO_NOT_TRACK="True")
    program = os.path.join(os.path.dirname(sys.executable), "bentoml")
    os.execv(program, [program, "serve", "bench_service:Bench", "--host", "127.0.0.1", "--port", str(port)])


def mlserver(folder, port):
    with open(os.path.join(folder, "bench_model.py"), "w") as f:
        f.write(
            f"""import sys
sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from rivals import booster


class Bench(MLModel):
    async def load(self) -> bool:
        self.model = booster({folder!r})
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = NumpyCodec.decode_input(payload.inputs[0])
        answer = self.model.inplace_predict(rows)
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("predict", answer)])
"""
        )
    with open(os.path.join(folder, "settings.json"), "w") as f:
        json.dump({"host": "127.0.0.1", "http_port": port, "grpc_port": port + 1, "metrics_endpoint": None, "parallel_workers": 0, "debug": False}, f)
    with open(os.path.join(folder, "model-settings.json"), "w") as f:
        json.dump({"name": "m", "implementation": "bench_model.Bench"}, f)
    os.chdir(folder)
    program = os.path.join(os.path.dirname(sys.executable), "mlserver")
    os.execv(program, [program, "start", folder])


if __name__ == "__main__":
    rest = sys.argv[2:]
    globals()[sys.argv[1]](*rest[:1], *(int(port) for port in rest[1:]))
