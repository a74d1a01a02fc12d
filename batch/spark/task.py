"""Tasks: functions on the batches of a partition, in Python workers that have many of them each.

A worker collects garbage after each task, and looks at the objects of all modules then: 0.1 s.
The JVM gets the types of columns as they are: its parser of texts would take some 0.03 s a stage.
"""

import functools
import gc
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

Batches = Iterable[pa.RecordBatch]

_TYPES: Final = {
    pa.int8(): "ByteType",
    pa.int32(): "IntegerType",
    pa.int64(): "LongType",
    pa.string(): "StringType",
    pa.binary(): "BinaryType",
}


def mapped(
    frame: Any,
    schema: pa.Schema,
    function: Callable[..., Iterator[pa.RecordBatch]],
    **arguments: object,
) -> Any:
    """Return a DataFrame of what a function makes of each partition.

    Args:
        frame: DataFrame.
        schema: Columns of the result.
        function: Function from the batches of a partition to those of the result.
        arguments: Further arguments of the function.
    """
    task = _Task(functools.partial(function, **arguments))
    return frame.mapInArrow(task, struct_type(schema))


def struct_type(schema: pa.Schema) -> Any:
    """Return the type of a DataFrame's rows."""
    from pyspark.sql import types

    def type_of(column: pa.DataType) -> Any:
        if pa.types.is_list(column):
            return types.ArrayType(type_of(column.value_type))
        return getattr(types, _TYPES[column])()

    return types.StructType([types.StructField(one.name, type_of(one.type)) for one in schema])


@dataclass(frozen=True, slots=True)
class _Task:
    function: Callable[[Batches], Iterator[pa.RecordBatch]]

    def __call__(self, batches: Batches) -> Iterator[pa.RecordBatch]:
        _keep_modules_from_collection(len(sys.modules))
        yield from self.function(batches)


@functools.cache
def _keep_modules_from_collection(n_modules: int) -> None:
    gc.freeze()
