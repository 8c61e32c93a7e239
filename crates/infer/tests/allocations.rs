//! Running a compiled network allocates nothing once it has seen the batch.
#![allow(missing_docs, unsafe_code)] // an allocator that counts

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use l0_infer::Engine;
use l0_net::layers::{AvgPool2d, Conv2d, ConvTranspose2d, PRelu, Pad, Softmax, Upsample, UpsampleMode};
use l0_net::{Activation, Builder, ClosedChannels, Params};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is handed on to the system's allocator; counting neither allocates nor touches the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and `at` came from `System`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn no_allocation_per_call() {
    let mut b = Builder::image("image", 2, 12, 12);
    b.conv2d_same("conv1", 6, 3, 2).closed_channels(ClosedChannels::Constant).batch_norm("bn").relu();
    let skip = b.tip();
    b.conv2d_same("conv2", 6, 3, 1).add(skip).relu().layer("depthwise", Conv2d::new(6, 3).padding(1).groups(6));
    b.activation(Activation::Silu).layer("enlarged", ConvTranspose2d::new(8, 2, 2)).layer("prelu", PRelu);
    b.layer("mean", AvgPool2d::new(2)).layer("pad", Pad { padding: 1.into() });
    b.layer("larger", Upsample { factor: 2.into(), mode: UpsampleMode::Bilinear { align_corners: false } });
    let image = b.tip();
    b.conv2d_same("conv3", 9, 3, 1).concat(&[image]);
    let all = b.tip();
    b.global_avg_pool()
        .activation(Activation::Sigmoid)
        .mul(all)
        .global_avg_pool()
        .linear("fc", 10)
        .layer("shares", Softmax);
    let net = b.build().unwrap();
    let params = Params::init(&net, 1, &candle_core::Device::Cpu).unwrap();
    let mut engine = Engine::new(&net, &params.detached()).unwrap();
    let xs = vec![0.5; 33 * engine.input_len()];
    engine.run(&xs, 33).unwrap();
    let before = COUNT.get();
    for batch in [1, 33, 7] {
        engine.run(&xs[..batch * engine.input_len()], batch).unwrap();
    }
    assert_eq!(COUNT.get(), before);
}
