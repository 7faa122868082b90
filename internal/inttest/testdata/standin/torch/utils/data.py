"""See the package: datasets, and what DataLoader tells its workers."""

from types import SimpleNamespace

worker = None  # What get_worker_info answers.


class IterableDataset:
    pass


def get_worker_info():
    return worker


def workers(dataset, count):
    """Iterates as a DataLoader with count workers does, one after the other."""
    global worker
    for number in range(count):
        worker = SimpleNamespace(num_workers=count, id=number)
        yield from dataset
        dataset.token = None  # Each worker process has a copy of its own.
    worker = None
