//! The kernels for GPUs, compiled for the CPU and compared with the operations that they stand for; see `tests/`.
//!
//! A crate of its own, so that `l0-ops` is built without a compiler for C. What needs several threads of a block, or
//! the device compiler, is checked on a GPU alone.
