//! Configuration: TOML text in, types that cannot be invalid out.
//!
//! ```text
//!   text ─ document ─► tables ─ serde ─► raw ─ resolve ─► resolved ─ machines ─► the machines' Config structs
//! ```
//! All that is wrong with a file is said in one pass, a line each ([`document::Problem`]).

pub mod document;
mod effective;
pub mod lab;
mod published;
pub mod raw;
mod resolve;
pub mod resolved;

pub use effective::{Effective, effective};
use published::PublishedKeys;
pub(crate) use resolve::section::is_name;

use document::{ConfigError, Fault, Problem, Source, Tables};
use resolve::section::Section;
use resolve::{Context, Place};
use resolved::NodeConfig;
use std::path::Path;

/// Octets of a configuration file at the most.
const MAX_FILE_LEN: u64 = 16 << 20;

/// Reads the node file at `path`. Nothing but the file and the key files that it names is touched.
pub fn load(path: &Path) -> Result<NodeConfig, ConfigError> {
    let (file, text) = node_text(path)?;
    parse(&file, &text, directory_of(path))
}

/// The keys of the node file at `path` that everybody has, since they stand in the files that are shipped as examples; none
/// where the file cannot be read, or is wrong in another way.
pub fn published_keys(path: &Path) -> Vec<Problem> {
    let Ok((file, text)) = node_text(path) else { return Vec::new() };
    let reporting = Source::new(&file, &text).with_published_keys(PublishedKeys::Reported);
    match parse_source(reporting, directory_of(path)) {
        Err(ConfigError(problems)) if load(path).is_ok() => problems,
        _ => Vec::new(),
    }
}

/// What messages call the node file at `path`, and its text.
fn node_text(path: &Path) -> Result<(String, String), ConfigError> {
    let file = path.display().to_string();
    let text = read(path)?;
    if lab::is_lab(&text) {
        return Err(other_kind(&file, "this is a lab file", "run it with `drover lab`, or name a node file"));
    }
    Ok((file, text))
}

/// Where relative paths in the file at `path` start.
fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// The one line for a file of the other kind, in place of one for every table in it.
fn other_kind(file: &str, what: &str, remedy: &str) -> ConfigError {
    let problem = Problem {
        file: file.to_owned(),
        line: 1,
        key: "lab".to_owned(),
        what: what.to_owned(),
        remedy: remedy.to_owned(),
    };
    ConfigError(vec![problem])
}

/// Reads the node file `text`, which messages call `file`; relative paths in it start at `directory`.
pub fn parse(file: &str, text: &str, directory: &Path) -> Result<NodeConfig, ConfigError> {
    parse_source(Source::new(file, text), directory).map(|(config, _)| config)
}

/// The same with the values of keys that the text does not give, by their paths.
fn parse_source(source: Source<'_>, directory: &Path) -> Result<(NodeConfig, Vec<(String, toml::Value)>), ConfigError> {
    let config = source.parse().and_then(|table| {
        let raw = resolve::raw_node_file(Tables::new(&source, "", table.into_inner()));
        let root = Section::new(&source, "", 0..0);
        if !source.is_clean() {
            return None;
        }
        resolve::node(&root, &raw, Context { directory, place: Place::NodeFile })
    });
    let defaults = source.take_defaults();
    finish(source, config).map(|config| (config, defaults))
}

/// A file of either kind.
#[derive(Clone, PartialEq, Debug)]
pub enum AnyFile {
    /// A node file.
    Node(Box<NodeConfig>),
    /// A lab file: one with a table `[lab]`.
    Lab(Box<lab::Lab>),
}

/// Reads the node file or lab file at `path`.
pub fn load_any(path: &Path) -> Result<AnyFile, ConfigError> {
    let file = path.display().to_string();
    let text = read(path)?;
    let directory = directory_of(path);
    if lab::is_lab(&text) {
        lab::parse_lab(&file, &text, directory).map(|lab| AnyFile::Lab(Box::new(lab)))
    } else {
        parse(&file, &text, directory).map(|node| AnyFile::Node(Box::new(node)))
    }
}

/// The configuration, or all that is wrong with it.
fn finish<T>(source: Source<'_>, config: Option<T>) -> Result<T, ConfigError> {
    match (source.into_error(), config) {
        (Some(error), _) => Err(error),
        (None, Some(config)) => Ok(config),
        (None, None) => unreachable!("a reader that returns nothing has noted why"),
    }
}

/// The text of the file at `path`.
fn read(path: &Path) -> Result<String, ConfigError> {
    let file = path.display().to_string();
    let fail = |what: String, remedy: &str| {
        let source = Source::new(&file, "");
        source.report(0..0, "", Fault::new(what, remedy));
        Err(source.into_error().unwrap_or(ConfigError(Vec::new())))
    };
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => return fail("this is not a file".into(), "name a TOML file"),
        Ok(metadata) if metadata.len() > MAX_FILE_LEN => {
            return fail(format!("{} octets are too many", metadata.len()), "give at most 16 MiB");
        }
        Ok(_) => {}
        Err(error) => return fail(format!("the file cannot be read: {error}"), "name an existing TOML file"),
    }
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            fail(format!("the file cannot be read: {error}"), "name a TOML file in UTF-8")
        }
        Err(error) => fail(format!("the file cannot be read: {error}"), "make it readable for this process"),
    }
}
