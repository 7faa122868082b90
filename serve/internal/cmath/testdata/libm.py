"""Writes libm.json: what the C library answers, as bits, for numbers of all sizes.

    libm.py > libm.json
"""
import ctypes
import json
import random
import struct

libm = ctypes.CDLL("libm.so.6")
random.seed(3)


def bits(x, wide):
    return struct.unpack("<Q", struct.pack("<d", x))[0] if wide else struct.unpack("<I", struct.pack("<f", x))[0]


def table(name, kind, xs):
    f = getattr(libm, name)
    f.restype, f.argtypes = kind, [kind]
    xs = [kind(x).value for x in xs]
    wide = kind is ctypes.c_double
    return [[str(bits(x, wide)), str(bits(f(x), wide))] for x in xs]


some = [0.0, -0.0, 1.0, -1.0, 88.7, 88.8, -87.4, -103.9, -104.1, 1e-30, -1e-30, 709.7, 709.8, -708.5, -745.2, float("inf"), float("-inf")]
exps = some + [random.gauss(0, 4) for _ in range(300)] + [random.uniform(-110, 90) for _ in range(200)] + [random.uniform(-750, 712) for _ in range(200)]
logs = [0.0, 1.0, float("inf"), 1e-45, 1e-38, 3e38] + [random.lognormvariate(0, 5) for _ in range(400)] + [1 + random.gauss(0, 1e-3) for _ in range(200)]
print(json.dumps({"exp": table("exp", ctypes.c_double, exps), "expf": table("expf", ctypes.c_float, exps), "logf": table("logf", ctypes.c_float, logs)}))
