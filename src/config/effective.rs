//! What holds of a node file: what it gives, and the defaults of what it does not. For people (`drover config show`), as a file
//! that means the same, and as JSON.
//!
//! The defaults are those that the readers of [`super::resolve`] have used, so that nothing is said here that does not hold. What
//! is left out: keys without a default, tables that the file does not have, and secrets, of which only the place is shown.

use super::document::{ConfigError, Source};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use toml::{Table, Value};

/// Keys whose values are secrets.
const SECRETS: [&str; 1] = ["key"];
/// What stands in place of a secret.
const HIDDEN: &str = "(hidden)";

/// A node file with its defaults.
#[derive(Clone, PartialEq, Debug)]
pub struct Effective {
    table: Table,
    /// Paths of what the file does not give.
    defaults: BTreeSet<String>,
}

/// Reads the node file at `path`.
///
/// # Errors
/// All that is wrong with it.
pub fn effective(path: &Path) -> Result<Effective, ConfigError> {
    let (file, text) = super::node_text(path)?;
    let (_, defaults) = super::parse_source(Source::new(&file, &text), super::directory_of(path))?;
    Ok(Effective::new(&text, defaults))
}

impl Effective {
    /// `text` is a good node file, of which these defaults were noted.
    fn new(text: &str, defaults: Vec<(String, Value)>) -> Self {
        let mut table: Table = text.parse().unwrap_or_default();
        hide(&mut table);
        let mut given = BTreeSet::new();
        for (path, value) in defaults {
            // A reader may ask twice for what is not there.
            if insert(&mut table, &path, value) {
                given.insert(path);
            }
        }
        Effective { table, defaults: given }
    }

    /// As JSON; defaults look like what the file gives.
    ///
    /// # Errors
    /// A number that JSON does not have.
    pub fn to_json(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::to_value(&self.table)
    }

    /// As TOML, a comment behind each default.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, &self.table, "", "");
        text
    }

    /// Writes a table: `name` is that of its headers, `path` that of its keys.
    fn write(&self, text: &mut String, table: &Table, name: &str, path: &str) {
        let child = |of: &str, key: &str| if of.is_empty() { key.to_owned() } else { format!("{of}.{key}") };
        // Values first: behind the header of another table they would be its.
        for (key, value) in table.iter().filter(|(_, value)| !is_of_tables(value)) {
            let line = format!("{key} = {value}");
            let mark = if self.defaults.contains(&child(path, key)) { "# default" } else { "" };
            let _ = writeln!(text, "{}", format!("{line:<48}{mark}").trim_end());
        }
        for (key, value) in table.iter().filter(|(_, value)| is_of_tables(value)) {
            let (name, path) = (child(name, key), child(path, key));
            let tables: Vec<(String, Option<&Table>)> = match value {
                Value::Array(array) => {
                    let each = array.iter().enumerate();
                    each.map(|(index, value)| (format!("{path}[{index}]"), value.as_table())).collect()
                }
                value => vec![(path, value.as_table())],
            };
            let (open, close) = if value.is_array() { ("[[", "]]") } else { ("[", "]") };
            for (path, table) in tables.into_iter().filter_map(|(path, table)| Some((path, table?))) {
                let gap = if text.is_empty() { "" } else { "\n" };
                let _ = writeln!(text, "{gap}{open}{name}{close}");
                self.write(text, table, &name, &path);
            }
        }
    }
}

/// Whether a value is a table, or a list of tables.
fn is_of_tables(value: &Value) -> bool {
    match value {
        Value::Table(_) => true,
        Value::Array(array) => !array.is_empty() && array.iter().all(Value::is_table),
        _ => false,
    }
}

fn hide(table: &mut Table) {
    for (key, value) in table.iter_mut() {
        match value {
            Value::Table(table) => hide(table),
            Value::Array(array) => array.iter_mut().filter_map(Value::as_table_mut).for_each(hide),
            value if SECRETS.contains(&key.as_str()) => *value = HIDDEN.into(),
            _ => {}
        }
    }
}

/// Puts a value where nothing stands; whether it did. Tables and elements of lists on the way are made.
fn insert(table: &mut Table, path: &str, value: Value) -> bool {
    let (first, rest) = match path.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    let Some(rest) = rest else {
        if table.contains_key(first) {
            return false;
        }
        table.insert(first.to_owned(), value);
        return true;
    };
    let inner = match first.strip_suffix(']').and_then(|first| first.split_once('[')) {
        None => table.entry(first).or_insert_with(|| Table::new().into()).as_table_mut(),
        Some((key, index)) => {
            let array = table.entry(key).or_insert_with(|| Vec::<Value>::new().into()).as_array_mut();
            array.zip(index.parse::<usize>().ok()).and_then(|(array, index)| {
                if index == array.len() {
                    array.push(Table::new().into());
                }
                array.get_mut(index)?.as_table_mut()
            })
        }
    };
    inner.is_some_and(|inner| insert(inner, rest, value))
}
