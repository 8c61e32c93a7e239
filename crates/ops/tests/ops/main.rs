//! Every operation of the crate against naive loops, finite differences, `portable`, and itself on other threads.

mod chain;
mod channels;
mod conv;
mod conv_general;
mod elementwise;
mod images;
mod linear;
mod loss;
mod map;
mod norm;
mod pool;
mod select;
mod support;
mod update;
mod window;
