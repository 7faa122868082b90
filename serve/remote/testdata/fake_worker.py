"""A worker for tests, without numpy: it answers with the sum of the inputs, and
ends, hangs or talks when it is told to by a special number."""

import json
import os
import socket
import sys
import threading
import time

SIGNATURE = {
    "name": "model", "versions": ["1"], "platform": "test",
    "inputs": [{"name": "x", "datatype": "FP64", "shape": [-1]}],
    "outputs": [{"name": "y", "datatype": "FP64", "shape": [-1]}],
}
busy = [0.0]


def follow():
    while os.read(0, 4096):
        pass
    os._exit(0)


def infer(body, length):
    import struct

    x = struct.unpack(f"<{(len(body) - length) // 8}d", body[length:])
    if x[0] == 666:
        print("the model met 666", file=sys.stderr, flush=True)
        os._exit(3)
    if x[0] == 600:
        busy[0] = time.monotonic()
        time.sleep(3600)
    if x[0] == 400:
        return None
    data = [v + 1 for v in x]
    return {"model_name": "model", "outputs": [{"name": "y", "datatype": "FP64", "shape": [len(x)], "data": data}]}


def serve(conn):
    file = conn.makefile("rb")
    while True:
        line = file.readline()
        if not line:
            return
        path = line.split()[1].decode()
        headers = {}
        while (line := file.readline().strip()):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = file.read(int(headers.get("content-length", "0")))
        status, doc = 200, {}
        if path.endswith("/infer"):
            doc = infer(body, int(headers["inference-header-content-length"]))
            if doc is None:
                status, doc = 400, {"error": "400 is no good number"}
        elif path == "/busy":
            doc = {"seconds": time.monotonic() - busy[0] if busy[0] else 0}
        elif path == "/v2/models/model":
            doc = SIGNATURE
        text = json.dumps(doc).encode()
        conn.sendall(f"HTTP/1.1 {status} X\r\nContent-Length: {len(text)}\r\nContent-Type: application/json\r\n\r\n".encode() + text)


def main():
    path, folder = sys.argv[1:]
    print("loading", folder, file=sys.stderr, flush=True)
    if os.path.exists(os.path.join(folder, "broken")):
        raise ValueError("this model is broken")
    if os.path.exists(os.path.join(folder, "slow")):
        time.sleep(3600)
    threading.Thread(target=follow, daemon=True).start()
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    while True:
        conn, _ = server.accept()
        threading.Thread(target=serve, args=(conn,), daemon=True).start()


main()
