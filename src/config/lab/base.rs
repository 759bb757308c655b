//! What several labs share: files that `lab.base` names, laid under the lab file.
//!
//! Tables are merged. In a list of tables, one with the `name` of one that is there already is merged with it; all
//! others are appended. Everything else takes the place of what was there.

use crate::config::document::{ConfigError, Fault, FileText, Source};
use crate::config::{finish, read};
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Files that a lab may be based on.
const MAX_BASES: usize = 16;

/// A lab file and the files that it is based on.
pub(super) struct Files {
    /// Name, where it begins, and padded text of each; the lab file is the first.
    files: Vec<(String, usize, String)>,
}

impl Files {
    /// Reads the files that `text` names. One that cannot be read is a mistake of the lab file.
    pub(super) fn read(file: &str, text: &str, directory: &Path) -> Result<Self, ConfigError> {
        let mut files = vec![(file.to_owned(), 0, text.to_owned())];
        let source = Source::new(file, text);
        let names = DeTable::parse(text).ok().map(|table| named(table.get_ref())).unwrap_or_default();
        let mut start = text.len() + 1;
        for (index, name) in names.iter().enumerate() {
            let key = format!("lab.base[{index}]");
            if index >= MAX_BASES {
                let what = format!("{} files are too many", names.len());
                source.report(name.span(), key, Fault::new(what, format!("give at most {MAX_BASES}")));
                break;
            }
            let path = directory.join(name.get_ref());
            match read(&path) {
                Ok(text) => {
                    let padded = "\n".repeat(start) + &text;
                    let end = padded.len() + 1;
                    files.push((path.display().to_string(), start, padded));
                    start = end;
                }
                Err(error) => {
                    for problem in error.0 {
                        let what = format!("\"{}\": {}", name.get_ref(), problem.what);
                        source.report(name.span(), key.clone(), Fault::new(what, problem.remedy));
                    }
                }
            }
        }
        let files = source.is_clean().then_some(Files { files });
        finish(source, files)
    }

    /// All files as one source.
    pub(super) fn source(&self) -> Source<'_> {
        let mut files =
            self.files.iter().map(|(name, start, padded)| FileText { name: name.as_str(), start: *start, padded });
        let first = files.next().unwrap_or(FileText { name: "", start: 0, padded: "" });
        Source::of_files(first, files.collect())
    }
}

/// The names under `lab.base`; what is no list of texts is judged with the rest of the table.
fn named(table: &DeTable<'_>) -> Vec<Spanned<String>> {
    let general = table.get("lab").and_then(|lab| lab.get_ref().as_table());
    let base = general.and_then(|general| general.get("base")).and_then(|base| base.get_ref().as_array());
    let names = base.into_iter().flatten();
    names.filter_map(|name| Some(Spanned::new(name.span(), name.get_ref().as_str()?.to_owned()))).collect()
}

/// The table of the lab file, laid over those that it is based on, each laid over those before it.
pub(super) fn table<'a>(source: &Source<'a>) -> Option<DeTable<'a>> {
    let mut tables = source.parse_all()?.into_iter().map(Spanned::into_inner);
    let top = tables.next()?;
    let mut all = DeTable::default();
    for below in tables {
        if let Some((key, _)) = below.iter().find(|(key, _)| *key.get_ref() == "lab") {
            let remedy = "name files that hold parts of a lab, without [lab]";
            source.report(key.span(), "lab", Fault::new("another lab is based on this file", remedy));
            return None;
        }
        lay_over(&mut all, below);
    }
    lay_over(&mut all, top);
    Some(all)
}

fn lay_over<'a>(below: &mut DeTable<'a>, above: DeTable<'a>) {
    for (key, value) in above {
        match below.get_mut(&**key.get_ref()) {
            Some(present) => lay_value_over(present, value),
            None => {
                below.insert(key, value);
            }
        }
    }
}

fn lay_value_over<'a>(below: &mut Spanned<DeValue<'a>>, above: Spanned<DeValue<'a>>) {
    let span = above.span();
    match (below.get_mut(), above.into_inner()) {
        (DeValue::Table(below), DeValue::Table(above)) => lay_over(below, above),
        (DeValue::Array(below), DeValue::Array(above)) if above.iter().all(|value| value.get_ref().is_table()) => {
            let present = below.len();
            for value in above {
                let name = name_of(&value).map(str::to_owned);
                let same = below.iter_mut().take(present).find(|one| name.is_some() && name_of(one) == name.as_deref());
                match same {
                    Some(same) => lay_value_over(same, value),
                    None => below.push(value),
                }
            }
        }
        (_, above) => *below = Spanned::new(span, above),
    }
}

/// The same lab, with `mode` as the mode of every terminal in it.
pub(super) fn in_mode<'a>(table: &DeTable<'a>, mode: &Spanned<String>) -> DeTable<'a> {
    let key = |name: &'static str| Spanned::new(mode.span(), name.into());
    let mut table = table.clone();
    let nodes = table.get_mut("node").map(Spanned::get_mut);
    let Some(DeValue::Array(nodes)) = nodes else { return table };
    for node in nodes.iter_mut() {
        let DeValue::Table(node) = node.get_mut() else { continue };
        let Some(DeValue::Table(config)) = node.get_mut("config").map(Spanned::get_mut) else { continue };
        let terminal = config.get_mut("mobile_terminal").map(Spanned::get_mut);
        if let Some(DeValue::Table(terminal)) = terminal {
            let word = DeValue::String(mode.get_ref().clone().into());
            terminal.insert(key("mode"), Spanned::new(mode.span(), word));
        }
    }
    table
}

fn name_of<'t>(value: &'t Spanned<DeValue<'_>>) -> Option<&'t str> {
    value.get_ref().as_table()?.get("name")?.get_ref().as_str()
}
