//! Rows of a run, the files that hold them, and the tables and plots made from them.
