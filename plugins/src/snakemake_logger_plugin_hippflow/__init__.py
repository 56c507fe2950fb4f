"""A record of every run, and at its end one summary that says what was made and what was not.

Chosen by ``--logger hippflow`` or ``logger: hippflow`` in a profile. Snakemake's own output to
the terminal stays as it is.

Where the end of a run is: Snakemake stops its loggers when it leaves its API, whether jobs
failed, the DAG could not be built or Ctrl-C was pressed, and so calls `LogHandler.close`
then; should it not come to that, Python does at its exit, as with all handlers of `logging`.
``onsuccess`` and ``onerror`` are not called after an error in the DAG or when there is nothing
to do. A driver that is killed outright ends nothing: its record stays without an end.

Snakemake tells a plugin everything through a queue, from a thread of its own; the driver
waits for nothing here. Processes of jobs have no logger plugins, so all of this is about the
driver, which tells of every job of a group.
"""

import logging
import os
import sys
from logging import LogRecord
from typing import Any

from snakemake.logging import logger
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from hippflow.redaction import redacted, redacted_command
from hippflow.runs.planned import VARIABLE
from hippflow.runs.summary import finish
from snakemake_logger_plugin_hippflow.current import CURRENT, describe_run, stopped_because
from snakemake_logger_plugin_hippflow.guard import guard_budget
from snakemake_logger_plugin_hippflow.plan import write_planned
from snakemake_logger_plugin_hippflow.recorder import Recorder


class _NoSecrets(logging.Filter):
    """Takes secrets out of what Snakemake says on the terminal, in its log and to plugins: its command comes first."""

    def filter(self, record: LogRecord) -> bool:
        """Change the record's text; all records pass."""
        if isinstance(record.msg, str):
            record.msg = redacted(record.msg)
        if isinstance(getattr(record, "cmd", None), str):
            (record.cmd,) = redacted_command([record.cmd])
        return True


class LogHandler(LogHandlerBase):
    """Keeps the record of a run; in a dry run writes the planned jobs where it is asked to."""

    writes_to_stream = False
    writes_to_file = False
    has_filter = True  # or --quiet would keep events from the record
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        """Start without a record: there is none before a run starts."""
        logger.addFilter(_NoSecrets())
        logging.raiseExceptions = False  # a log that has no room on its disk is no traceback between what is said
        self.pid = os.getpid()
        self.recorder = None if self.common_settings.dryrun else Recorder()
        self.planned = os.environ.get(VARIABLE) if self.common_settings.dryrun else None

    def emit(self, record: LogRecord) -> None:
        """Take one event."""
        try:
            if self.recorder:
                self.recorder.take(record)
                self._guard(record)
            elif self.planned and getattr(record, "event", None) == LogEvent.RUN_INFO:
                write_planned(CURRENT.workflow.dag, self.planned)
                self.planned = None
        except Exception as error:  # noqa: BLE001 - whatever it is, the run goes on
            self._give_up(error)

    def close(self) -> None:
        """End the record and say what happened; once, and not in a fork of this process."""
        recorder, self.recorder = self.recorder, None
        if recorder and os.getpid() == self.pid:
            if isinstance(sys.exc_info()[1], KeyboardInterrupt):
                recorder.interrupt("Ctrl-C")
            try:
                run = recorder.end()
                if run:
                    show = Quietness.ALL not in (self.common_settings.quiet or ())
                    finish(run, _cost(run), CURRENT.config.get("notify"), show)
            except Exception as error:  # noqa: BLE001 - the products are made, whatever is wrong here
                self._give_up(error)
        super().close()

    def _guard(self, record: LogRecord) -> None:
        """Let the budget's guard look at what the run has cost, whenever a job starts or ends."""
        looks = (LogEvent.JOB_INFO, LogEvent.JOB_FINISHED, LogEvent.JOB_ERROR)
        if CURRENT.guard and self.recorder.path and getattr(record, "event", None) in looks:
            try:
                CURRENT.guard.look(self.recorder.path)
            except Exception as error:  # noqa: BLE001 - the record is kept, and the run goes on, whatever it is
                CURRENT.guard = None
                logger.warning(f"hippflow: the budget is not watched any more ({type(error).__name__}: {error}).")

    def _give_up(self, error: Exception) -> None:
        self.recorder = self.planned = None
        logger.warning(
            f"The record of this run cannot be kept ({type(error).__name__}: {error}); the run goes on, without a "
            "summary at its end. Snakemake's own log is in .snakemake/log."
        )


def _cost(run: Any) -> str | None:
    """Ask what the run cost; a price that is not known is no reason to say nothing."""
    try:
        return CURRENT.cost(run) if CURRENT.cost else None
    except Exception as error:  # noqa: BLE001 - as above
        return f"unknown ({type(error).__name__}: {error})"


__all__ = ["LogHandler", "describe_run", "guard_budget", "stopped_because"]
