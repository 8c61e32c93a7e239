//! The operations composed of Candle's own: right on every device, and what other devices than the CPU use. Arguments
//! are checked as those of the operations themselves.

mod channels;
mod conv;
mod images;
mod linear;
mod loss;
mod norm;
mod pointwise;
mod pool;
mod select;
mod window;

pub use channels::{mul, prelu, softmax};
pub use conv::{conv, conv_transpose, conv2d, conv2d_epilogue};
pub use images::{concat, pad, stride, upsample_bilinear, upsample_nearest};
pub use linear::{linear, linear_relu};
pub use loss::cross_entropy;
pub use norm::{batch_norm, batch_norm_train, running};
pub use pointwise::{dropout, relu};
pub use pool::{global_avg_pool, max_pool2d};
pub use select::{select, select_vector, take};
pub use window::{avg_pool, global_max_pool, max_pool};
