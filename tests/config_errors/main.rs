//! Each mistake gives one line that names the file, the line, the key and the remedy. The files that are shipped are
//! changed in one place each, and the line is compared to the letter.

mod agents;
mod correspondents;
mod files;
mod labs;
mod meshes;
mod ports;
mod routing;
mod terminals;

use drover::config::lab::parse_lab;
use drover::config::parse;
use std::path::Path;

fn shipped(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name)).unwrap()
}

/// The complaints about `file` with its only `from` replaced by `to`.
fn complaints(file: &str, from: &str, to: &str) -> String {
    let text = shipped(file);
    assert!(text.contains(from), "{file} has no {from:?}");
    let text = text.replacen(from, to, 1);
    let result = if file.starts_with("lab/") {
        parse_lab(file, &text, Path::new("")).map(|_| ())
    } else {
        parse(file, &text, Path::new("")).map(|_| ())
    };
    result.map_or_else(|error| error.to_string(), |()| "accepted".to_owned())
}

/// Checks mutations of one file: what is replaced, by what, how many lines from there the complaint points, and it
/// itself.
fn check(file: &str, mutations: &[(&str, &str, isize, &str)]) {
    let text = shipped(file);
    let mut wrong = Vec::new();
    for (from, to, distance, complaint) in mutations {
        let before = text.find(from).map_or("", |at| &text[..at]);
        let line = (1 + before.matches('\n').count()).strict_add_signed(*distance);
        let (expected, said) = (format!("{file}:{line}: {complaint}"), complaints(file, from, to));
        if said != expected {
            wrong.push(format!("{from:?} replaced by {to:?}\n  expected {expected}\n      said {said}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
