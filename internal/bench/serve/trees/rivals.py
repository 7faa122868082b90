"""Trains 500 trees of depth 6 with each library and measures its own predictor on
one thread, one row a call (another one each time) and 1,000 rows a call.

    rivals.py OUT

OUT/<library>/ holds the model and rows.f64; the figures go to standard output as
JSON: CPU microseconds a row, the least of several runs.
"""
import json
import os
import sys
import time

import numpy as np
from sklearn import datasets

out = sys.argv[1]
d = datasets.load_digits()
rng = np.random.default_rng(5)
x = d.data[rng.integers(0, len(d.data), 6000)] + rng.normal(size=(6000, d.data.shape[1]))
y = (d.target[rng.integers(0, len(d.target), 6000)] > 4).astype(int)
y = ((x[:, :32].sum(axis=1) + 3 * np.sin(x[:, 20]) + rng.normal(size=6000) * 20) > 150).astype(int)
rows = np.ascontiguousarray(x[:1000])
TREES, DEPTH = 500, 6


def least(call, rows_a_call, seconds=0.4, runs=4):
    """CPU microseconds a row, the least of some runs of about so many seconds."""
    call(0)
    began, calls = time.process_time(), 0
    while time.process_time() - began < 0.05:
        call(calls)
        calls += 1
    calls = max(1, int(calls * seconds / runs / 0.05))
    best = float("inf")
    for _ in range(runs):
        began = time.process_time()
        for i in range(calls):
            call(i)
        best = min(best, time.process_time() - began)
    return best / calls / rows_a_call * 1e6


def figures(name, write, call, data):
    folder = os.path.join(out, name)
    os.makedirs(folder, exist_ok=True)
    write(folder)
    rows.astype("<f8").tofile(os.path.join(folder, "rows.f64"))
    singles = [np.ascontiguousarray(data[i : i + 1]) for i in range(len(data))]
    return {"row": least(lambda i: call(singles[i % 1000]), 1), "rows": least(lambda i: call(data), len(data))}


def xgboost():
    import xgboost as xgb

    b = xgb.train({"objective": "binary:logistic", "max_depth": DEPTH, "nthread": 1, "eta": 0.05}, xgb.DMatrix(x, label=y), TREES)
    return figures("xgboost", lambda f: b.save_model(f + "/model.ubj"), lambda r: b.inplace_predict(r), rows.astype(np.float32))


def lightgbm():
    import ctypes
    import lightgbm as lgb

    b = lgb.train({"objective": "binary", "max_depth": DEPTH, "num_leaves": 63, "verbose": -1, "num_threads": 1, "learning_rate": 0.05}, lgb.Dataset(x, y), TREES)
    # One row by the C function that is made for it, without Python's own checks.
    lib, handle, fast = lgb.basic._LIB, b._handle, ctypes.c_void_p()
    lib.LGBM_BoosterPredictForMatSingleRowFastInit(handle, 0, 0, -1, 1, ctypes.c_int32(x.shape[1]), ctypes.c_char_p(b"num_threads=1"), ctypes.byref(fast))
    n, result = ctypes.c_int64(), ctypes.c_double()

    def call(r):
        if len(r) == 1:
            lib.LGBM_BoosterPredictForMatSingleRowFast(fast, ctypes.c_void_p(r.ctypes.data), ctypes.byref(n), ctypes.byref(result))
        else:
            b.predict(r, num_threads=1)

    return figures("lightgbm", lambda f: b.save_model(f + "/model.txt"), call, rows)


def catboost():
    from catboost import CatBoostClassifier

    b = CatBoostClassifier(iterations=TREES, depth=DEPTH, verbose=0, thread_count=1, allow_writing_files=False).fit(x, y)
    call = lambda r: b.predict(r, prediction_type="RawFormulaVal", thread_count=1)
    return figures("catboost", lambda f: b.save_model(f + "/model.json", format="json"), call, rows.astype(np.float32))


def onnxruntime():
    import onnxruntime as ort
    from skl2onnx import to_onnx
    from sklearn.ensemble import GradientBoostingRegressor

    b = GradientBoostingRegressor(n_estimators=TREES, max_depth=DEPTH, subsample=0.3, max_features=8).fit(x, y)
    file = to_onnx(b, x[:1].astype(np.float32), target_opset={"": 17, "ai.onnx.ml": 3}).SerializeToString()
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    s = ort.InferenceSession(file, settings, providers=["CPUExecutionProvider"])
    name = s.get_inputs()[0].name

    def write(f):
        with open(f + "/model.onnx", "wb") as w:
            w.write(file)

    return figures("onnxruntime", write, lambda r: s.run(None, {name: r}), rows.astype(np.float32))


print(json.dumps({f.__name__: f() for f in (xgboost, lightgbm, catboost, onnxruntime)}))
