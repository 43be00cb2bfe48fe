"""Long work over a client: batches that survive the night, and the refresh of the catalogue.

Public: `Batch` and what it reports, the readers of its results, the lines that it reads;
`modelscope_transport.jobs.ray` for clusters, `refresh_models`.
"""

from .batch import Batch, BatchReport
from .results import iter_results, read_results
from .rows import BatchFailure, BatchRow

__all__ = ["Batch", "BatchFailure", "BatchReport", "BatchRow", "iter_results", "read_results"]
