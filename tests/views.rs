//! What an access router tells its operator: `drover show` in parts and ranges, and `drover explain`.

#[path = "views/bench.rs"]
mod bench;
#[path = "views/explanations.rs"]
mod explanations;
#[path = "views/tables.rs"]
mod tables;
