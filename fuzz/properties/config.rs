//! What holds of the readers of node and lab files whatever they are given: no panic, and every complaint names the
//! file, a line of it, what is wrong and what would be right.

use drover::config::document::ConfigError;
use drover::config::lab;
use std::path::Path;

const FILE: &str = "hostile.toml";

/// A node or lab file.
pub(crate) fn file(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    lab::is_lab(&text);
    // Files that it names are looked for where there are none.
    let nowhere = Path::new("/nonexistent");
    check(drover::config::parse(FILE, &text, nowhere).err(), &text);
    check(lab::parse_lab(FILE, &text, nowhere).err(), &text);
}

fn check(error: Option<ConfigError>, text: &str) {
    let Some(error) = error else { return };
    assert!(!error.0.is_empty());
    let lines = text.split('\n').count();
    for problem in &error.0 {
        assert_eq!(problem.file, FILE);
        assert!((1..=lines).contains(&problem.line), "{problem}");
        assert!(!problem.what.is_empty() && !problem.remedy.is_empty(), "{problem}");
        // One line each, and nothing that a terminal would obey.
        assert!(!problem.to_string().contains(|c: char| c.is_control()), "{:?}", problem.to_string());
    }
}
