//! Signal strength from a file, for machines whose radio we cannot ask: a decimal number in dBm, or `none`.

use stack::machine::PortId;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Octets of the file that are read.
const MAX_LEN: u64 = 64;

/// The file of one port.
#[derive(Debug)]
pub(super) struct SignalFile {
    pub(super) port: PortId,
    path: PathBuf,
    /// Device, inode, size and time of change when it was last read; `None` where it was not there.
    seen: Option<(u64, u64, u64, i64, i64)>,
    told: Option<Option<i16>>,
}

impl SignalFile {
    pub(super) fn new(port: PortId, path: PathBuf) -> Self {
        SignalFile { port, path, seen: None, told: None }
    }

    /// Looks at the file. Returns what to tell where the strength is another than before; a file that is not there means
    /// no signal, one that makes no sense says nothing.
    pub(super) fn poll(&mut self) -> Option<Option<i16>> {
        // Whoever opens a FIFO waits for its writer, and nobody would answer clients or hear SIGTERM meanwhile.
        let is_file = fs::metadata(&self.path).is_ok_and(|metadata| metadata.is_file());
        let strength = match is_file.then(|| File::open(&self.path)).and_then(Result::ok) {
            Some(file) => {
                let metadata = file.metadata().ok()?;
                let stamp = (metadata.dev(), metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec());
                if self.seen == Some(stamp) {
                    return None;
                }
                let mut text = String::new();
                file.take(MAX_LEN).read_to_string(&mut text).ok()?;
                // An empty file is one that is being written.
                let strength = parse(text.trim())?;
                self.seen = Some(stamp);
                strength
            }
            None => {
                self.seen = None;
                None
            }
        };
        if self.told == Some(strength) {
            return None;
        }
        self.told = Some(strength);
        Some(strength)
    }
}

fn parse(text: &str) -> Option<Option<i16>> {
    if text == "none" {
        return Some(None);
    }
    let dbm: f32 = text.parse().ok()?;
    (-150.0..=0.0).contains(&dbm).then_some(Some(dbm.round() as i16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_and_the_word_none() {
        assert_eq!(parse("-70"), Some(Some(-70)));
        assert_eq!(parse("-70.6"), Some(Some(-71)));
        assert_eq!(parse("none"), Some(None));
        for text in ["", "x", "5", "-151", "NaN", "-inf"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn tells_each_change_once() {
        let path = std::env::temp_dir().join(format!("drover-signal-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let mut file = SignalFile::new(PortId(3), path.clone());
        assert_eq!(file.poll(), Some(None), "no file, no signal");
        assert_eq!(file.poll(), None);
        std::fs::write(&path, "-60\n").unwrap();
        assert_eq!(file.poll(), Some(Some(-60)));
        assert_eq!(file.poll(), None);
        std::fs::write(&path, "").unwrap();
        assert_eq!(file.poll(), None, "being written");
        std::fs::write(&path, "-61.2").unwrap();
        assert_eq!(file.poll(), Some(Some(-61)));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(file.poll(), Some(None));
    }

    #[test]
    fn does_not_wait_for_the_writer_of_a_fifo() {
        let path = std::env::temp_dir().join(format!("drover-signal-fifo-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let mut file = SignalFile::new(PortId(3), path.clone());
        assert_eq!(file.poll(), Some(None), "as if it were not there");
        std::fs::remove_file(&path).unwrap();
    }
}
