//! A TOML document taken apart table by table, and what is wrong with it as lines for people.
//!
//! Each line names the file, the line in it, the path of the key (`port[1].mtu`), what is wrong and what would be right.
//! Tables are deserialised one by one, so that a mistake in one does not hide those in another.

use super::published::PublishedKeys;
use core::fmt::{self, Write as _};
use core::ops::Range;
use serde::Deserialize;
use std::cell::RefCell;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// One thing that is wrong with a file: `FILE:LINE: KEY: what is wrong; what would be right`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The file, as the caller named it.
    pub file: String,
    /// Line in the file, from 1.
    pub line: usize,
    /// Path of the key; empty where the file as a whole is meant.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = OneLine(f);
        write!(line, "{}:{}: ", self.file, self.line)?;
        if !self.key.is_empty() {
            write!(line, "{}: ", self.key)?;
        }
        write!(line, "{}; {}", self.what, self.remedy)
    }
}

/// Escapes control characters: what is quoted from a file neither breaks the line nor commands the terminal.
struct OneLine<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| {
            if c.is_control() { write!(self.0, "{}", c.escape_default()) } else { self.0.write_char(c) }
        })
    }
}

/// All that is wrong with a file, in the order of its lines. Never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError(pub Vec<Problem>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// What is wrong with a value and what would be right, before it is known where the value stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub remedy: String,
}

impl Fault {
    /// A fault.
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Fault { what: what.into(), remedy: remedy.into() }
    }
}

/// A file of a [`Source`].
#[derive(Clone, Copy, Debug)]
pub struct FileText<'a> {
    /// What messages call it.
    pub name: &'a str,
    /// Where it begins among the files of the source, in octets.
    pub start: usize,
    /// As many line ends as there are octets before `start`, then what stands in the file: spans in one file are never
    /// spans in another.
    pub padded: &'a str,
}

/// The text of a file, or of several that are read as one, and the problems found so far.
#[derive(Debug)]
pub struct Source<'a> {
    /// In the order of where they begin; never empty.
    files: Vec<FileText<'a>>,
    /// Each with the index of its file.
    problems: RefCell<Vec<(usize, Problem)>>,
    /// Keys that the text does not give, by their paths, with the values that hold instead.
    defaults: RefCell<Vec<(String, toml::Value)>>,
    published_keys: PublishedKeys,
}

impl<'a> Source<'a> {
    /// `text` of the file that messages call `file`.
    pub fn new(file: &'a str, text: &'a str) -> Self {
        Source::of_files(FileText { name: file, start: 0, padded: text }, Vec::new())
    }

    /// A file and others that are read together with it, in the order of where they begin.
    pub fn of_files(first: FileText<'a>, others: Vec<FileText<'a>>) -> Self {
        Source {
            files: [vec![first], others].concat(),
            problems: RefCell::default(),
            defaults: RefCell::default(),
            published_keys: PublishedKeys::Taken,
        }
    }

    /// The same, where this becomes of keys that everybody has.
    pub fn with_published_keys(self, published_keys: PublishedKeys) -> Self {
        Source { published_keys, ..self }
    }

    /// What becomes of keys that everybody has.
    pub fn published_keys(&self) -> PublishedKeys {
        self.published_keys
    }

    /// Notes a problem at `span`, octets in the text.
    pub fn report(&self, span: Range<usize>, key: impl Into<String>, fault: Fault) {
        let index = self.files.partition_point(|file| file.start <= span.start).saturating_sub(1);
        let file = self.files[index];
        let upto = file.padded.len().min(span.start);
        let line = 1 + file.padded.as_bytes()[file.start..upto].iter().filter(|&&octet| octet == b'\n').count();
        let Fault { what, remedy } = fault;
        let key = key.into();
        self.problems.borrow_mut().push((index, Problem { file: file.name.to_owned(), line, key, what, remedy }));
    }

    /// Notes what holds of a key that the text does not give.
    pub fn note_default(&self, path: String, value: toml::Value) {
        self.defaults.borrow_mut().push((path, value));
    }

    /// The defaults noted so far, in the order in which they were.
    pub fn take_defaults(&self) -> Vec<(String, toml::Value)> {
        self.defaults.take()
    }

    /// Whether nothing is wrong so far.
    pub fn is_clean(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// All problems, in the order of files and lines; `None` where there is none.
    pub fn into_error(self) -> Option<ConfigError> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|(file, problem)| (*file, problem.line));
        let mut problems: Vec<Problem> = problems.into_iter().map(|(_, problem)| problem).collect();
        problems.dedup();
        (!problems.is_empty()).then_some(ConfigError(problems))
    }

    /// Parses the text of the first file as TOML; syntax errors are noted.
    pub fn parse(&self) -> Option<Spanned<DeTable<'a>>> {
        self.parse_file(self.files[0])
    }

    /// Parses the text of each file; syntax errors are noted.
    pub fn parse_all(&self) -> Option<Vec<Spanned<DeTable<'a>>>> {
        let tables: Vec<_> = self.files.iter().map(|file| self.parse_file(*file)).collect();
        tables.into_iter().collect()
    }

    fn parse_file(&self, file: FileText<'a>) -> Option<Spanned<DeTable<'a>>> {
        match DeTable::parse(file.padded) {
            Ok(table) => Some(table),
            Err(error) => {
                let span = error.span().unwrap_or(file.start..file.start);
                let what = format!("this is not TOML: {}", one_line(error.message()));
                self.report(span, "", Fault::new(what, "write tables as [name] and keys as key = value"));
                None
            }
        }
    }
}

/// A table of a document whose keys are taken out one by one.
#[derive(Debug)]
pub struct Tables<'s, 'a> {
    source: &'s Source<'a>,
    path: String,
    entries: Vec<(Spanned<String>, Option<Spanned<DeValue<'a>>>)>,
    known: Vec<&'static str>,
}

impl<'s, 'a> Tables<'s, 'a> {
    /// The entries of `table`, which stands at `path`.
    pub fn new(source: &'s Source<'a>, path: impl Into<String>, table: DeTable<'a>) -> Self {
        let entries = table
            .into_iter()
            .map(|(key, value)| (Spanned::new(key.span(), key.into_inner().into_owned()), Some(value)))
            .collect();
        Tables { source, path: path.into(), entries, known: Vec::new() }
    }

    /// The value of `key`, which is known from here on.
    pub fn value(&mut self, key: &'static str) -> Option<Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.entries.iter_mut().find(|(name, _)| name.get_ref() == key).and_then(|(_, value)| value.take())
    }

    /// The table or value `key` as a `T`.
    pub fn one<T: for<'de> Deserialize<'de>>(&mut self, key: &'static str) -> Option<Spanned<T>> {
        let value = self.value(key)?;
        self.read(self.child(key), value)
    }

    /// The array of tables `key`.
    pub fn many<T: for<'de> Deserialize<'de>>(&mut self, key: &'static str) -> Vec<Spanned<T>> {
        let elements = self.elements(key);
        elements.into_iter().filter_map(|(path, value)| self.read(path, value)).collect()
    }

    /// The elements of the array `key`, each with its path.
    pub fn elements(&mut self, key: &'static str) -> Vec<(String, Spanned<DeValue<'a>>)> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let path = self.child(key);
        let span = value.span();
        match value.into_inner() {
            DeValue::Array(array) => {
                array.into_iter().enumerate().map(|(index, value)| (format!("{path}[{index}]"), value)).collect()
            }
            _ => {
                let fault = Fault::new("this is one table where several may stand", format!("write [[{path}]]"));
                self.source.report(span, path, fault);
                Vec::new()
            }
        }
    }

    /// Notes every key that was not asked for.
    pub fn refuse_rest(self) {
        for (key, value) in &self.entries {
            if value.is_some() && !self.known.contains(&key.get_ref().as_str()) {
                let path = self.child(key.get_ref());
                let remedy = remedy_for_unknown(key.get_ref(), self.known.iter().copied());
                self.source.report(key.span(), path, Fault::new("unknown key", remedy));
            }
        }
    }

    /// The path of a key of this table.
    pub fn child(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn read<T: for<'de> Deserialize<'de>>(&self, path: String, value: Spanned<DeValue<'a>>) -> Option<Spanned<T>> {
        let copy = value.clone();
        let span = value.span();
        match T::deserialize(ValueDeserializer::from(value)) {
            Ok(read) => Some(Spanned::new(span, read)),
            Err(error) => {
                let span = error.span().unwrap_or(span);
                let path = path_at(&path, &copy, &span).unwrap_or(path);
                self.source.report(span, path, fault_of(error.message()));
                None
            }
        }
    }
}

/// The path of the deepest key or value that holds `span`.
fn path_at(path: &str, value: &Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<String> {
    let holds = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    let deeper = match value.get_ref() {
        DeValue::Table(table) => table.iter().find_map(|(key, value)| {
            let path = format!("{path}.{}", key.get_ref());
            path_at(&path, value, span).or_else(|| holds(key.span()).then_some(path))
        }),
        DeValue::Array(array) => {
            let mut elements = array.iter().enumerate();
            elements.find_map(|(index, value)| path_at(&format!("{path}[{index}]"), value, span))
        }
        _ => None,
    };
    deeper.or_else(|| holds(value.span()).then(|| path.to_owned()))
}

/// A deserialiser's message in our words.
fn fault_of(message: &str) -> Fault {
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let mut words = rest.split('`').step_by(2);
        let unknown = words.next().unwrap_or_default();
        return Fault::new("unknown key", remedy_for_unknown(unknown, words.filter(|word| !word.is_empty())));
    }
    if let Some(rest) = message.strip_prefix("invalid type: ")
        && let Some((found, expected)) = rest.split_once(", expected ")
    {
        return Fault::new(
            format!("this is {}", found_in_words(found)),
            format!("give {}", expected_in_words(expected)),
        );
    }
    if let Some(expected) = message.strip_prefix("expected ") {
        return Fault::new("this is something else", format!("give {expected}"));
    }
    Fault::new(one_line(message), "see docs/configuration.md for this key")
}

fn found_in_words(found: &str) -> String {
    let (kind, rest) = found.split_once(' ').unwrap_or((found, ""));
    let rest = rest.replace('`', "");
    match kind {
        "string" => format!("the text {rest}"),
        "integer" => format!("the number {rest}"),
        "floating" => format!("the number {}", rest.trim_start_matches("point ")),
        "boolean" => rest,
        "map" => "a table".to_owned(),
        "sequence" => "a list".to_owned(),
        _ => one_line(found),
    }
}

fn expected_in_words(expected: &str) -> String {
    match expected {
        "i64" => "a whole number".to_owned(),
        "a string" => "a text in quotation marks".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list in square brackets".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        other => one_line(other),
    }
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What to do about an unknown key: the nearest known one where one is near, all of them otherwise.
fn remedy_for_unknown<'k>(unknown: &str, known: impl Iterator<Item = &'k str> + Clone) -> String {
    // The unit at the end of a key is easily forgotten.
    if let Some(key) = known.clone().find(|key| unknown.len() > 2 && key.starts_with(unknown)) {
        return format!("did you mean `{key}`?");
    }
    match known.clone().map(|key| (distance(unknown, key), key)).min() {
        Some((distance, key)) if distance <= 2.max(unknown.len() / 3) => format!("did you mean `{key}`?"),
        Some(_) => format!("the keys here are {}", known.collect::<Vec<_>>().join(", ")),
        None => "no key is known here".to_owned(),
    }
}

/// How many insertions, deletions and replacements lie between two words.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for column in 0..to.len() {
            let replaced = diagonal + usize::from(letter != to[column]);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("mtu", "mtu"), 0);
        assert_eq!(distance("mut", "mtu"), 2);
        assert_eq!(distance("", "mtu"), 3);
        assert_eq!(distance("adresses", "addresses"), 1);
    }

    #[test]
    fn deserialiser_messages_become_sentences() {
        let fault = fault_of("unknown field `mtuu`, expected one of `name`, `mtu`");
        assert_eq!(fault, Fault::new("unknown key", "did you mean `mtu`?"));
        let fault = fault_of("invalid type: string \"x\", expected i64");
        assert_eq!(fault, Fault::new("this is the text \"x\"", "give a whole number"));
    }
}
