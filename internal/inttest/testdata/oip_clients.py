"""Speaks to a server of the Open Inference Protocol with tritonclient.

    oip_clients.py HTTP_HOST:PORT GRPC_HOST:PORT

The server has the model "echo", which answers an input x_<datatype> of shape [-1]
for each datatype with an output of the same name, and "count", which streams the
numbers below its input n as i. Every check is an assert; at the end comes "all
good".
"""

import queue
import sys

import numpy as np
import tritonclient.grpc as tgrpc
import tritonclient.http as thttp
from tritonclient.utils import InferenceServerException, np_to_triton_dtype, triton_to_np_dtype

NAMES = "BOOL UINT8 UINT16 UINT32 UINT64 INT8 INT16 INT32 INT64 FP16 FP32 FP64 BYTES".split()


def values(name):
    """The extremes of a datatype."""
    if name == "BOOL":
        return np.array([True, False])
    if name == "BYTES":
        return np.array([b"", "ünï".encode()], dtype=np.object_)
    kind = np.dtype(triton_to_np_dtype(name))
    bounds = np.finfo(kind) if kind.kind == "f" else np.iinfo(kind)
    return np.array([bounds.min, bounds.max], dtype=kind)


def inputs(module, binary):
    made = []
    for name in NAMES:
        data = values(name)
        one = module.InferInput("x_" + name, list(data.shape), name)
        if module is thttp:
            # FP16 has no JSON.
            one.set_data_from_numpy(data, binary_data=binary or name == "FP16")
        else:
            one.set_data_from_numpy(data)
        made.append(one)
    return made


def same(result):
    for name in NAMES:
        got, want = result.as_numpy("x_" + name), values(name)
        if name == "BYTES":
            got = np.array([v if isinstance(v, bytes) else v.encode() for v in got], dtype=np.object_)
        assert got is not None and got.shape == want.shape and np.array_equal(got, want), (name, got, want)


def outputs(module, binary):
    if module is tgrpc:
        return [module.InferRequestedOutput("x_" + name) for name in NAMES]
    return [module.InferRequestedOutput("x_" + name, binary_data=binary or name == "FP16") for name in NAMES]


def refused(call, *words):
    try:
        call()
    except InferenceServerException as error:
        assert any(word in str(error.status()) for word in words), (error.status(), words)
        return
    raise AssertionError("it was not refused")


def common(client, module):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("echo")
    assert not client.is_model_ready("nobody")
    refused(lambda: client.get_model_metadata("nobody"), "404", "NOT_FOUND")
    refused(lambda: client.infer("nobody", inputs(module, True)), "404", "NOT_FOUND")
    refused(lambda: client.infer("echo", inputs(module, True)[1:]), "400", "INVALID_ARGUMENT")
    for version in "", "1":
        same(client.infer("echo", inputs(module, True), model_version=version, request_id="a", outputs=outputs(module, True)))


def over_http(address):
    client = thttp.InferenceServerClient(address, connection_timeout=300.0, network_timeout=300.0)
    common(client, thttp)
    assert client.get_server_metadata()["name"] == "millwright"
    assert len(client.get_model_metadata("echo")["inputs"]) == len(NAMES)
    assert client.get_model_config("echo")["name"] == "echo"
    assert client.get_inference_statistics("echo")["model_stats"][0]["inference_stats"]["success"]["count"] > 0
    for compression in None, "gzip", "deflate":
        for answer in None, "gzip", "deflate":
            same(client.infer("echo", inputs(thttp, True), request_compression_algorithm=compression, response_compression_algorithm=answer))
    same(client.infer("echo", inputs(thttp, False), outputs=outputs(thttp, False)))
    pending = [client.async_infer("echo", inputs(thttp, True)) for _ in range(8)]
    for one in pending:
        same(one.get_result())
    client.close()


def over_grpc(address):
    client = tgrpc.InferenceServerClient(address)
    common(client, tgrpc)
    assert client.get_server_metadata().name == "millwright"
    assert len(client.get_model_metadata("echo").inputs) == len(NAMES)
    config = client.get_model_config("echo").config
    assert config.name == "echo" and config.input[0].data_type == 1, config
    assert client.get_inference_statistics("echo").model_stats[0].inference_stats.success.count > 0
    for compression in None, "gzip":
        same(client.infer("echo", inputs(tgrpc, True), compression_algorithm=compression))

    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    n = tgrpc.InferInput("n", [1], "INT64")
    n.set_data_from_numpy(np.array([3]))
    client.async_stream_infer("count", [n], request_id="s", enable_empty_final_response=True)
    got = []
    while True:
        result, error = answers.get(timeout=300)
        assert error is None, error
        response = result.get_response()
        if response.parameters["triton_final_response"].bool_param:
            break
        assert response.id == "s"
        got += list(result.as_numpy("i"))
    assert got == [0, 1, 2], got
    client.async_stream_infer("nobody", [n])
    result, error = answers.get(timeout=300)
    assert error is not None and "nobody" in str(error)
    client.stop_stream()
    client.close()


def fields():
    """Our file of the protocol has no field that Triton's has otherwise."""
    from google.protobuf import descriptor_pb2
    from tritonclient.grpc import model_config_pb2, service_pb2

    theirs = {}
    for module in service_pb2, model_config_pb2:
        theirs.update(module.DESCRIPTOR.message_types_by_name)
    ours = descriptor_pb2.FileDescriptorSet.FromString(open(sys.argv[3], "rb").read()).file[0]

    def compare(mine, other):
        for field in mine.field:
            twin = other.fields_by_name[field.name]
            assert (field.number, field.type) == (twin.number, twin.type), (mine.name, field.name)
        for nested in mine.nested_type:
            compare(nested, other.nested_types_by_name[nested.name])

    for message in ours.message_type:
        compare(message, theirs[message.name])
    assert len(ours.message_type) > 30


assert np_to_triton_dtype(np.float16) == "FP16"
over_http(sys.argv[1])
over_grpc(sys.argv[2])
fields()
print("all good")
