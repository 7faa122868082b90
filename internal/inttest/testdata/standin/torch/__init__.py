"""Stands in for PyTorch, whose wheel of a gigabyte the tests do not install: as
much of it as examples/feed/torchfeed.py touches."""


def from_numpy(array):
    assert array.flags.writeable
    return array
