"""Profiles a table of float64 with a rival and prints the processor time.

    python rivals.py whylogs|evidently FILE COLUMNS

The least of two rounds; reading the file and imports are not in it.
"""

import contextlib
import json
import sys
import time
import warnings

import numpy as np
import pandas as pd

warnings.simplefilter("ignore")


def main(name, path, width):
    data = np.fromfile(path).reshape(-1, int(width))
    table = pd.DataFrame(data, columns=[f"f{i:02d}" for i in range(int(width))])
    if name == "whylogs":
        import whylogs

        def profile():
            return whylogs.log(table).profile().view()
    else:
        from evidently import Dataset, DataDefinition, Report
        from evidently.presets import DataSummaryPreset

        def profile():
            return Report([DataSummaryPreset()]).run(Dataset.from_pandas(table, DataDefinition(numerical_columns=list(table.columns))), None)
    times = []
    for _ in range(2):
        began = time.process_time()
        with contextlib.redirect_stdout(sys.stderr):
            profile()
        times.append(time.process_time() - began)
    print(json.dumps({"seconds": min(times)}))


main(*sys.argv[1:])
