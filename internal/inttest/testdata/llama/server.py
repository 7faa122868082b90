"""Runs llama.cpp's server with a model of random weights: server.py FOLDER PORT KIND.

KIND is chat or embeddings. The model, which is called noise, is written into the
folder. The server listens on the loopback until it is killed.
"""

import os
import signal
import sys

import model
import xllamacpp


def main(folder, port, kind):
    path = os.path.join(folder, "noise.gguf")
    model.main(path)
    p = xllamacpp.CommonParams()
    p.model.path = path
    p.model_alias = {"noise"}
    p.hostnames = ["127.0.0.1"]
    p.port = int(port)
    p.n_ctx = 8192
    p.n_parallel = 4
    p.cpuparams.n_threads = 1
    p.cpuparams_batch.n_threads = 1
    p.n_gpu_layers = 0
    p.warmup = False
    p.endpoint_metrics = True
    p.use_jinja = True
    p.sampling.seed = 7
    if kind == "embeddings":
        p.embedding = True
        p.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(p)
    print(server.listening_address, flush=True)
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
