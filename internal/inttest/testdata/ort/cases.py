"""Models and requests for the tests of serve/ort.

    python cases.py collect FILE      makes cases.zip anew, which takes a minute
    python cases.py answer FILE DIR   unpacks it, and has ONNX Runtime answer each

Most of the cases are drawn from those that the onnx package generates for its
operators; the others are made here: all datatypes, strings, shapes that vary,
constants in another file, scikit-learn's list of maps. Each is a folder with
model.onnx, perhaps weights.bin, request, and answer, messages of the Open Inference
Protocol with binary data: the length of the JSON in four bytes, then the message.
Where ONNX Runtime refuses a model or a request, there is a file refused with its
message. The answers are computed where they are compared, since the last bits
depend on the processor.
"""

import json
import os
import struct
import sys
import zipfile

import numpy as np

NAMES = {
    "bool": "BOOL", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
    "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64",
    "float16": "FP16", "float32": "FP32", "float64": "FP64",
}
TYPES = {name: np.dtype(numpy) for numpy, name in NAMES.items()}


def raw(array):
    if array.dtype.name in NAMES:
        return NAMES[array.dtype.name], array.tobytes()
    if array.dtype.kind not in "OUS":
        return None, None
    out = b""
    for element in array.reshape(-1):
        element = element.encode() if isinstance(element, str) else bytes(element)
        out += struct.pack("<I", len(element)) + element
    return "BYTES", out


def message(side, tensors):
    """A message of (name, datatype, shape, bytes), None where a type has no name."""
    if any(t[1] is None for t in tensors):
        return None
    head = {side: [{"name": n, "datatype": d, "shape": list(s), "parameters": {"binary_data_size": len(b)}} for n, d, s, b in tensors]}
    if side == "outputs":
        head["model_name"] = "m"
    head = json.dumps(head).encode()
    return struct.pack("<I", len(head)) + head + b"".join(t[3] for t in tensors)


def tensor(name, array):
    array = np.asarray(array)
    return (name, raw(array)[0], array.shape, raw(array)[1])


def collect(path):
    import onnx
    from onnx import TensorProto as T
    from onnx import helper as h

    out = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9)

    def put(name, data):
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_DEFLATED
        out.writestr(info, data)

    def case(name, model, request, weights=None, answer=None):
        put(f"{name}/model.onnx", model if isinstance(model, bytes) else model.SerializeToString())
        put(f"{name}/request", request)
        if weights is not None:
            put(f"{name}/weights.bin", weights)
        if answer is not None:
            put(f"{name}/answer", answer)

    def model(nodes, inputs, outputs, constants=(), opset=17):
        graph = h.make_graph(nodes, "g", inputs, outputs, constants)
        return h.make_model(graph, opset_imports=[h.make_opsetid("", opset), h.make_opsetid("ai.onnx.ml", 3)], ir_version=8)

    info = h.make_tensor_value_info
    rng = np.random.default_rng(7)

    # Each datatype through a graph that changes nothing, with several shapes.
    elems = {np.dtype(n).name: h.np_dtype_to_tensor_dtype(np.dtype(n)) for n in NAMES}
    for name, elem in elems.items():
        same = model([h.make_node("Identity", ["x"], ["y"])], [info("x", elem, None)], [info("y", elem, None)])
        for shape in [(), (3,), (2, 3, 2), (0, 4)]:
            x = rng.integers(0, 2 if name == "bool" else 100, shape).astype(name)
            if name.startswith("float") and x.size > 2:
                x.reshape(-1)[:2] = [np.nan, -np.inf]
            case(f"same/{name}-{len(shape)}", same, message("inputs", [tensor("x", x)]))
    # Python's ONNX Runtime takes no bfloat16 from numpy, so the answer is given.
    same = model([h.make_node("Identity", ["x"], ["y"])], [info("x", T.BFLOAT16, None)], [info("y", T.BFLOAT16, None)])
    bits = ("BF16", (2, 2), bytes([0x80, 0x3f, 0, 0x40, 0xc0, 0x7f, 1, 0]))
    case("same/bfloat16", same, message("inputs", [("x", *bits)]), answer=message("outputs", [("y", *bits)]))
    same = model([h.make_node("Identity", ["x"], ["y"])], [info("x", T.STRING, [None])], [info("y", T.STRING, [None])])
    words = np.array([b"", "größer 大".encode(), b"a" * 1000, b"end"], dtype=object)
    case("same/strings", same, message("inputs", [tensor("x", words)]))
    case("same/no-strings", same, message("inputs", [tensor("x", np.array([], dtype=object))]))
    # Any bytes, which Python's strings have not.
    words = tensor("x", np.array([b"a\x00b", b"\x00", b"\xff\xfe"], dtype=object))
    case("same/bytes", same, message("inputs", [words]), answer=message("outputs", [("y", *words[1:])]))

    # A net whose weights lie in another file, for any number of rows.
    w1, w2 = (rng.standard_normal(s).astype(np.float32) for s in [(16, 32), (32, 3)])
    def outside(name, array, at):
        t = T(name=name, data_type=T.FLOAT, dims=array.shape, data_location=T.EXTERNAL)
        for key, value in [("location", "weights.bin"), ("offset", str(at)), ("length", str(array.nbytes))]:
            t.external_data.add(key=key, value=value)
        return t
    net = model(
        [h.make_node("MatMul", ["x", "w1"], ["a"]), h.make_node("Relu", ["a"], ["b"]),
         h.make_node("MatMul", ["b", "w2"], ["c"]), h.make_node("Softmax", ["c"], ["y"])],
        [info("x", T.FLOAT, ["n", 16])], [info("y", T.FLOAT, ["n", 3])],
        [outside("w1", w1, 0), outside("w2", w2, w1.nbytes)])
    for rows in [1, 2, 33]:
        case(f"net/{rows}", net, message("inputs", [tensor("x", rng.standard_normal((rows, 16)).astype(np.float32))]), w1.tobytes() + w2.tobytes())
    case("net/wide", net, message("inputs", [tensor("x", np.zeros((2, 15), np.float32))]), w1.tobytes() + w2.tobytes())
    # Two inputs with dimensions of their own.
    product = model([h.make_node("MatMul", ["a", "b"], ["c"]), h.make_node("Shape", ["c"], ["s"])],
                    [info("a", T.DOUBLE, ["n", "k"]), info("b", T.DOUBLE, ["k", "m"])],
                    [info("c", T.DOUBLE, ["n", "m"]), info("s", T.INT64, [2])])
    a, b = rng.standard_normal((5, 7)), rng.standard_normal((7, 3))
    case("product/fits", product, message("inputs", [tensor("a", a), tensor("b", b)]))
    case("product/not", product, message("inputs", [tensor("a", a), tensor("b", b[:6])]))

    # One that would run for hours.
    body = h.make_graph([h.make_node("Identity", ["go"], ["on"]), h.make_node("Add", ["v", "v"], ["w"])], "body",
                        [info("i", T.INT64, []), info("go", T.BOOL, []), info("v", T.FLOAT, [1])],
                        [info("on", T.BOOL, []), info("w", T.FLOAT, [1])])
    loop = model([h.make_node("Loop", ["most", "", "x"], ["y"], body=body)], [info("x", T.FLOAT, [1])], [info("y", T.FLOAT, [1])],
                 [h.make_tensor("most", T.INT64, [], [1 << 40])])
    put("long/loop/model.onnx", loop.SerializeToString())

    # scikit-learn's classifiers, whose scores are a list of maps, and a pipeline
    # with texts.
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.datasets import load_wine
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.preprocessing import OneHotEncoder
    X, y = load_wine(return_X_y=True)
    for name, labels in [("numbers", y), ("texts", np.array(["barolo", "grignolino", "barbera"])[y])]:
        forest = RandomForestClassifier(8, max_depth=4, random_state=1).fit(X, labels)
        case(f"maps/{name}", convert_sklearn(forest, "forest", [("X", FloatTensorType([None, 13]))], target_opset={"": 17, "ai.onnx.ml": 3}),
             message("inputs", [tensor("X", X[::6].astype(np.float32))]))
    colours = np.array([["red"], ["white"], ["rosé"]], dtype=object)
    case("maps/encoder", convert_sklearn(OneHotEncoder(handle_unknown="ignore").fit(colours), "encoder", [("X", StringTensorType([None, 1]))], target_opset={"": 17, "ai.onnx.ml": 3}),
         message("inputs", [tensor("X", colours[[2, 0, 1, 1]])]))

    # Of the operators' cases one in three, if their values are tensors and small.
    from onnx.backend.test.case.node import collect_testcases
    taken = 0
    for i, c in enumerate(sorted(collect_testcases(None), key=lambda c: c.name)):
        data = c.model.SerializeToString()
        given, _ = c.data_sets[0]
        if i % 3 or len(data) > 20_000 or not all(isinstance(a, np.ndarray) for a in given) or len(given) != len(c.model.graph.input):
            continue
        request = message("inputs", [tensor(v.name, a) for v, a in zip(c.model.graph.input, given)])
        if request is None or len(request) > 20_000 or c.model.opset_import[0].version > 24:
            continue
        case("node/" + c.name.removeprefix("test_"), data, request)
        taken += 1
    print("cases of operators:", taken)


def parse(data):
    size = struct.unpack_from("<I", data)[0]
    head, at, feed = json.loads(data[4 : 4 + size]), 4 + size, {}
    for t in head["inputs"]:
        part = data[at : at + t["parameters"]["binary_data_size"]]
        at += len(part)
        if t["datatype"] == "BYTES":
            words, i = [], 0
            while i < len(part):
                n = struct.unpack_from("<I", part, i)[0]
                words.append(part[i + 4 : i + 4 + n].decode())
                i += 4 + n
            array = np.array(words, dtype=object)
        else:
            # The order of a sum depends on where its numbers begin.
            room = np.zeros(len(part) + 64, np.uint8)
            room = room[-room.ctypes.data % 64 :][: len(part)]
            room[:] = np.frombuffer(part, np.uint8)
            array = room.view(TYPES[t["datatype"]])
        feed[t["name"]] = array.reshape(t["shape"])
    return feed


def answer(path, folder):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    onnxruntime.set_default_logger_severity(4)
    zipfile.ZipFile(path).extractall(folder)
    for group in os.listdir(folder):
        for name in os.listdir(os.path.join(folder, group)):
            case = os.path.join(folder, group, name)
            if os.path.exists(os.path.join(case, "answer")) or group == "long":
                continue
            with open(os.path.join(case, "request"), "rb") as f:
                feed = parse(f.read())
            try:
                session = onnxruntime.InferenceSession(os.path.join(case, "model.onnx"), options, providers=["CPUExecutionProvider"])
                values = session.run(None, feed)
            except Exception as e:
                with open(os.path.join(case, "refused"), "w") as f:
                    f.write(str(e))
                continue
            tensors = []
            for out, value in zip(session.get_outputs(), values):
                if isinstance(value, list) and all(isinstance(v, dict) for v in value):
                    value = np.array([[v[k] for k in sorted(v)] for v in value], np.float32)
                if isinstance(value, np.ndarray):
                    tensors.append(tensor(out.name, value))
                else:
                    tensors.append((out.name, None, (), b""))
            answered = message("outputs", tensors)
            if answered is not None:  # Else the protocol has no form for a value.
                with open(os.path.join(case, "answer"), "wb") as f:
                    f.write(answered)


if __name__ == "__main__":
    {"collect": collect, "answer": answer}[sys.argv[1]](*sys.argv[2:])
