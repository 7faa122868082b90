"""Runs llama.cpp's server on a GGUF file: server.py MODEL NAME KIND.

KIND is chat or embeddings. It listens on a free port of the loopback and prints
the base URL on a line. It ends when standard input does.
"""

import sys

import xllamacpp


def main(path, name, kind):
    p = xllamacpp.CommonParams()
    p.model.path = path
    p.model_alias = {name}
    p.hostnames = ["127.0.0.1"]
    p.port = 0
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
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
