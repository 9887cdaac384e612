"""Do the books balance? A proof from Kafka, MinIO and PostgreSQL themselves."""

from include.verify.books import verify
from include.verify.report import Finding, Report

__all__ = ["Finding", "Report", "verify"]
