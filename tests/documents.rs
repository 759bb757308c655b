//! What the documents refer to exists: files, and tests by name.

use std::path::Path;

const DOCUMENTS: [&str; 9] = [
    "README.md",
    "docs/patent.md",
    "docs/rfc-compliance.md",
    "docs/regressions.md",
    "docs/configuration.md",
    "docs/interoperability.md",
    "docs/lab.md",
    "docs/troubleshooting-multicast.md",
    "docs/decisions/README.md",
];

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn named_tests_exist() {
    let mut count = 0;
    for document in DOCUMENTS {
        let text_of_document = text(document);
        for quoted in text_of_document.split('`').skip(1).step_by(2) {
            let Some((file, function)) = quoted.split_once(".rs::") else { continue };
            let source = text(&format!("{file}.rs"));
            assert!(source.contains(&format!("fn {function}(")), "{document}: there is no {quoted}");
            count += 1;
        }
    }
    assert!(count >= 30, "{count} tests are named");
}

#[test]
fn links_lead_somewhere() {
    for document in DOCUMENTS {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
        let directory = directory.parent().unwrap();
        for link in text(document).split("](").skip(1) {
            let target = link.split(')').next().unwrap();
            if !target.contains("://") && !target.starts_with('#') {
                assert!(directory.join(target).exists(), "{document}: {target} does not exist");
            }
        }
    }
}

/// Every decision is in the index.
#[test]
fn decisions_are_listed() {
    let index = text("docs/decisions/README.md");
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/decisions")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "README.md" || index.contains(&name), "{name} is not in docs/decisions/README.md");
    }
}
