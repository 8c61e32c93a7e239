# Recipes; `just` lists them.

set positional-arguments

hub := "--release -p l0-experiments --features hub"

# List the recipes.
default:
    @just --list

# Train a gated LeNet-5 on drawn digits, prune it, verify it, measure it: a minute, no data, no connection.
[group('use')]
quickstart *args:
    cargo quickstart "$@"

# Train a network that a file describes, or a recipe in a file, on data of your own: FILE.toml --data DATA [--epochs n] [--seeds n] [--out DIR]; or go on: --resume RUN.
[group('use')]
train *args:
    cargo run {{ hub }} --bin train -- "$@"

# Fetch data sets into the Hub's cache, checked: mnist, cifar10, cifar100.
[group('reproduce')]
download *names:
    cargo run {{ hub }} --bin download -- "$@"

# Train rows of Table 1 of the paper: [rows] [--estimate] [--seeds n] [--target DENSITY] [--epochs n] [--data DIR] [--out DIR] [--resume DIR].
[group('reproduce')]
reproduce-mnist *args:
    cargo run {{ hub }} --bin reproduce-mnist -- "$@"

# Train rows of Table 2 of the paper, or ResNets as in others' tables: [rows] [--profile cpu|tables|gpu|paper] [--estimate] [--seeds n] [--data DIR] [--out DIR].
[group('reproduce')]
reproduce-cifar *args:
    cargo run {{ hub }} --bin reproduce-cifar -- "$@"

# Train a recipe, or the network of a file, at several settings: RECIPE|NETWORK.toml --targets .1,.2 | --targets-macs | --lambdas [--seeds n] [--jobs n] [--list].
[group('reproduce')]
sweep *args:
    cargo run {{ hub }} --bin sweep -- "$@"

# Run the tests that need no network; `just check` and `just test-hub` complete what CI asks.
[group('develop')]
test:
    cargo test --workspace --release

# Run the tests of the Hub, against a loopback server that they start themselves.
[group('develop')]
test-hub:
    cargo test --release -p l0-data --features hub

# Kill two networks twenty times each at random moments and compare what they come to with undisturbed runs: minutes.
[group('develop')]
torture:
    cargo test --release -p l0-experiments --test faults -- --ignored --nocapture

# Feed random bytes to a reader (idx, cifar, parquet, pictures, png, arrays, table, network, onnx, config, metrics); needs nightly and cargo-fuzz.
[group('develop')]
fuzz target seconds="60":
    cargo +nightly fuzz run --sanitizer none {{ if target == "parquet" { "--features hub" } else { "" } }} {{ target }} -- -max_total_time={{ seconds }} -malloc_limit_mb=512 -rss_limit_mb=2048

# Licences, sources and duplicates of everything that comes into the build; needs cargo-deny (`cargo install cargo-deny`).
[group('develop')]
supply-chain:
    cargo deny check --hide-inclusion-graph licenses bans sources

# Format, lints and documentation, with warnings denied.
[group('develop')]
check:
    cargo fmt --all --check
    cargo clippy --release --workspace --all-targets -- -D warnings
    cargo clippy --release --workspace --all-targets --features l0-experiments/png,l0-experiments/hub -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps

# Lint the code of the feature `cuda` with warnings denied; needs neither CUDA nor a GPU, since nothing is compiled or run.
[group('develop')]
check-cuda:
    NVCC="$PWD/experiments/gpu/nvcc-stand-in" CUDARC_CUDA_VERSION=13000 CUDA_COMPUTE_CAP=90 \
        cargo clippy --release --workspace --all-targets --features l0-experiments/cuda -- -D warnings

# Rebuild tables, figures and the page from results/, and the README's tables; or those of FOLDER alone: [FOLDER] [--readme FILE].
[group('reproduce')]
report *args:
    cargo run --release -p l0-experiments --features png --bin report -- "$@"

# Time training steps and convolutions against PyTorch (L0_PYTHON names a Python that has it), or how a step grows: [--growth]; nothing else should run.
[group('develop')]
bench *args:
    cargo run --release -p l0-experiments --bin bench -- "$@"

# Compact the network of a finished run, verify that it is equal, write it: RUN [--estimator mean|median|top-k] [--out FILE] [--onnx] [--int8] [--data DIR]; or quantise a file: FILE --int8.
[group('use')]
export *args:
    cargo run {{ hub }} --bin export -- "$@"

# Check a compact file against its digest, its claims and the gated network, if that is at hand: FILE [--against RUN] [--data DIR].
[group('use')]
verify *args:
    cargo run {{ hub }} --bin verify -- "$@"

# Classify pictures (PNG, JPEG, WebP or IDX), or rows of a table, with a pruned network: IMAGE... [--model FILE].
[group('use')]
predict *args:
    cargo run {{ hub }} --bin predict -- "$@"

# Build programs for an H100 or H200 without having one: [--bin NAME]... They end in target/cuda/carry.
[group('develop')]
build-cuda *args:
    experiments/gpu/build.sh "$@"

# Check the GPU path against the CPU and time it beside PyTorch, on a GPU, with what `just build-cuda --bin gpu-check` built.
[group('develop')]
gpu-check *args:
    experiments/gpu/check.sh "$@"

# Size, MACs, error and speed of exported files beside the network before pruning: FILE... [--data DIR].
[group('use')]
bench-model *args:
    cargo run {{ hub }} --bin bench-model -- "$@"

# What a network is made of, which units can be pruned, and which layers share them: FILE [--json] [--svg OUT.svg] [--input-size HxW].
[group('use')]
inspect *args:
    cargo run {{ hub }} --bin inspect -- "$@"

# Prune a trained network (ONNX or .safetensors) on your data to a share of its MACs, checked: NETWORK --data DATA [--target-macs 0.5] [--epochs 10].
[group('use')]
prune *args:
    cargo run {{ hub }} --bin prune -- "$@"

# Write an ONNX file as a .safetensors file, or one of those as ONNX, checked: IN OUT [--input-size HxW] [--replace].
[group('use')]
convert *args:
    cargo run {{ hub }} --bin convert -- "$@"
