#!/usr/bin/env bash
# Is the GPU path right, how fast is it, and how fast is PyTorch beside it? Five minutes on an H100 or H200, nothing else running.
# Needs the program gpu-check, built by build.sh, and a Python with PyTorch (L0_PYTHON; python3 if unset). Writes
# gpu-check.json and gpu-check.log to $OUT (results/bench/gpu if unset). A part that fails or takes too long is recorded as
# failed, and the others go on. --cpu tries the PyTorch side where there is no GPU.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
programs=${PROGRAMS:-$here/../../target/cuda/carry} out=${OUT:-$here/../../results/bench/gpu}
python=${L0_PYTHON:-python3} parts=$(mktemp -d)
trap 'rm -rf "$parts"' EXIT
mkdir -p "$out"

# within SECONDS NAME COMMAND...: the command writes NAME.json; its log and how it ended are kept beside it.
within() {
    local seconds=$1 name=$2 start=$SECONDS
    shift 2
    echo "== $name, at most $seconds s"
    timeout --kill-after 5 "$seconds" "$@" 2>&1 | tee "$parts/$name.log"
    echo "${PIPESTATUS[0]} $((SECONDS - start))" >"$parts/$name.end"
}

export PYTHONUNBUFFERED=1
within 110 ours bash "$programs/run.sh" gpu-check --json "$parts/ours.json"
within 80 pytorch "$python" "$here/peer.py" "$@" "$parts/pytorch.json" machine ceilings steps convolutions
within 100 pytorch-compiled "$python" "$here/peer.py" "$@" "$parts/pytorch-compiled.json" compiled
cat "$parts"/*.log >"$out/gpu-check.log"
"$python" "$here/gather.py" "$out/gpu-check.json" "$parts" ours pytorch pytorch-compiled
