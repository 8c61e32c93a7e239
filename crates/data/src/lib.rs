//! Image data sets as verified bytes, and batches drawn from them.
