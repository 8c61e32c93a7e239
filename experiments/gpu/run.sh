#!/usr/bin/env bash
# Starts a program that build.sh made: run.sh PROGRAM [ARGUMENTS]. CUDA's libraries are those of the PyTorch that the Python
# in L0_PYTHON (python3 if unset) has.
set -euo pipefail
program=$(dirname "$0")/$1
shift
[ -x "$program" ] || gunzip -k "$program.gz"
nvidia=$("${L0_PYTHON:-python3}" -c 'import nvidia; print(list(nvidia.__path__)[0])')
export LD_LIBRARY_PATH=$nvidia/cu13/lib:$nvidia/cudnn/lib:/usr/local/nvidia/lib64:${LD_LIBRARY_PATH:-}
exec "$program" "$@"
