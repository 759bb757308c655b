//! One state file: read whole, appended to, written anew when most of it is out of date.

use super::Role;
use super::keeper::StateError;
use super::record::{Image, Record, read_line, write_line, write_record};
use crate::config;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The form that this version writes and knows.
const VERSION: u32 = 1;
/// Lines that are out of date and do not matter.
const SLACK_LINES: usize = 1024;
/// Octets of a file at the most: four million home addresses.
const MAX_FILE_LEN: u64 = 1 << 30;

#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    header: String,
    image: Image,
    /// Lines after the header.
    lines: usize,
    /// `None` after something went wrong: the file is written anew the next time.
    open: Option<File>,
}

impl StateFile {
    /// Reads the file of a role, where there is one, and writes it anew.
    pub(super) fn open(directory: &Path, role: Role, node: &str) -> Result<Self, StateError> {
        let path = directory.join(format!("{}.state", role.name()));
        let header = format!("drover-state {VERSION} {} {node}", role.name());
        let image = match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Image::default(),
            Ok(metadata) if metadata.len() > MAX_FILE_LEN => return Err(StateError::Form(path)),
            _ => read(&path, &header, node)?,
        };
        let mut file = StateFile { path, header, image, lines: 0, open: None };
        file.rewrite().map_err(|source| StateError::Io { path: file.path.clone(), source })?;
        Ok(file)
    }

    pub(super) fn image(&self) -> &Image {
        &self.image
    }

    /// Takes records in and has them on the disk when it returns.
    pub(super) fn append(&mut self, records: impl IntoIterator<Item = Record>) -> io::Result<()> {
        let mut text = String::new();
        for record in records {
            write_record(&mut text, &record);
            self.image.apply(record);
            self.lines += 1;
        }
        let live = self.image.floors.len() + self.image.sequences.len() + self.image.key_sequences.len() + 3;
        if self.open.is_none() || self.lines > 2 * live + SLACK_LINES {
            return self.rewrite();
        }
        if text.is_empty() {
            return Ok(());
        }
        let Some(file) = &mut self.open else { return Ok(()) };
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_data());
        if written.is_err() {
            self.open = None;
        }
        written
    }

    /// Writes the whole file beside, and puts it in the place of the old one once it is on the disk.
    fn rewrite(&mut self) -> io::Result<()> {
        self.open = None;
        let mut text = String::new();
        write_line(&mut text, &self.header);
        let mut lines = 0;
        for record in self.image.records() {
            write_record(&mut text, &record);
            lines += 1;
        }
        let beside = self.path.with_extension("state.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        if let Some(directory) = self.path.parent() {
            File::open(directory)?.sync_all()?;
        }
        (self.lines, self.open) = (lines, Some(file));
        Ok(())
    }
}

fn read(path: &Path, header: &str, node: &str) -> Result<Image, StateError> {
    let octets = fs::read(path).map_err(|source| StateError::Io { path: path.to_owned(), source })?;
    let mut lines = octets.split_inclusive(|&octet| octet == b'\n').enumerate();
    let words = |line: &[u8]| -> Option<String> {
        let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
        read_line(line).map(str::to_owned)
    };
    match lines.next().and_then(|(_, line)| words(line)) {
        Some(first) if first == header => {}
        Some(first) => {
            // Only what a node has written is shown: its name has letters that any screen takes.
            let other = header.strip_suffix(node).and_then(|form| first.strip_prefix(form));
            let is_another_node = other.is_some_and(config::is_name);
            let path = path.to_owned();
            return Err(if is_another_node {
                StateError::Foreign { path, header: first }
            } else {
                StateError::Form(path)
            });
        }
        None => return Err(StateError::Form(path.to_owned())),
    }
    let mut image = Image::default();
    for (index, line) in lines {
        match words(line).as_deref().and_then(Record::parse) {
            Some(record) => image.apply(record),
            // Written when the power went away.
            None if !line.ends_with(b"\n") => break,
            None => return Err(StateError::Damaged { path: path.to_owned(), line: index + 1 }),
        }
    }
    Ok(image)
}
