//! Every configuration that is shipped is accepted.

use drover::config::lab::load_lab;
use drover::config::{effective, load};
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
        load(&file).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// What `drover config show` prints is a file that means the same, where keys are put back, and to show that changes nothing.
#[test]
fn effective_files_mean_the_same() {
    let directory = std::env::temp_dir().join(format!("drover-effective-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let mut files: Vec<(String, String)> = Vec::new();
    for file in shipped("configs") {
        files.push((file.display().to_string(), std::fs::read_to_string(&file).unwrap()));
    }
    for file in shipped("configs/lab") {
        for node in load_lab(&file).unwrap().nodes {
            let interface_of = |port: &drover::config::resolved::PortConfig| ("af_xdp", format!("d-{}", port.name));
            let text = node.node_file(interface_of, Path::new("/run/drover/lab.sock"));
            files.push((format!("{} of {}", node.name, file.display()), text));
        }
    }
    let path = directory.join("node.toml");
    for (name, text) in files {
        std::fs::write(&path, &text).unwrap();
        let original = load(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let shown = effective(&path).unwrap().to_toml();
        assert!(shown.contains("# default"), "{name}: {shown}");
        // Secrets of the file, in the order of the tables that they stand in.
        let mut keys = secrets(&text.parse().unwrap()).into_iter();
        let parts: Vec<&str> = shown.split("\"(hidden)\"").collect();
        let restored = parts.iter().enumerate().fold(String::new(), |all, (index, part)| {
            let key = if index + 1 < parts.len() { keys.next().expect("a key") } else { String::new() };
            all + part + &key
        });
        assert_eq!(keys.next(), None, "{name}: a secret is not hidden");
        std::fs::write(&path, &restored).unwrap();
        let again = load(&path).unwrap_or_else(|error| panic!("{name}: {error}\n{restored}"));
        assert!(again == original, "{name}:\n{again:#?}\n{original:#?}");
        let defaults = |text: &str| text.matches("# default").count();
        assert_eq!(defaults(&effective(&path).unwrap().to_toml()), 0, "{name}: {restored}");
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

/// The keys of Mobile IP in a table, in the order in which they are shown: values before tables, each by name.
fn secrets(table: &toml::Table) -> Vec<String> {
    let own = table.get("key").filter(|key| key.is_str()).map(ToString::to_string);
    let inner = table.values().flat_map(|value| match value {
        toml::Value::Table(table) => secrets(table),
        toml::Value::Array(array) => array.iter().filter_map(|value| value.as_table()).flat_map(secrets).collect(),
        _ => Vec::new(),
    });
    own.into_iter().chain(inner).collect()
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
