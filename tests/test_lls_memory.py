"""Data larger than the memory that a process may have."""

import subprocess
import sys
from pathlib import Path

import numpy as np

FIT = """
import functools, resource, sys
import numpy as np
import gradstep as gs
from gradstep import lls

limit = 768 << 20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
data = lls.NpyFile(sys.argv[1], sys.argv[2])
sgd = functools.partial(gs.SGD, lr=1e-4)
done = lls.fit(data, optimizer=sgd, epochs=1, intercept=True)
print(len(data), done.n_updates, float(done.intercept).hex())
try:
    np.load(sys.argv[1])
except MemoryError:
    print("too large")
"""


def test_a_file_larger_than_memory_is_fitted(tmp_path: Path) -> None:
    """Of zeros, which take no room on disk, and 1 GB to read; y is 3 in each row."""
    rows, columns = 1_250_000, 100
    x, y = tmp_path / "X.npy", tmp_path / "y.npy"
    header = {"descr": "<f8", "fortran_order": False, "shape": (rows, columns)}
    with x.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 8 * rows * columns)
    np.save(y, np.full(rows, 3.0))
    done = subprocess.run(
        [sys.executable, "-c", FIT, str(x), str(y)],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    # b <- b - 2 lr 256 (b - 3), and a last batch of 208 rows.
    share = 1 - 2e-4 * 256
    apart = 3 * share ** (rows // 256) * (1 - 2e-4 * (rows % 256))
    found, updates, b, refused = done.stdout.split(maxsplit=3)
    assert (int(found), int(updates)) == (rows, -(-rows // 256))
    assert abs(float.fromhex(b) - (3 - apart)) < 1e-12
    assert refused.strip() == "too large"
