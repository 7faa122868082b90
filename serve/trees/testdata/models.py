#!/usr/bin/env python3
"""Trains tree ensembles with the libraries themselves, on the data sets that come
with scikit-learn, and writes for each the model's file, rows and the answers.

    models.py OUT SIZE [PART...]     SIZE: small, fresh or big; PART: xgboost lightgbm catboost onnx

OUT/<part>/<case>/ holds the model, rows.f64 (row after row, little endian),
margin.<type> and predict.<type> (f32 or f64) and case.json. The small ones, which
the package's own tests read, are packed into OUT/<part>.zip.
"""
import json
import os
import shutil
import sys
import zipfile

import numpy as np
from sklearn import datasets

out, size, parts = sys.argv[1], sys.argv[2], sys.argv[3:] or ["xgboost", "lightgbm", "catboost", "onnx"]
BIG = size == "big"
ROWS = {"small": 100, "fresh": 1000, "big": 3000}[size]
ROUNDS = 60 if BIG else 6


def data(name, missing=0.1, seed=7):
    """The set itself to train on, and more rows drawn from it with noise and holes."""
    d = getattr(datasets, "load_" + name)()
    x, y = d.data.astype(np.float64), d.target
    rng = np.random.default_rng(seed)
    train = x.copy()
    train[rng.random(x.shape) < missing] = np.nan
    rows = x[rng.integers(0, len(x), ROWS)]
    rows += (rng.random(rows.shape) < 0.3) * rng.normal(size=rows.shape) * x.std(axis=0)
    rows[rng.random(rows.shape) < missing] = np.nan
    # Values that are met exactly decide what less and less-or-equal mean.
    half = ROWS // 2
    rows[half:] = train[rng.integers(0, len(x), ROWS - half)]
    return train, y, rows


def categories(seed=3):
    """The digits, whose pixels have 17 levels, half of them taken for categories."""
    d = datasets.load_digits()
    rng = np.random.default_rng(seed)
    x = d.data.astype(np.float64)
    x[rng.random(x.shape) < 0.05] = np.nan
    rows = x[rng.integers(0, len(x), ROWS)].copy()
    rows[: ROWS // 4] += rng.integers(-3, 4, rows[: ROWS // 4].shape)
    kinds = ["c" if i % 2 else "q" for i in range(x.shape[1])]
    return x, d.target, rows, kinds


def save(part, name, model, rows, margin, predict, **more):
    folder = os.path.join(out, part, name)
    os.makedirs(folder)
    model(folder)
    (file,) = os.listdir(folder)
    np.ascontiguousarray(rows, dtype="<f8").tofile(os.path.join(folder, "rows.f64"))
    for what, values in (("margin", margin), ("predict", predict)):
        if values is None:
            continue
        kind = "f4" if values.dtype == np.float32 else "f8"
        np.ascontiguousarray(values, dtype="<" + kind).tofile(os.path.join(folder, what + "." + kind.replace("4", "32").replace("8", "64")))
    with open(os.path.join(folder, "case.json"), "w") as f:
        json.dump({"model": file, "features": rows.shape[1], "rows": len(rows), **more}, f)


def xgboost_models():
    import xgboost as xgb

    def case(name, params, train, y, rows, ext="json", kinds=None, rounds=ROUNDS, stop=False, **extra):
        params = {"nthread": 1, "max_depth": 6 if BIG else 4, "seed": 1, **params}
        make = lambda x, label=None: xgb.DMatrix(x, label=label, feature_types=kinds, enable_categorical=kinds is not None)
        d = make(train, y)
        for key, value in extra.items():
            d.set_float_info(key, value)
        if "rank:" in params["objective"]:
            d.set_group([len(y) // 4] * 4 + ([len(y) % 4] if len(y) % 4 else []))
        more, limit = {}, (0, 0)
        if stop:
            cut = len(y) // 2
            b = xgb.train(params, make(train[:cut], y[:cut]), 200, evals=[(make(train[cut:], y[cut:]), "v")], early_stopping_rounds=5, verbose_eval=False)
            limit = (0, b.best_iteration + 1)
        else:
            b = xgb.train(params, d, rounds)
        q = make(rows)
        predict = lambda margin: b.predict(q, output_margin=margin, iteration_range=limit, strict_shape=False)
        save("xgboost", name, lambda folder: b.save_model(os.path.join(folder, "model." + ext)), rows, predict(True), predict(False), **more)

    x, y, rows = data("iris")
    case("seed", {"objective": "binary:logistic", "max_depth": 2}, x, y // 2, rows, rounds=1)
    case("seed_ubj", {"objective": "multi:softprob", "num_class": 3, "max_depth": 2}, x, y, rows, rounds=1, ext="ubj")
    x, y, rows = data("breast_cancer")
    case("logistic", {"objective": "binary:logistic"}, x, y, rows)
    case("logistic_ubj", {"objective": "binary:logistic", "base_score": 0.3}, x, y, rows, ext="ubj")
    case("logitraw", {"objective": "binary:logitraw"}, x, y, rows)
    case("hinge", {"objective": "binary:hinge"}, x, y, rows)
    case("dart", {"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.3, "skip_drop": 0.2}, x, y, rows)
    case("deep", {"objective": "binary:logistic", "max_depth": 0, "max_leaves": 40, "grow_policy": "lossguide", "min_child_weight": 0}, x, y, rows, ext="ubj")
    case("stop", {"objective": "binary:logistic", "learning_rate": 0.5}, x, y, rows, stop=True)
    case("stop_ubj", {"objective": "binary:logistic", "learning_rate": 0.5, "num_parallel_tree": 2, "subsample": 0.7}, x, y, rows, stop=True, ext="ubj")
    x, y, rows = data("diabetes")
    for name in ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:squaredlogerror", "count:poisson", "reg:gamma", "reg:tweedie", "rank:ndcg"):
        label = y if name != "rank:ndcg" else (y // 70).astype(int)
        case(name.replace(":", "_"), {"objective": name}, x, label, rows, rounds=ROUNDS // 2)
    case("reg_logistic", {"objective": "reg:logistic", "base_score": 0.25}, x, y / 400, rows)
    case("quantiles", {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]}, x, y, rows, ext="ubj")
    case("cox", {"objective": "survival:cox"}, x, y, rows)
    case("aft", {"objective": "survival:aft"}, x, y, rows, label_lower_bound=y, label_upper_bound=y)
    x, y, rows = data("wine")
    case("softprob", {"objective": "multi:softprob", "num_class": 3}, x, y, rows)
    case("softmax", {"objective": "multi:softmax", "num_class": 3, "num_parallel_tree": 2, "subsample": 0.6}, x, y, rows, ext="ubj")
    case("dart_multi", {"objective": "multi:softprob", "num_class": 3, "booster": "dart", "rate_drop": 0.3}, x, y, rows, ext="ubj")
    x, y, rows, kinds = categories()
    case("sets", {"objective": "multi:softprob", "num_class": 10, "max_cat_to_onehot": 1}, x, y, rows, kinds=kinds, rounds=ROUNDS // 3)
    case("onehot", {"objective": "binary:logistic", "max_cat_to_onehot": 100}, x, y % 2, rows, kinds=kinds)
    x = datasets.load_linnerud()
    rows = np.repeat(x.data, 3, axis=0)
    case("targets", {"objective": "reg:squarederror"}, x.data, x.target, rows)


def lightgbm_models():
    import lightgbm as lgb

    def case(name, params, train, y, rows, rounds=ROUNDS, cats=(), stop=False, **options):
        params = {"verbose": -1, "num_threads": 1, "seed": 1, "min_data_in_leaf": 5, "num_leaves": 31 if BIG else 9, "deterministic": True, **params}
        sets = lambda a, b: lgb.Dataset(a, b, categorical_feature=list(cats), free_raw_data=False)
        if stop:
            cut = len(y) // 2
            d = sets(train[:cut], y[:cut])
            b = lgb.train(params, d, 200, valid_sets=[d.create_valid(train[cut:], y[cut:])], callbacks=[lgb.early_stopping(5, verbose=False)])
        else:
            b = lgb.train(params, sets(train, y), rounds)
        save("lightgbm", name, lambda folder: b.save_model(os.path.join(folder, "model.txt"), num_iteration=-1 if stop else None), rows,
             b.predict(rows, raw_score=True, num_iteration=None), b.predict(rows, num_iteration=None),
             rounds=b.best_iteration if stop else 0)

    x, y, rows = data("iris")
    case("seed", {"objective": "binary", "num_leaves": 3}, x, y // 2, rows, rounds=1)
    x, y, rows = data("breast_cancer")
    case("binary", {"objective": "binary"}, x, y, rows)
    case("sigmoid", {"objective": "binary", "sigmoid": 0.7, "is_unbalance": True}, x, y, rows)
    zeros = lambda a: np.where(np.nan_to_num(a, nan=0.0) < np.nanmedian(x, axis=0), 0.0, a)
    case("zeros", {"objective": "binary", "zero_as_missing": True}, zeros(x), y, zeros(rows))
    full = np.nan_to_num(x, nan=1.0)
    case("none", {"objective": "binary", "use_missing": False}, full, y, rows)
    case("full", {"objective": "binary"}, full, y, rows)
    case("dart", {"objective": "binary", "boosting": "dart", "drop_rate": 0.5}, x, y, rows)
    case("forest", {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}, x, y, rows)
    case("cross_entropy", {"objective": "cross_entropy"}, x, y, rows)
    case("cross_entropy_lambda", {"objective": "cross_entropy_lambda"}, x, y, rows)
    case("stop", {"objective": "binary", "learning_rate": 0.4}, x, y, rows, stop=True)
    x, y, rows = data("diabetes")
    for name in ("regression", "regression_l1", "huber", "fair", "poisson", "quantile", "mape", "gamma", "tweedie"):
        case(name, {"objective": name}, x, y, rows, rounds=ROUNDS // 2)
    case("sqrt", {"objective": "regression", "reg_sqrt": True}, x, y, rows)
    x, y, rows = data("wine")
    case("multiclass", {"objective": "multiclass", "num_class": 3}, x, y, rows)
    case("multiclassova", {"objective": "multiclassova", "num_class": 3}, x, y, rows)
    x, y, rows, kinds = categories()
    cats = [i for i, k in enumerate(kinds) if k == "c"]
    case("sets", {"objective": "multiclass", "num_class": 10, "max_cat_to_onehot": 1, "min_data_per_group": 5}, x, y, rows, cats=cats, rounds=ROUNDS // 3)
    case("onehot", {"objective": "binary", "max_cat_to_onehot": 64, "min_data_per_group": 5}, x, y % 2, rows, cats=cats)


def catboost_models():
    from catboost import CatBoost, Pool

    def case(name, params, train, y, rows, cats=None, answer="Probability", rounds=ROUNDS):
        params = {"iterations": rounds, "depth": 6 if BIG else 4, "verbose": 0, "thread_count": 1, "random_seed": 1, "allow_writing_files": False, **params}
        b = CatBoost(params)
        table = lambda a: [[int(v) if cats and i in cats else v for i, v in enumerate(row)] for row in a] if cats else a
        b.fit(Pool(table(train), y, cat_features=cats))
        q = Pool(table(rows), cat_features=cats)
        f = lambda kind: np.asarray(b.predict(q, prediction_type=kind, thread_count=1), dtype=np.float64)
        # Of two classes the second one's probability says all.
        last = lambda a: a[:, 1] if answer == "Probability" and a.ndim == 2 and a.shape[1] == 2 else a
        save("catboost", name, lambda folder: b.save_model(os.path.join(folder, "model.json"), format="json", pool=q if cats else None), rows, f("RawFormulaVal"), last(f(answer)))

    x, y, rows = data("iris")
    case("seed", {"loss_function": "Logloss", "depth": 2, "border_count": 4}, x, y // 2, rows, rounds=1)
    case("seed_nested", {"loss_function": "Logloss", "depth": 2, "border_count": 4, "grow_policy": "Depthwise"}, x, y // 2, rows, rounds=1)
    x, y, rows = data("breast_cancer")
    case("logloss", {"loss_function": "Logloss"}, x, y, rows)
    case("cross_entropy", {"loss_function": "CrossEntropy", "nan_mode": "Max"}, x, y, rows)
    case("depthwise", {"loss_function": "Logloss", "grow_policy": "Depthwise"}, x, y, rows)
    case("lossguide", {"loss_function": "Logloss", "grow_policy": "Lossguide", "max_leaves": 12}, x, y, rows)
    case("deep", {"loss_function": "Logloss", "depth": 9 if BIG else 5, "border_count": 255}, x, y, rows, rounds=ROUNDS // 3)
    x, y, rows = data("diabetes")
    for name in ("RMSE", "MAE", "Quantile:alpha=0.9", "Huber:delta=10"):
        case(name.split(":")[0].lower(), {"loss_function": name}, x, y, rows, answer="RawFormulaVal")
    for name in ("Poisson", "Tweedie:variance_power=1.5"):
        case(name.split(":")[0].lower(), {"loss_function": name}, x, y, rows, answer="Exponent")
    case("rmse_probability", {"loss_function": "RMSEWithUncertainty"}, x, y, rows, answer="RMSEWithUncertainty")
    case("unsplit", {"loss_function": "RMSE", "depth": 1, "learning_rate": 0.5}, x, y, rows, answer="RawFormulaVal", rounds=1)
    x, y, rows = data("wine")
    case("multiclass", {"loss_function": "MultiClass"}, x, y, rows)
    case("multiclass_ova", {"loss_function": "MultiClassOneVsAll"}, x, y, rows)
    x, y, rows, kinds = categories()
    cats = [i for i, k in enumerate(kinds) if k == "c"]
    whole = lambda a: np.where(np.isnan(a), -1, a)
    case("onehot", {"loss_function": "MultiClass", "one_hot_max_size": 255}, whole(x), y, whole(rows), cats=cats, rounds=ROUNDS // 3)


def onnx_models():
    import onnxruntime as ort
    from skl2onnx import to_onnx
    from sklearn import ensemble, tree

    def case(name, model, x, y, rows, **options):
        kind = np.float32
        model.fit(x, y)
        options.setdefault("zipmap", False)
        classifier = hasattr(model, "predict_proba")
        file = to_onnx(model, x[:1].astype(kind), options={id(model): options} if classifier else None, target_opset={"": 17, "ai.onnx.ml": 3})
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = 1
        session = ort.InferenceSession(file.SerializeToString(), settings, providers=["CPUExecutionProvider"])
        # The runtime adds in another order for many rows at once.
        answers = [session.run(None, {session.get_inputs()[0].name: r[None].astype(kind)}) for r in rows]
        scores = np.concatenate([a[-1] for a in answers])
        more = {}
        if classifier:
            more["labels"] = [l if isinstance(l, str) else int(l) for a in answers for l in a[0]]

        def write(folder):
            with open(os.path.join(folder, "model.onnx"), "wb") as f:
                f.write(file.SerializeToString())

        save("onnx", name, write, rows, None, scores, **more)

    n = 40 if BIG else 5
    x, y, rows = data("iris", missing=0)
    case("seed", tree.DecisionTreeClassifier(max_depth=2, random_state=1), x, y, rows)
    x, y, rows = data("breast_cancer", missing=0)
    case("forest_binary", ensemble.RandomForestClassifier(n, max_depth=6, random_state=1), x, y, rows)
    case("boosting_binary", ensemble.GradientBoostingClassifier(n_estimators=n, max_depth=3, random_state=1), x, y, rows)
    case("tree_names", tree.DecisionTreeClassifier(max_depth=5, random_state=1), x, np.array(["malignant", "benign"])[y], rows)
    x, y, rows = data("wine", missing=0)
    case("forest", ensemble.RandomForestClassifier(n, max_depth=5, random_state=1), x, y, rows)
    case("boosting", ensemble.GradientBoostingClassifier(n_estimators=n, max_depth=3, random_state=1), x, y, rows)
    case("extra", ensemble.ExtraTreesClassifier(n, max_depth=5, random_state=1), x, y, rows)
    x, y, rows = data("diabetes", missing=0)
    case("forest_regressor", ensemble.RandomForestRegressor(n, max_depth=6, random_state=1), x, y, rows)
    case("boosting_regressor", ensemble.GradientBoostingRegressor(n_estimators=n, max_depth=3, random_state=1), x, y, rows)
    x, y = datasets.load_linnerud(return_X_y=True)
    case("targets", ensemble.RandomForestRegressor(n, max_depth=4, random_state=1), x, y, np.repeat(x, 3, axis=0))


def pack(part):
    folder = os.path.join(out, part)
    with zipfile.ZipFile(folder + ".zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as z:
        for parent, _, names in sorted(os.walk(folder)):
            for name in sorted(names):
                path = os.path.join(parent, name)
                # Without the time, so that the same models make the same file.
                z.writestr(zipfile.ZipInfo(os.path.relpath(path, folder)), open(path, "rb").read(), zipfile.ZIP_DEFLATED)
    shutil.rmtree(folder)


for part in parts:
    globals()[part + "_models"]()
    if size == "small":
        pack(part)
