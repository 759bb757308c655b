//! Absurd configuration files: the property of the fuzz target, over seeded mutants of the files that are shipped, a
//! bounded number of them.

#[path = "../fuzz/properties/mutate.rs"]
mod mutate;
#[path = "../fuzz/properties/config.rs"]
mod properties;

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
    mutate::run("config", 1, 4_000, &shipped(), mutate::mutate_lines, properties::file);
}

#[test]
fn files_of_hostile_octets_are_refused() {
    mutate::run("config", 2, 2_000, &shipped(), mutate::mutate, properties::file);
}
