#!/usr/bin/env python3
"""Collects ONNX's own cases of the operators that package onnx knows, and makes
pipelines of scikit-learn with the answers of ONNX Runtime.

    graphs.py OUT.zip           what the package's own tests read
    graphs.py OUT.zip fresh     pipelines only: more of them, trained now, and answers to all rows
"""
import json
import sys
import warnings
import zipfile

import numpy as np
import onnx

warnings.filterwarnings("ignore")
KNOWN = set("""Abs Add ArgMax Cast Ceil Concat Constant Div Exp Flatten Floor Gather Gemm Identity Log LogSoftmax MatMul Mul
Neg Pow Reciprocal Relu Reshape Sigmoid Softmax Sqrt Sub Tanh ArrayFeatureExtractor Binarizer Imputer LabelEncoder
LinearClassifier LinearRegressor Normalizer OneHotEncoder Scaler TreeEnsembleClassifier TreeEnsembleRegressor ZipMap""".split())
TYPES = {"float32": "FP32", "float64": "FP64", "int64": "INT64", "int32": "INT32", "bool": "BOOL", "object": "BYTES"}
FRESH = sys.argv[2:] == ["fresh"]
NET = 10 if FRESH else 200  # rounds of a net
archive = zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED, compresslevel=9)


def tensor(name, a):
    a = np.asarray(a)
    a = a.astype(object) if a.dtype.kind in "US" else a
    # Texts hold all numbers exactly, NaN among them.
    data = [(repr(float(v)) if a.dtype.kind == "f" else str(v)) for v in a.reshape(-1)]
    return {"name": name, "datatype": TYPES[str(a.dtype)], "shape": list(a.shape), "data": data}


def save(name, model, inputs, outputs):
    archive.writestr(zipfile.ZipInfo(name + "/model.onnx"), model, zipfile.ZIP_DEFLATED)
    archive.writestr(zipfile.ZipInfo(name + "/case.json"), json.dumps({"inputs": inputs, "outputs": outputs}), zipfile.ZIP_DEFLATED)


def nodes():
    from onnx.backend.test.case.node import collect_testcases

    for c in collect_testcases(None):
        m = c.model
        # Refused: other types of elements.
        elems = [v.type.tensor_type.elem_type for v in [*m.graph.input, *m.graph.output]] if m else []
        elems += [a.i for n in m.graph.node for a in n.attribute if n.op_type == "Cast" and a.name == "to"] if m else []
        if not set(elems) <= {1, 6, 7, 8, 9, 11}:
            continue
        if m is None or not all(n.op_type in KNOWN for n in m.graph.node) or m.ByteSize() > 100_000:
            continue
        try:
            inputs, outputs = c.data_sets[0]
            if len(inputs) != len(m.graph.input):
                continue
            tensors = ([tensor(v.name, a) for v, a in zip(m.graph.input, inputs)], [tensor(v.name, a) for v, a in zip(m.graph.output, outputs)])
            wrong = [t["name"] for v, t in zip(m.graph.input, tensors[0]) if TYPES[onnx.helper.tensor_dtype_to_np_dtype(v.type.tensor_type.elem_type).name] != t["datatype"]]
            if wrong:
                continue
        except (KeyError, TypeError, ValueError):
            continue  # A type that has no place here: float16, uint8, …
        if sum(len(t["data"]) for t in tensors[0] + tensors[1]) <= 4000:
            save("node/" + c.name, m.SerializeToString(), *tensors)


def pipelines():
    import onnxruntime as ort
    from skl2onnx import to_onnx
    from sklearn import datasets, ensemble, impute, linear_model, neural_network, pipeline, preprocessing

    def case(name, steps, x, y, rows):
        if FRESH:
            x, y, rows = x[-500:], y[-500:], x[-500:]
        model = pipeline.make_pipeline(*steps).fit(x, y)
        classifier = hasattr(model, "predict_proba")
        file = to_onnx(model, x[:1].astype(np.float32), target_opset={"": 17, "ai.onnx.ml": 3}, options={id(model): {"zipmap": False}} if classifier else None).SerializeToString()
        s = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
        rows = rows.astype(np.float32)
        answers = s.run(None, {s.get_inputs()[0].name: rows})
        save("pipeline/" + name, file, [tensor(s.get_inputs()[0].name, rows)], [tensor(o.name, a) for o, a in zip(s.get_outputs(), answers)])

    p, l, m = preprocessing, linear_model, neural_network
    x, y = datasets.load_breast_cancer(return_X_y=True)
    holes = x.copy()
    holes[np.random.default_rng(1).random(x.shape) < 0.1] = np.nan
    case("logistic", [p.StandardScaler(), l.LogisticRegression(max_iter=500)], x, y, x[:60])
    case("imputed", [impute.SimpleImputer(), p.MinMaxScaler(), l.LogisticRegression(max_iter=500)], holes, y, holes[:60])
    case("forest", [impute.SimpleImputer(), p.StandardScaler(), ensemble.RandomForestClassifier(8, max_depth=5, random_state=1)], holes, y, holes[:60])
    case("net", [p.StandardScaler(), m.MLPClassifier(hidden_layer_sizes=(16, 8), max_iter=NET, random_state=1)], x, y, x[:60])
    names = np.array(["malignant", "benign"])[y]
    case("names", [p.Normalizer(), l.LogisticRegression()], x, names, x[:60])
    x, y = datasets.load_wine(return_X_y=True)
    case("several", [p.RobustScaler(), l.LogisticRegression(max_iter=500)], x, y, x[::3])
    case("net_several", [p.StandardScaler(), m.MLPClassifier(hidden_layer_sizes=(12,), activation="tanh", max_iter=NET, random_state=1)], x, y, x[::3])
    case("max_abs", [p.MaxAbsScaler(), l.LogisticRegression()], x, y, x[::3])
    x, y = datasets.load_diabetes(return_X_y=True)
    case("ridge", [p.StandardScaler(), l.Ridge()], x, y, x[:60])
    case("lasso", [p.Binarizer(threshold=0.01), l.Lasso(alpha=0.1)], x, y, x[:60])
    case("net_regressor", [p.StandardScaler(), m.MLPRegressor(hidden_layer_sizes=(16,), activation="logistic", max_iter=NET, random_state=1)], x, y, x[:60])
    case("boosting", [p.StandardScaler(), ensemble.GradientBoostingRegressor(n_estimators=8, max_depth=3, random_state=1)], x, y, x[:60])
    x, y = datasets.load_digits(return_X_y=True)
    case("one_hot", [p.OneHotEncoder(handle_unknown="ignore", sparse_output=False), l.LogisticRegression(max_iter=200)], x[:, 2:12], y, x[:60, 2:12])
    if FRESH:
        more(case, x, y)


def more(case, x, y):
    """Pipelines that the package's own tests do not have."""
    import onnxruntime as ort
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn import compose, datasets, ensemble, feature_selection, linear_model, neural_network, pipeline, preprocessing, tree

    p, l, m = preprocessing, linear_model, neural_network
    case("digits_net", [p.MinMaxScaler(), m.MLPClassifier(hidden_layer_sizes=(32,), max_iter=NET, random_state=2)], x, y, x)
    case("digits_forest", [ensemble.ExtraTreesClassifier(20, max_depth=8, random_state=2)], x, y, x)
    case("digits_chosen", [feature_selection.SelectKBest(k=20), p.Normalizer("l1"), l.LogisticRegression()], x, y, x)
    case("digits_tree", [tree.DecisionTreeClassifier(max_depth=6, random_state=2)], x, y, x)
    x, y = datasets.load_linnerud(return_X_y=True)
    case("several_targets", [p.StandardScaler(), l.LinearRegression()], x, y, x)
    x, y = datasets.load_diabetes(return_X_y=True)
    for name, model in (("huber", l.HuberRegressor(max_iter=500)), ("elastic", l.ElasticNet(alpha=0.01)), ("bayes", l.BayesianRidge())):
        case("diabetes_" + name, [p.RobustScaler(), model], x, y, x)

    # A table of words and numbers, as services have them: an input a column.
    rng = np.random.default_rng(7)
    n = 500
    table = {
        "plan": rng.choice(["free", "basic", "größer"], (n, 1)).astype(object),
        "country": rng.choice(["de", "fr", "it", "us"], (n, 1)).astype(object),
        "usage": rng.gamma(2, 10, (n, 1)).astype(np.float32),
        "age": rng.normal(40, 12, (n, 1)).astype(np.float32),
    }
    z = (table["usage"] > 20).astype(float) + (table["plan"] == "free") - 0.02 * table["age"] + rng.normal(size=(n, 1)) * 0.3
    import pandas as pd

    frame = pd.DataFrame({k: v[:, 0] for k, v in table.items()})
    columns = compose.ColumnTransformer([("words", p.OneHotEncoder(handle_unknown="ignore"), ["plan", "country"]), ("numbers", p.StandardScaler(), ["usage", "age"])])
    model = pipeline.make_pipeline(columns, l.LogisticRegression(max_iter=500)).fit(frame, np.where(z[:, 0] > 0, "stays", "goes"))
    types = [(k, StringTensorType([None, 1]) if v.dtype == object else FloatTensorType([None, 1])) for k, v in table.items()]
    file = to_onnx(model, initial_types=types, target_opset={"": 17, "ai.onnx.ml": 3}, options={id(model): {"zipmap": False}}).SerializeToString()
    s = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
    table["country"][::10] = "xx"  # one that was never met
    save("pipeline/table", file, [tensor(k, v) for k, v in table.items()], [tensor(o.name, a) for o, a in zip(s.get_outputs(), s.run(None, table))])


if not FRESH:
    nodes()
pipelines()
archive.close()
