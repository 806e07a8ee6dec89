#!/bin/bash
# One job for the scheduler and the run; the workers are jobs of their own, started from slurm_cluster.py.
#SBATCH --job-name=tasoc
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=24:00:00
set -euo pipefail

# All of these must be places that every node sees.
export TASOC_STORE="${TASOC_STORE:?a shared folder or s3://bucket/store}"
export TASOC_DATA="${TASOC_DATA:?the folder of the FFIs}"
export TASOC_CACHE="${TASOC_CACHE:?a shared folder}"

exec python docs/slurm/slurm_cluster.py --jobs 16 -- photometry --sector "${1:?sector}"
