"""The values of `store.py`: how each is made, read to its last byte, and saved by its own library."""

from __future__ import annotations

import dataclasses
import importlib.util
import pickle
from collections.abc import Callable, Iterator
from typing import Any


@dataclasses.dataclass(frozen=True)
class Kind:
    """One row of the table.

    Attributes
    ----------
    what
        What it is at a scale of 1.
    make
        Makes one of a scale.
    read
        Reads every byte; None where a restore makes every object anyway.
    dump, load
        The library's own format, if it has one, and how it is mapped or read back fastest.
    needs
        The library.
    facts
        What must be the same of a value that was restored; None where nobody changes anything.
    """

    what: str
    make: Callable[[float], Any]
    read: Callable[[Any], object] | None = None
    dump: Callable[[Any, str], object] | None = None
    load: Callable[[str], Any] | None = None
    needs: str = "numpy"
    facts: Callable[[Any], object] | None = None

    def is_like(self, value: Any, other: Any) -> bool:
        """Whether a restored value is what was saved, as far as that is looked at."""
        return self.facts is None or self.facts(value) == self.facts(other)

    @property
    def is_there(self) -> bool:
        """Whether the library is installed."""
        return importlib.util.find_spec(self.needs) is not None


def array(scale: float) -> Any:
    import numpy as np

    return np.random.default_rng(0).random(int(scale * (1 << 27)))


def arrays(scale: float) -> Any:
    import numpy as np

    return [np.random.default_rng(k).random(int(scale * (1 << 17))) for k in range(1000)]


def pandas_frame(scale: float) -> Any:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    n = int(scale * 10_000_000)
    name = pd.Series(pa.array(np.arange(n)).cast(pa.string()), dtype="str")
    frame = pd.DataFrame({"id": np.arange(n), "value": np.random.default_rng(0).random(n), "name": name})
    pa.default_memory_pool().release_unused()  # what making it leaves is not the save's
    return frame


def polars_frame(scale: float) -> Any:
    import polars as pl

    n = pl.int_range(int(scale * 10_000_000), eager=True)
    return pl.DataFrame({"id": n, "value": n / 7, "name": n.cast(pl.String)})


def object_frame(scale: float) -> Any:
    import numpy as np
    import pandas as pd

    n = int(scale * 1_000_000)
    return pd.DataFrame({"id": np.arange(n), "name": pd.Series([f"row {k}" for k in range(n)], dtype=object)})


def forest(scale: float) -> Any:
    import numpy as np
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(0)
    rows = rng.random((max(500, int(scale * 10_000)), 10))
    return RandomForestClassifier(100, random_state=0).fit(rows, rows[:, 0] + rng.random(len(rows)) > 1)


def state_dict(scale: float) -> Any:
    import torch

    side = int(1024 * scale**0.5)
    return {f"layers.{k}.weight": torch.rand(4, side, side) for k in range(50)}


def _pickled_before(value: Any) -> Any:
    """Who first asks for their state makes each object a dictionary: let that be nobody who is timed."""
    pickle.dumps(value, 5)
    return value


def dicts(scale: float) -> Any:
    return [{"id": k, "name": f"row {k}", "value": k / 7} for k in range(int(scale * 1_000_000))]


@dataclasses.dataclass
class Node:
    number: int
    name: str
    below: list[Node]


#: joblib's pickler is written in Python: it cannot go much deeper.
DEPTH = 40


def graph(scale: float) -> Any:
    def chain(number: int) -> Node:
        node = Node(0, f"leaf {number}", [])
        for depth in range(1, DEPTH):
            node = Node(depth, f"node {number}.{depth}", [node])
        return node

    return _pickled_before([chain(number) for number in range(int(scale * 200_000) // DEPTH)])


# -- read to the last byte --------------------------------------------------------------------------


def _read_arrays(value: Any) -> object:
    return [array.view("u8").max() for array in (value if type(value) is list else [value])]


def _read_pandas(value: Any) -> object:
    return value["id"].sum(), value["value"].sum(), sum(part.str.len().sum() for part in _in_parts(value["name"]))


def _read_polars(value: Any) -> object:
    return value["id"].sum(), value["value"].sum(), sum(part.str.len_bytes().sum() for part in _in_parts(value["name"]))


def _in_parts(column: Any) -> Iterator[Any]:
    """The lengths of all texts at once would count as memory that a restore needs."""
    return (column[k : k + 500_000] for k in range(0, len(column), 500_000))


def _read_tensors(value: Any) -> object:
    return _read_arrays([tensor.numpy() for tensor in value.values()])  # torch's own threads wait for each other


def _dtypes(value: Any) -> object:
    return [str(dtype) for dtype in value.dtypes]


# -- by the library itself, as its manual says --------------------------------------------------------


def _save(value: Any, path: str) -> None:
    import numpy as np

    with open(path, "wb") as file:  # given a path, numpy adds its ending
        np.save(file, value)


def _load(path: str) -> Any:
    import numpy as np

    return np.load(path)


def _savez(value: Any, path: str) -> None:
    import numpy as np

    with open(path, "wb") as file:
        np.savez(file, *value)


def _loadz(path: str) -> Any:
    import numpy as np

    with np.load(path) as found:
        return [found[name] for name in found.files]


def _torch_save(value: Any, path: str) -> None:
    import torch

    torch.save(value, path)


def _torch_load(path: str) -> Any:
    import torch

    return torch.load(path)


def _to_feather(value: Any, path: str) -> None:
    value.to_feather(path, compression="uncompressed")


def _read_feather(path: str) -> Any:
    import pandas as pd

    return pd.read_feather(path)


def _write_ipc(value: Any, path: str) -> None:
    value.write_ipc(path, compression="uncompressed")


def _read_ipc(path: str) -> Any:
    import polars as pl

    return pl.read_ipc(path)


KINDS = {
    "array": Kind("1 GiB array", array, _read_arrays, _save, _load),
    "arrays": Kind("1,000 arrays of 1 MiB", arrays, _read_arrays, _savez, _loadz),
    "pandas": Kind(
        "pandas, 10 M rows with text", pandas_frame, _read_pandas, _to_feather, _read_feather, "pandas", _dtypes
    ),
    "polars": Kind("polars, 10 M rows with text", polars_frame, _read_polars, _write_ipc, _read_ipc, "polars", _dtypes),
    "torch": Kind("torch state dict, 800 MiB", state_dict, _read_tensors, _torch_save, _torch_load, "torch"),
    "objects": Kind("pandas, 1 M texts as objects", object_frame, needs="pandas", facts=_dtypes),
    "forest": Kind("fitted forest of 100 trees", forest, needs="sklearn"),
    "dicts": Kind("1,000,000 small dicts", dicts),
    "graph": Kind("200,000 objects, 40 deep", graph),
}
