"""What a person wants to know of a trained model, as a page, as numbers and in plain sentences."""

from seq2seq.reporting.report import write_report
from seq2seq.reporting.results import Report

__all__ = ["Report", "write_report"]
