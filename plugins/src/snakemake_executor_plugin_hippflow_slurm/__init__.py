"""Jobs on Slurm, as snakemake-executor-plugin-slurm, for products that are whole or not there.

What differs from the plugin that this one extends, and why:

- A Slurm job makes only what is missing. The outputs that a job is to replace are
  removed, and what they will be made of is recorded, when it is submitted; so any output
  that is there later was made by this job and is whole. A job that Slurm requeues, that
  Snakemake submits again, or that a killed driver left half done goes on from the last
  whole product instead of making all products of its group again.
- One channel that fails does not stop the others of its group, and the message names it.
- One start of Snakemake a job instead of two with an ``srun`` between them.
- The state of jobs is read from ``squeue`` alone, with and without accounting, and a
  controller that does not answer is waited for. A job that the controller has forgotten
  has left a mark if it succeeded.
- Memory is requested only where the cluster schedules memory; elsewhere such a request
  is refused, or drains nodes.
"""

import shlex
import shutil
import subprocess
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import snakemake_executor_plugin_slurm as slurm
from snakemake_executor_plugin_slurm.job_status_query import query_job_status, query_job_status_squeue
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import get_job_wildcards, set_gres_string
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.settings import CommonSettings
from snakemake_interface_executor_plugins.utils import encode_target_jobs_cli_args, format_cli_arg

from hippflow.driver import start_record
from snakemake_executor_plugin_hippflow_slurm.controller import (
    largest_memory,
    schedules_memory,
    wait_for_controller,
)
from snakemake_executor_plugin_hippflow_slurm.failures import failed_for_good, failed_members, last_error, members

#: States of a job that will not run any more and has not succeeded.
FAILED = {"BOOT_FAIL", "CANCELLED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"}

#: Polls that a job is unknown to the controller before it counts as gone, and what it is then without its mark.
POLLS_UNTIL_GONE, GONE = 3, "gone from the queue without a success"


@dataclass
class ExecutorSettings(slurm.ExecutorSettings):
    """Settings of the extended plugin, and how patient this one is."""

    submit_patience: int = field(
        default=900,
        metadata={
            "help": "Seconds to wait for a controller that does not answer before a submission fails.",
            "env_var": False,
            "required": False,
        },
    )


common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=False,
    job_deploy_sources=False,
    pass_default_storage_provider_args=True,
    pass_default_resources_args=True,
    pass_envvar_declarations_to_cmd=False,
    auto_deploy_default_storage_provider=False,
)


class Executor(slurm.Executor):
    """Submits jobs and groups of jobs, and watches them."""

    def __post_init__(self, test_mode: bool = False) -> None:
        """Ask the cluster what it schedules, once."""
        settings = self.workflow.executor_settings
        wait_for_controller(settings.submit_patience, self.logger)
        super().__post_init__(test_mode)
        self.state = Path(self.workflow.workdir_init, ".snakemake", "hippflow")
        start_record(self.state, run=self.run_uuid)
        self.memory_is_scheduled = schedules_memory()
        self.done = self.state / "done" / self.run_uuid
        self.done.mkdir(parents=True, exist_ok=True)
        self.unknown: dict[str, int] = {}
        self.controller_is_away = False

    def shutdown(self) -> None:
        """Wait for the threads to end, and take the marks of finished jobs away."""
        super().shutdown()
        shutil.rmtree(self.done, ignore_errors=True)

    # Submission

    def run_jobs(self, jobs: Iterable[Any]) -> None:
        """Submit jobs, after their outdated outputs have been removed."""
        jobs = list(jobs)
        for job in jobs:
            if job.attempt == 1:
                self.workflow.async_run(self._make_way(job))
        super().run_jobs(jobs)

    async def _make_way(self, job: Any) -> None:
        """Remove what a job is to replace, and record what the new outputs are made of.

        From here on an output that exists is one that this job has made.
        """
        for member in members(job):
            await member.remove_existing_output()
            await self.workflow.persistence.finished(member)

    def report_job_submission(self, job_info: SubmittedJobInfo, register_job: bool = True) -> None:
        """Report a submission without marking its outputs as incomplete: they are whole or not there."""
        super().report_job_submission(job_info, register_job=False)

    def additional_general_args(self) -> str:
        """Arguments of the Snakemake that runs inside a job."""
        return "--executor local --keep-going --rerun-triggers mtime"

    def get_job_exec_suffix(self, job: Any) -> str:
        """Leave a mark after success, for a controller that forgets."""
        return f"touch '{self._mark(job)}'"

    def _mark(self, job: Any) -> Path:
        return self.done / f"{job.jobid}-{job.attempt}"

    def get_job_args(self, job: Any, **kwargs: Any) -> str:
        """Ask for the job's files: jobs that are targets themselves would be made again in any case."""
        arguments = super().get_job_args(job, **kwargs)
        option = format_cli_arg("--target-jobs", encode_target_jobs_cli_args(job.get_target_spec()))
        files = " ".join(shlex.quote(str(path)) for member in members(job) for path in member.output)
        return _replace(arguments, option, files)

    def format_job_exec(self, job: Any) -> str:
        """Return the command of a job, without the force to make again what is there."""
        return _replace(super().format_job_exec(job), " --force ", " ")

    def run_job(self, job: Any) -> None:
        """Submit one job or group; any failure to do so is reported as the job's."""
        try:
            log, call, script = self._submission(job)
            settings = self.workflow.executor_settings
            wait_for_controller(settings.submit_patience, self.logger)
            self.logger.debug(f"{call}\n{script}")
            submitted = subprocess.run(call, shell=True, input=script, capture_output=True, text=True)
        except Exception as error:  # noqa: BLE001 - a thread's error must reach the scheduler, whatever it is
            self._report_job_error_threadsafe(SubmittedJobInfo(job), f"It could not be submitted: {error!r}")
            return
        if submitted.returncode != 0:
            message = f"Slurm refused it: {submitted.stderr.strip()}\nsbatch call: {call}"
            self._report_job_error_threadsafe(SubmittedJobInfo(job), message)
            return
        number = submitted.stdout.strip().split(";")[0]
        log = Path(str(log).replace("%j", number))
        self.logger.info(f"Submitted as Slurm job {number}, log: {log.relative_to(self.workflow.workdir_init)}")
        self._report_job_submission_threadsafe(SubmittedJobInfo(job, number, {"slurm_logfile": log}))

    def _submission(self, job: Any) -> tuple[Path, str, str]:
        """Return a job's Slurm log, the call of sbatch, and the script for it."""
        name = f"group_{job.groupid}" if job.is_group() else f"rule_{job.name}"
        log = self.slurm_logdir / name / get_job_wildcards(job) / "%j.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        parameters = {
            "run_uuid": self.run_uuid,
            "slurm_logfile": log,
            "comment_str": name,
            "account": next(self.get_account_arg(job)) if job.resources.get("slurm_account") else "",
            "partition": self.get_partition_arg(job),
            "workdir": self.workflow.workdir_init,
        }
        view = SimpleNamespace(threads=job.threads, resources=_Resources(job.resources.items()))
        self._fit_memory(view.resources, parameters["partition"])
        call = get_submit_command(
            view, parameters, settings=self.workflow.executor_settings, failed_nodes=self._failed_nodes
        )
        call += set_gres_string(view) + " /dev/stdin"
        return log, call, f"#!/bin/sh\n{self.format_job_exec(job)}\n"

    def _fit_memory(self, resources: dict[str, Any], partition: str) -> None:
        """Ask for no more memory than a node has, and for none where memory is not scheduled."""
        if not self.memory_is_scheduled:
            for name in [name for name in resources if name.startswith("mem_")]:
                del resources[name]
        elif "mem_mb" in resources:
            largest = largest_memory(partition.replace("-p", "").strip())
            if largest and resources["mem_mb"] > largest:
                self.logger.warning(
                    f"A job needs {resources['mem_mb']} MB; the largest node has {largest}, so it asks that."
                )
                resources["mem_mb"] = largest

    # Watching

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Report jobs that have ended, and yield the others."""
        if not active_jobs:
            return
        states = await self._states()
        for info in active_jobs:
            state = "UNREACHABLE" if states is None else states.get(info.external_jobid) or self._state_of_unknown(info)
            if state == "COMPLETED":
                log = info.aux["slurm_logfile"]
                if not self.workflow.executor_settings.keep_successful_logs:
                    log.unlink(missing_ok=True)
                self.report_job_success(info)
            elif state in FAILED or state == GONE:
                if state == "FAILED" and failed_for_good(info.job):
                    info.job.attempt = info.job.restart_times + 1  # another attempt would say the same
                self.report_job_error(info, msg=f"Slurm job {info.external_jobid} is {state}.")
            else:
                yield info

    def _state_of_unknown(self, info: SubmittedJobInfo) -> str:
        """Return the state of a job that the controller does not list: unknown at first, then by its mark."""
        polls = self.unknown[info.external_jobid] = self.unknown.get(info.external_jobid, 0) + 1
        if polls < POLLS_UNTIL_GONE:
            return "UNKNOWN"
        return "COMPLETED" if self._mark(info.job).exists() else GONE

    async def _states(self) -> dict[str, str] | None:
        """Return the states of this run's jobs, None while the controller does not answer."""
        async with self.status_rate_limiter:
            states, _ = await query_job_status(query_job_status_squeue(self.run_uuid), self.logger)
        if (states is None) != self.controller_is_away:
            self.controller_is_away = states is None
            self.logger.warning(
                "Slurm's controller does not answer; waiting for it, jobs go on."
                if self.controller_is_away
                else "Slurm's controller answers again."
            )
        return states

    def print_job_error(self, job_info: SubmittedJobInfo, msg: str | None = None, **kwargs: Any) -> None:
        """Name the jobs that failed, with what they said; the others of a group are finished or wait for these."""
        failed = failed_members(job_info.job)
        logs = [str(job_info.aux["slurm_logfile"])] if job_info.aux else []
        if job_info.job.is_group():
            n_members = len(list(members(job_info.job)))
            msg = f"{msg or ''} {len(failed)} of the {n_members} jobs of its group failed."
        for member in failed:
            error = last_error(member)
            member.log_error(msg=f"{error}\n{msg}" if error else msg, aux_logs=logs)


def _replace(command: str, part: str, other: str) -> str:
    """Replace a part of Snakemake's command for jobs, which must be in it."""
    if part not in command:
        raise RuntimeError(f"expected {part!r} in Snakemake's command for jobs; is it another version than the lock's?")
    return command.replace(part, other, 1)


class _Resources(dict):
    """A job's resources, by key and as attributes."""

    __getattr__ = dict.__getitem__


__all__ = ["Executor", "ExecutorSettings", "common_settings"]
