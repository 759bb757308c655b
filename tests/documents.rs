//! What the documents refer to exists: files, and tests by name.

use drover::metrics::Exposition;
use drover::node::{Snapshot, descriptions};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::time::UNIX_EPOCH;

const DOCUMENTS: [&str; 10] = [
    "README.md",
    "docs/patent.md",
    "docs/rfc-compliance.md",
    "docs/regressions.md",
    "docs/configuration.md",
    "docs/counters.md",
    "docs/monitoring.md",
    "docs/interoperability.md",
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

/// Where the tables of docs/counters.md begin.
const TABLES: &str = "## dataplane\n";

/// The tables, from the code.
fn counters() -> String {
    let mut text = String::new();
    for (part, counters) in descriptions() {
        let _ = write!(text, "## {part}\n\n| counter | counts |\n|---|---|\n");
        for (name, about) in counters {
            let about = about.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
            let _ = writeln!(text, "| `{name}` | {about} |");
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len() + 1);
    text
}

/// Every counter is in docs/counters.md with what the code says of it; DROVER_WRITE_DOCUMENTS=1 writes it there.
#[test]
fn counters_are_listed() {
    let document = text("docs/counters.md");
    let (prose, tables) =
        document.split_at(document.find(TABLES).expect("the tables begin with those of the data plane"));
    if std::env::var_os("DROVER_WRITE_DOCUMENTS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/counters.md");
        return std::fs::write(path, format!("{prose}{}", counters())).expect("it is written");
    }
    assert!(tables == counters(), "docs/counters.md: run DROVER_WRITE_DOCUMENTS=1 cargo test --test documents");
}

/// Names of metrics, of counters and of tables in what comes with monitoring are those of the code.
#[test]
fn monitoring_knows_the_metrics() {
    let nothing = Snapshot {
        name: String::new(),
        roles: Vec::new(),
        machines: Vec::new(),
        tables: Vec::new(),
        ports: Vec::new(),
        workers: Vec::new(),
    };
    let exposed = Exposition::new(nothing, UNIX_EPOCH).text();
    let families: BTreeSet<String> = exposed
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|about| match about.split_once(' ') {
            Some((name, "counter")) => format!("{name}_total"),
            _ => about.split(' ').next().unwrap_or_default().to_owned(),
        })
        .collect();
    let counters: BTreeSet<&str> =
        descriptions().into_iter().flat_map(|(_, counters)| counters).map(|(name, _)| name).collect();
    for document in ["configs/monitoring/alerts.yml", "configs/monitoring/dashboard.json", "docs/monitoring.md"] {
        let text = text(document).replace('\\', "");
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut named = 0;
        for (at, _) in text.match_indices("drover_") {
            let name: String = text[at..].chars().take_while(|&c| is_of_name(c)).collect();
            assert!(families.contains(&name), "{document}: {name} is no metric; they are {families:?}");
            named += 1;
        }
        assert!(named >= 5, "{document}: {named} metrics");
        for operator in ["counter=\"", "counter=~\""] {
            for names in text.split(operator).skip(1) {
                let names = names.split('"').next().unwrap_or_default();
                for name in names.split('|').filter(|name| !name.contains(".*") && !name.contains('$')) {
                    assert!(counters.contains(name), "{document}: {name} is no counter");
                }
            }
        }
    }
}
