"""Asks an Open Inference Protocol server with tritonclient's HTTP client.

    infer_triton.py HOST:PORT[/PREFIX] MODEL REQUEST.json [--model-version V]

REQUEST.json is what the protocol's infer request is in JSON:

    {"id": "7", "inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [1, 2]}],
     "outputs": ["y"]}

with "id" optional, and "outputs" by default all that the model's metadata names.
All tensors travel as JSON. Prints one JSON object:

    {"live": true, "ready": true, "model_ready": true, "server": {...}, "model": {...},
     "response": {"model_name": "...", "model_version": "...", "id": "...", "outputs":
        [{"name": "y", "datatype": "FP64", "shape": [1], "data": [0.5]}]}}

An answer of the server that is an error ends with exit status 3 and
{"error": "...", "status": "..."}.
"""

import argparse
import json
import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, triton_to_np_dtype


def to_input(tensor):
    kind = triton_to_np_dtype(tensor["datatype"])
    if tensor["datatype"] == "BYTES":
        kind = np.object_
    data = np.array(tensor["data"], dtype=kind).reshape(tensor["shape"])
    made = triton.InferInput(tensor["name"], list(data.shape), tensor["datatype"])
    made.set_data_from_numpy(data, binary_data=False)
    return made


def to_output(result, tensor):
    data = result.as_numpy(tensor["name"])
    flat = [v.decode() if isinstance(v, bytes) else v for v in data.flatten().tolist()]
    return {"name": tensor["name"], "datatype": tensor["datatype"], "shape": list(data.shape), "data": flat}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("model")
    parser.add_argument("request")
    parser.add_argument("--model-version", default="")
    args = parser.parse_args()
    with open(args.request, encoding="utf-8") as f:
        request = json.load(f)

    client = triton.InferenceServerClient(args.url)
    try:
        model = client.get_model_metadata(args.model, args.model_version)
        names = request.get("outputs") or [o["name"] for o in model["outputs"]]
        result = client.infer(
            args.model,
            [to_input(t) for t in request["inputs"]],
            model_version=args.model_version,
            request_id=request.get("id", ""),
            # Without any output asked for the client wants all of them in binary.
            outputs=[triton.InferRequestedOutput(n, binary_data=False) for n in names],
        )
        response = result.get_response()
        answer = {
            "live": client.is_server_live(),
            "ready": client.is_server_ready(),
            "model_ready": client.is_model_ready(args.model, args.model_version),
            "server": client.get_server_metadata(),
            "model": model,
            "response": {
                "model_name": response.get("model_name"),
                "model_version": response.get("model_version"),
                "id": response.get("id"),
                "outputs": [to_output(result, t) for t in response["outputs"]],
            },
        }
    except InferenceServerException as e:
        json.dump({"error": e.message(), "status": e.status()}, sys.stdout)
        print()
        return 3
    finally:
        client.close()
    json.dump(answer, sys.stdout)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
