"""Serves one MLflow model over a Unix socket, in the Open Inference Protocol.

It is started and watched by a Go program (package serve/remote), and needs
numpy and whatever the model needs, mlflow first of all. It ends when its
standard input does, which happens also when the program is killed.

    python worker.py SOCKET MODEL_FOLDER
"""

import json
import os
import shutil
import signal
import socket
import struct
import sys
import threading
import time
import traceback

import numpy as np

DTYPES = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
    "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}
# The types of MLflow's columns. What has no datatype of its own is text: dates
# in ISO 8601, everything else as JSON.
COLUMNS = {
    "boolean": "BOOL", "integer": "INT32", "long": "INT64", "float": "FP32",
    "double": "FP64", "string": "BYTES", "binary": "BYTES", "datetime": "BYTES",
}
MAX_HEADER = 64 << 10
LENGTH = "inference-header-content-length"


class Refused(Exception):
    """A request that is answered with a status other than 200."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


def datatype_of(dtype):
    dtype = np.dtype(dtype)
    if dtype.kind in "SUOMm":
        return "BYTES"
    for name, code in DTYPES.items():
        if np.dtype(code) == dtype.newbyteorder("<"):
            return name
    raise ValueError(f"the model's signature has the type {dtype}, which the protocol lacks")


class Model:
    def __init__(self, folder):
        import mlflow.pyfunc

        self.model = mlflow.pyfunc.load_model(folder)
        self.lock = threading.Lock()  # Not every model bears two calls at once.
        self.since = 0.0  # When the present call began, 0 for none.
        signature = self.model.metadata.signature
        if signature is None or signature.inputs is None:
            raise ValueError("the model has no signature: log it with one (mlflow.models.infer_signature)")
        self.columns = not signature.inputs.is_tensor_spec()
        self.inputs, self.specs = self.describe(signature.inputs, "input")
        if signature.outputs is not None:
            self.outputs, _ = self.describe(signature.outputs, "output")
        else:
            # Unknown: numbers, one or more a row.
            self.outputs = [{"name": "output-0", "datatype": "FP64", "shape": [-1]}]

    def describe(self, schema, prefix):
        tensors, specs = [], []
        for i, spec in enumerate(schema.inputs):
            name = spec.name if isinstance(spec.name, str) and spec.name else f"{prefix}-{i}"
            if schema.is_tensor_spec():
                datatype, shape = datatype_of(spec.type), list(spec.shape)
            else:
                datatype = COLUMNS.get(getattr(spec.type, "name", ""), "BYTES")
                shape = [-1, 1] if prefix == "input" else [-1]
            tensors.append({"name": name, "datatype": datatype, "shape": shape})
            specs.append(spec)
        return tensors, specs

    def arguments(self, tensors):
        """Makes of tensors by name what predict takes."""
        if not self.columns:
            if len(self.inputs) == 1 and not isinstance(self.specs[0].name, str):
                return tensors[self.inputs[0]["name"]]
            return tensors
        import pandas as pd

        frame = {}
        for i, (tensor, spec) in enumerate(zip(self.inputs, self.specs)):
            kind = getattr(spec.type, "name", "")
            values = tensors[tensor["name"]].reshape(-1)
            if tensor["datatype"] == "BYTES":
                if kind == "binary":
                    values = list(values)
                else:
                    values = [v.decode() for v in values]
                    if kind == "datetime":
                        values = pd.to_datetime(values, format="ISO8601")
                    elif kind != "string":
                        values = [json.loads(v) for v in values]
            frame[i if spec.name is None else spec.name] = values
        return pd.DataFrame(frame)

    def results(self, answer):
        """Makes tensors, in the order of the signature, of what predict returned."""
        if hasattr(answer, "columns"):  # A pandas frame.
            parts = [answer[c].to_numpy() for c in answer.columns]
            if len(self.outputs) == 1 and len(parts) > 1:
                parts = [answer.to_numpy()]
        elif isinstance(answer, dict):
            parts = [answer[o["name"]] for o in self.outputs]
        elif hasattr(answer, "to_numpy"):
            parts = [answer.to_numpy()]
        else:
            parts = [answer]
        if len(parts) != len(self.outputs):
            raise ValueError(f"the model gave {len(parts)} outputs, its signature has {len(self.outputs)}")
        return [(o, shaped(o, part)) for o, part in zip(self.outputs, parts)]

    def infer(self, tensors):
        with self.lock:
            self.since = time.monotonic()
            try:
                return self.results(self.model.predict(self.arguments(tensors)))
            finally:
                self.since = 0.0

    def busy(self):
        since = self.since
        return time.monotonic() - since if since else 0.0


def shaped(output, part):
    """Brings an array into the datatype and the number of dimensions promised."""
    if output["datatype"] == "BYTES":
        array = np.empty(len(part), dtype=object)
        array[:] = list(part) if np.ndim(part) <= 1 else [row for row in part]
    else:
        array = np.ascontiguousarray(np.asarray(part), dtype=DTYPES[output["datatype"]])
    want = len(output["shape"])
    if array.ndim == want + 1 and array.shape[-1] == 1:
        array = array.reshape(array.shape[:-1])
    elif array.ndim + 1 == want:
        array = array.reshape(*array.shape, 1)
    return array


def text_of(value):
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    if hasattr(value, "isoformat"):
        return value.isoformat().encode()
    if isinstance(value, np.generic):
        value = value.item()
    elif isinstance(value, np.ndarray):
        value = value.tolist()
    return json.dumps(value).encode()


def pack(array):
    """Is the binary form of a tensor."""
    if array.dtype != object:
        return array.tobytes()
    parts = []
    for value in array.reshape(-1):
        raw = text_of(value)
        parts += (struct.pack("<I", len(raw)), raw)
    return b"".join(parts)


def unpack(tensor, raw):
    shape, datatype = tensor["shape"], tensor["datatype"]
    if datatype != "BYTES":
        return np.frombuffer(raw, dtype=DTYPES[datatype]).reshape(shape)
    values, at = [], 0
    while at < len(raw):
        (n,) = struct.unpack_from("<I", raw, at)
        values.append(bytes(raw[at + 4 : at + 4 + n]))
        at += 4 + n
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape)


def decode(model, body, length):
    """Reads a request: its id and its tensors by name."""
    length = len(body) if length is None else length
    request = json.loads(bytes(body[:length]))
    tensors, at = {}, length
    for tensor in request["inputs"]:
        size = (tensor.get("parameters") or {}).get("binary_data_size")
        if size is not None:
            tensors[tensor["name"]] = unpack(tensor, body[at : at + size])
            at += size
        elif tensor["datatype"] == "BYTES":
            flat = [v.encode() for v in np.array(tensor["data"], dtype=object).reshape(-1)]
            array = np.empty(len(flat), dtype=object)
            array[:] = flat
            tensors[tensor["name"]] = array.reshape(tensor["shape"])
        else:
            tensors[tensor["name"]] = np.array(tensor["data"], dtype=DTYPES[tensor["datatype"]]).reshape(tensor["shape"])
    missing = [t["name"] for t in model.inputs if t["name"] not in tensors]
    if missing:
        raise Refused(400, f"inputs are missing: {', '.join(missing)}")
    return request.get("id", ""), tensors


def encode(id, results):
    """Is the answer, always in the binary form: the only client is ours."""
    outputs, parts = [], []
    for output, array in results:
        raw = pack(array)
        parts.append(raw)
        outputs.append({
            "name": output["name"], "datatype": output["datatype"], "shape": list(array.shape),
            "parameters": {"binary_data_size": len(raw)},
        })
    head = json.dumps({"model_name": "model", "model_version": "1", "id": id, "outputs": outputs}).encode()
    return len(head), b"".join([head] + parts)


class Connection:
    def __init__(self, model, conn):
        self.model = model
        self.conn = conn
        self.file = conn.makefile("rb", 1 << 16)

    def serve(self):
        with self.conn, self.file:
            while self.one():
                pass

    def one(self):
        line = self.file.readline(MAX_HEADER)
        if not line.endswith(b"\r\n"):
            return False
        method, path, _ = line.decode("latin-1").split(" ", 2)
        headers, left = {}, MAX_HEADER
        while True:
            line = self.file.readline(left)
            left -= len(line)
            if not line.endswith(b"\r\n"):
                return False
            if line == b"\r\n":
                break
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        body = memoryview(self.file.read(int(headers.get("content-length", "0"))))
        try:
            status, extra, answer = self.answer(method, path, headers, body)
        except Refused as e:
            status, extra, answer = e.status, "", json.dumps({"error": str(e)}).encode()
        except Exception as e:  # The model's, whatever it is.
            traceback.print_exc()
            status, extra, answer = 500, "", json.dumps({"error": f"{type(e).__name__}: {e}"}).encode()
        kind = "application/octet-stream" if extra else "application/json"
        head = f"HTTP/1.1 {status} Status\r\nContent-Type: {kind}\r\nContent-Length: {len(answer)}\r\n{extra}\r\n"
        self.conn.sendall(head.encode("latin-1") + answer)
        return True

    def answer(self, method, path, headers, body):
        model = self.model
        if method == "POST" and path.endswith("/infer"):
            length = headers.get(LENGTH)
            id, tensors = decode(model, body, None if length is None else int(length))
            json_length, answer = encode(id, model.infer(tensors))
            return 200, f"{LENGTH}: {json_length}\r\n", answer
        if path == "/v2":
            doc = {"name": "worker", "version": "1", "extensions": ["binary_tensor_data"]}
        elif path == "/busy":
            doc = {"seconds": model.busy()}
        elif path == "/v2/models/model":
            doc = {"name": "model", "versions": ["1"], "platform": "mlflow", "inputs": model.inputs, "outputs": model.outputs}
        elif path in ("/v2/health/live", "/v2/health/ready", "/v2/models/model/ready"):
            doc = {}
        else:
            raise Refused(404, f"no such route: {path}")
        return 200, "", json.dumps(doc).encode()


def follow_parent():
    """Ends this process, and those it has started, when standard input ends."""
    while os.read(0, 4096):
        pass
    # The folder of the socket is for this worker only, and nobody else may be
    # left to remove it.
    shutil.rmtree(os.path.dirname(sys.argv[1]), ignore_errors=True)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def main():
    path, folder = sys.argv[1:]
    threading.Thread(target=follow_parent, daemon=True).start()
    model = Model(folder)
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(128)
    while True:
        conn, _ = server.accept()
        threading.Thread(target=Connection(model, conn).serve, daemon=True).start()


if __name__ == "__main__":
    main()
