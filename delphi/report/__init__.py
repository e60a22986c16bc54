"""Reports: figures as JSON, tables, and one self-contained page."""

from delphi.report.build import Report, build_report, write_report
from delphi.report.content import Analysis, analyse
from delphi.report.tables import Column, Table

__all__ = ["Analysis", "Column", "Report", "Table", "analyse", "build_report", "write_report"]
