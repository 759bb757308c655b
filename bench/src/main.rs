//! Benchmarks of the stack.

fn main() {}
