//! Absurd configuration files, damaged state files and rude clients: the properties of the fuzz targets, over seeded
//! mutants of the files that are shipped, of files as they are written and of good requests, a bounded number of them.

#[path = "../fuzz/properties/admin.rs"]
mod admin;
#[path = "../fuzz/properties/config.rs"]
mod config;
#[path = "../fuzz/properties/mutate.rs"]
mod mutate;
#[path = "../fuzz/properties/state.rs"]
mod state;

use std::path::Path;

fn shipped() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directories = ["configs", "configs/lab"].map(|directory| root.join(directory));
    let entries = directories.iter().flat_map(|directory| std::fs::read_dir(directory).unwrap());
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    assert!(!paths.is_empty());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn absurd_files_are_refused_line_by_line() {
    mutate::run("config", 1, 4_000, &shipped(), mutate::mutate_lines, config::file);
}

#[test]
fn files_of_hostile_octets_are_refused() {
    mutate::run("config", 2, 2_000, &shipped(), mutate::mutate, config::file);
}

#[test]
fn damaged_state_is_refused_by_line_or_read_as_it_was_written() {
    mutate::run("state", 1, 1_500, &state::samples(), mutate::mutate, state::file);
    mutate::run("state", 2, 1_500, &state::samples(), mutate::mutate_lines, state::file);
}

#[test]
fn rude_clients_get_an_answer_to_each_line() {
    mutate::run("admin", 1, 1_000, &admin::samples(), mutate::mutate, admin::client);
    mutate::run("admin", 2, 1_000, &admin::samples(), mutate::mutate_lines, admin::client);
}
