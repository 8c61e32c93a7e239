//! Inspections of small networks.
