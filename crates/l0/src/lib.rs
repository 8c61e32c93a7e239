//! Learning sparse neural networks through L0 regularisation, on Candle.
