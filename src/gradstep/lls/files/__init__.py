"""Rows of files on disk, read by spans into buffers of the caller."""

from gradstep.lls.files.npy import NpyFile
from gradstep.lls.files.parquet import ParquetFile
from gradstep.lls.files.source import Rows, Source

__all__ = ["NpyFile", "ParquetFile", "Rows", "Source"]
