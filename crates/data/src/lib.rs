//! Data sets of images, verified, and of rows of numbers, and batches drawn from them.
//!
//! Three types carry the data. A [`Split`] is labelled images on the host, still bytes: a quarter of the memory of
//! numbers, and small enough to keep CIFAR whole; what would not fit stays files until a batch needs it. A [`Dataset`]
//! is two of them, to learn from and to test on, with the digests of the files behind them. A [`Batch`] is a few images
//! made into a tensor, in one pass over their bytes, at the moment a network wants them.
//!
//! Data of one's own is an [`ImageFolder`], a [`Table`], a file of [`arrays`] or any data set of the Hub; a
//! [`DataSpec`] asks for any of them, and a [`DataRecord`] is what is written down of it. [`load`] goes from a spec to
//! a [`Dataset`]: what is known by name from a folder of the user's if there is one, else from the Hub's cache, else
//! from the Hub. Readers believe no header: what it promises must fit the file before anything is allocated. A file
//! that comes from the Hub is read only after its sha256 has been found right; a wrong one is removed. What a folder
//! holds need not be what its files are called: a [`Standing`] says whether the images are those of the benchmark. The
//! Hub needs the feature `hub`, and with it several hundred crates; IDX, CIFAR's binary files and the [`Digits`] that
//! the program draws itself need nothing.
//!
//! A [`Feed`] goes from a split to batches. Order and augmentation are pure functions of (seed, epoch, step), so that a
//! resumed run sees what an undisturbed one would have seen. Making a batch takes one thread: a hundred MNIST images
//! cost some hundredths of a millisecond, less than waking another would.
//!
//! ```
//! use candle_core::Device;
//! use l0_data::{Digits, Feed, Normalise};
//! let digits = Digits { train: 250, test: 50, seed: 1 }.draw()?;
//! let feed = Feed::new(&digits.train, Normalise::unit(), 100, &Device::Cpu)?;
//! for batch in feed.epoch(1, 0) {
//!     let batch = batch?;
//!     assert_eq!(batch.images.dims()[1..], [1, 28, 28]); // (b, c, h, w)
//! }
//! # Ok::<(), l0_data::Error>(())
//! ```
//!
//! The crate never sees a model, and reads neither command line nor environment.

pub mod arrays;
mod augment;
mod batch;
mod benchmark;
pub mod cifar;
mod dataset;
mod digest;
mod digits;
mod error;
mod feed;
mod folder;
mod foreign;
mod gather;
mod held_out;
#[cfg(not(feature = "hub"))]
#[path = "no_hub.rs"]
mod hub;
#[cfg(feature = "hub")]
pub mod hub;
pub mod idx;
mod image_folder;
mod load;
mod normalise;
mod order;
mod picture;
mod progress;
mod record;
#[cfg_attr(not(feature = "hub"), allow(dead_code))]
mod repo;
mod shards;
mod source;
mod spec;
mod split;
mod standing;
mod stored;
pub mod table;

pub use augment::{Augment, Placement};
pub use batch::Batch;
pub use benchmark::Benchmark;
pub use dataset::Dataset;
pub use digest::SourceFile;
pub use digits::Digits;
pub use error::{Error, Result};
pub use feed::{Batches, Feed};
pub use image_folder::ImageFolder;
pub use load::{download, load};
pub use normalise::Normalise;
pub use order::order;
pub use picture::Picture;
pub use progress::{Progress, Silent};
pub use record::DataRecord;
pub use source::Source;
pub use spec::{DataSpec, NormaliseBy, NormaliseName, Options, Origin};
pub use split::{Scale, Split};
pub use standing::Standing;
pub use table::{Table, Task};
