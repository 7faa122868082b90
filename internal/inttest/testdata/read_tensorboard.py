"""Prints as JSON what TensorBoard's own reader finds in a log folder.

usage: read_tensorboard.py read FOLDER    {run: {tag: [[step, wall time, value], ...]}}
       read_tensorboard.py write FILE     writes a file in the forms of other writers
"""

import json
import sys

import numpy as np
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.backend.event_processing import plugin_event_multiplexer
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util import tensor_util


def read(folder):
    # As tensorboard --logdir does it: every scalar becomes a tensor.
    multiplexer = plugin_event_multiplexer.EventMultiplexer(tensor_size_guidance={"scalars": 0})
    multiplexer.AddRunsFromDirectory(folder).Reload()
    found = {}
    for run, tags in multiplexer.Runs().items():
        found[run] = {
            tag: [
                [e.step, e.wall_time, repr(float(tensor_util.make_ndarray(e.tensor_proto).item()))]
                for e in multiplexer.Tensors(run, tag)
            ]
            for tag in tags["tensors"]
            if not tag.startswith("_hparams_/")
        }
        # As tools of others do it: 32 bit scalars.
        path = folder if run == "." else f"{folder}/{run}"
        old = event_accumulator.EventAccumulator(path, size_guidance={"scalars": 0}).Reload()
        found[run + " scalars"] = {
            tag: [[e.step, e.wall_time, repr(float(e.value))] for e in old.Scalars(tag)]
            for tag in old.Tags()["scalars"]
        }
    return found


def write(path):
    def tensor(tag, value, plugin):
        v = summary_pb2.Summary.Value(tag=tag, tensor=tensor_util.make_tensor_proto(value))
        v.metadata.plugin_data.plugin_name = plugin
        return v

    with open(path, "wb") as f:
        out = RecordWriter(f)
        out.write(event_pb2.Event(wall_time=1.7e9, file_version="brain.Event:2").SerializeToString())
        for i in range(1000):
            values = [
                summary_pb2.Summary.Value(tag="pytorch", simple_value=1 / (i + 1)),
                tensor("tf2", np.float32(i), "scalars"),
                tensor("double", np.float64(i / 10), "scalars"),
                tensor("histogram", np.zeros((5, 3)), "histograms"),
            ]
            event = event_pb2.Event(wall_time=1.7e9 + i, step=i, summary=summary_pb2.Summary(value=values))
            out.write(event.SerializeToString())


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2])
    else:
        json.dump(read(sys.argv[2]), sys.stdout)
