"""
Run a pipeline on SLURM: one job for each worker, one worker for each CCD.

    python docs/slurm/slurm_cluster.py --jobs 16 -- photometry --sector 14

What stands behind ``--`` goes to ``tasoc run``. ``--script`` prints the job script and ends.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from dask_jobqueue import SLURMCluster


def make_cluster(cores: int, memory: str, walltime: str) -> SLURMCluster:
    """Return a cluster whose jobs are one worker process each; nothing is submitted yet."""
    return SLURMCluster(
        cores=cores,
        processes=1,
        memory=memory,
        walltime=walltime,
        job_script_prologue=["export OPENBLAS_NUM_THREADS=1"],
        local_directory="/tmp",
    )


def main() -> None:
    """Start the jobs, wait for the first, run the pipeline, end the jobs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=16, help="workers, one SLURM job each")
    parser.add_argument("--cores", type=int, default=4, help="cores of a job: threads of a notebook")
    parser.add_argument("--memory", default="8GB", help="memory of a job; a full CCD takes 1 to 2 GB")
    parser.add_argument("--walltime", default="12:00:00", help="time of a job")
    parser.add_argument("--script", action="store_true", help="print the job script and end")
    parser.add_argument("words", nargs="+", help="what tasoc run is told")
    given = parser.parse_args()
    with make_cluster(given.cores, given.memory, given.walltime) as cluster:
        if given.script:
            sys.stdout.write(cluster.job_script())
            return
        cluster.scale(jobs=given.jobs)
        cluster.wait_for_workers(1)
        command = [
            "tasoc",
            "run",
            *given.words,
            "--executor",
            "dask",
            "--scheduler",
            cluster.scheduler_address,
        ]
        subprocess.run([*command, "--workers", str(given.jobs)], check=True)


if __name__ == "__main__":
    main()
