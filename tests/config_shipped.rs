//! Every configuration that is shipped is accepted.

use drover::config::lab::load_lab;
use drover::config::{PublishedKeys, load};
use std::path::Path;

fn shipped(directory: &str) -> Vec<std::path::PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let mut files: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

#[test]
fn lab_files_are_accepted_and_so_is_each_of_their_nodes_alone() {
    let files = shipped("configs/lab");
    assert!(files.len() >= 9);
    for file in files {
        let lab = load_lab(&file).unwrap_or_else(|error| panic!("{error}"));
        assert!(!lab.moves.is_empty(), "{}", lab.name);
        for node in &lab.nodes {
            let interface_of = |port: &drover::config::resolved::PortConfig| ("af_xdp", format!("d-{}", port.name));
            let text = node.node_file(interface_of, Path::new("/run/drover/lab.sock"));
            let alone =
                drover::config::parse(&node.name, &text, Path::new("")).unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!(alone.name, node.name);
            assert_eq!(alone.roles(), node.config.roles());
            assert_eq!(alone.mma, node.config.mma);
            assert_eq!(alone.mobile_terminal, node.config.mobile_terminal);
            assert_eq!(alone.ports.len(), node.config.ports.len());
        }
    }
}

#[test]
fn role_files_are_accepted() {
    for file in shipped("configs") {
        load(&file, PublishedKeys::Taken).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// The keys of the raw tables in a source file.
fn keys(source: &str) -> impl Iterator<Item = &str> {
    source.lines().filter_map(|line| {
        let field = line.strip_prefix("    pub ").or_else(|| line.strip_prefix("    pub(super) "))?;
        field.split_once(':').map(|(key, _)| key.strip_prefix("r#").unwrap_or(key))
    })
}

#[test]
fn every_key_is_documented() {
    let manual = include_str!("../docs/configuration.md");
    let mut count = 0;
    for key in keys(include_str!("../src/config/raw.rs")).chain(keys(include_str!("../src/config/lab/raw.rs"))) {
        let said = ["`", ".", "[", "…ra."]
            .iter()
            .any(|before| ["`", "]", ".", " ="].iter().any(|after| manual.contains(&format!("{before}{key}{after}"))));
        assert!(said, "docs/configuration.md does not say what `{key}` is");
        count += 1;
    }
    assert!(count > 100, "{count} keys");
}
