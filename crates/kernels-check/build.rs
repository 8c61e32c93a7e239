//! Compiles the kernels for the CPU.

fn main() {
    for file in ["src/on_cpu.c", "../ops/src/cuda/kernels.cu"] {
        println!("cargo::rerun-if-changed={file}");
    }
    cc::Build::new().file("src/on_cpu.c").compile("l0_kernels_on_cpu");
}
