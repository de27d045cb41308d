"""Tasks: a trained network with its data splits, from the package, from files or from Python."""

from laxity.task.base import TaskRequest, default_data_dir, tasks
from laxity.task.load import load_task
from laxity.task.make import make_task
from laxity.task.splits import DatasetSplit, Normalise, Split, TensorSplit, batches, labels_of, subset, tensor_split
from laxity.task.task import Task, check_task

__all__ = [
    "DatasetSplit",
    "Normalise",
    "Split",
    "Task",
    "TaskRequest",
    "TensorSplit",
    "batches",
    "check_task",
    "default_data_dir",
    "labels_of",
    "load_task",
    "make_task",
    "subset",
    "tasks",
    "tensor_split",
]
