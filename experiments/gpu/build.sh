#!/usr/bin/env bash
# Builds programs for an H100 or H200 on a machine that has neither a GPU nor CUDA; x86-64 Linux, Rust, gcc 15 or older and
# python3 with pip are enough. What cargo is to build is named as for cargo; all programs of l0-experiments if nothing is:
#
#   experiments/gpu/build.sh --bin gpu-check --bin reproduce-cifar
#   experiments/gpu/build.sh -p l0-ops --example NAME
#
# The programs, compressed, end in target/cuda/carry with run.sh, which starts them on the GPU machine:
#
#   bash target/cuda/carry/run.sh reproduce-cifar --help
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/experiments/gpu carry=target/cuda/carry tools=${CUDA_TOOLS:-$HOME/.cache/cuda-13.0}
export CUDA_HOME=$tools/nvidia/cu13

# The driver compiles our PTX when a program starts, and refuses that of a CUDA later than its own: 13.0 suits driver 580.
compiler() {
    [ -x "$CUDA_HOME/bin/nvcc" ] || python3 -m pip install --quiet --no-deps --target "$tools" \
        nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 \
        nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85
    mkdir -p "$CUDA_HOME/lib/stubs"
    ln -sf libcudart.so.13 "$CUDA_HOME/lib/libcudart.so"
}

# The driver and a gigabyte of libraries are only linked to, so libraries of the same names and functions do: stub MODULE
# LIBRARY SONAME, where MODULE is that of cudarc which lists the functions.
stub() {
    grep -ohP '^pub unsafe fn \K\w+' "$cudarc/src/$1/sys/mod.rs" | sort -u | sed 's/.*/int &(void) { return 100; }/' |
        cc -shared -fPIC -w -fno-builtin -x c -Wl,-soname,"$3" -o "$CUDA_HOME/lib/stubs/lib$2.so" -
}

libraries() {
    cudarc=$(cargo metadata --locked --format-version 1 --features l0-experiments/cuda |
        grep -oP '"manifest_path":"\K[^"]*/cudarc-[^/"]*(?=/Cargo.toml)' | tail -n 1)
    stub driver cuda libcuda.so.1
    stub nvrtc nvrtc libnvrtc.so.13
    stub curand curand libcurand.so.10
    stub cublas cublas libcublas.so.13
    stub cublaslt cublasLt libcublasLt.so.13
    stub cudnn cudnn libcudnn.so.9
}

# Prints the paths of the programs.
build() {
    export PATH=$CUDA_HOME/bin:$PATH L0_NVCC=$CUDA_HOME/bin/nvcc NVCC=$here/nvcc-stand-in
    # 90 is what nvidia-smi says of these GPUs.
    export CUDA_COMPUTE_CAP=90 CARGO_INCREMENTAL=0 CARGO_TARGET_DIR=target/cuda
    cargo build --locked --release -p l0-experiments --features cuda --message-format json-render-diagnostics "$@" |
        grep -oP '"executable":"\K[^"]+'
}

# As small as they get: they travel.
pack() {
    while read -r program; do
        strip -o "$carry/${program##*/}" "$program"
        gzip -9f "$carry/${program##*/}"
    done
}

compiler
libraries
[ $# -gt 0 ] || set -- --bins
rm -rf "$carry"
mkdir -p "$carry"
build "$@" | pack
cp "$here/run.sh" "$carry"
ls -l "$carry"
