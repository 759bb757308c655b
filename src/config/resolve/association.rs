//! Shared keys: inline or from a file that nobody else can read.

use super::super::document::Fault;
use super::super::raw::Field;
use super::super::resolved::{AuthAlgorithm, ReplayProtection, SecurityAssociationConfig};
use super::section::{Section, in_range, span_of, word};
use core::ops::RangeInclusive;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The fields of a shared key, wherever they stand.
pub(super) struct AssociationFields<'f> {
    pub(super) spi: &'f Field<i64>,
    pub(super) algorithm: &'f Field<String>,
    pub(super) key: &'f Field<String>,
    pub(super) key_file: &'f Field<String>,
    pub(super) replay: &'f Field<String>,
}

/// SPIs up to 255 are reserved (RFC 4285 §5).
const MIN_SPI: i64 = 256;
/// Octets of a key.
const MIN_KEY: usize = 16;
const MAX_KEY: usize = 64;
/// Octets of a key file.
const MAX_KEY_FILE: u64 = 1024;

pub(super) fn association(
    section: &Section<'_, '_>,
    fields: &AssociationFields<'_>,
    directory: &Path,
) -> Option<SecurityAssociationConfig> {
    let spi = section.required("spi", fields.spi, "give the number that both ends use as spi = 256", |&spi| {
        in_range::<u32>(spi, MIN_SPI..=i64::from(u32::MAX))
    });
    let algorithm = section.or("algorithm", fields.algorithm, AuthAlgorithm::default(), |text| {
        word(text, &[("hmac-sha1", AuthAlgorithm::HmacSha1), ("hmac-sha256", AuthAlgorithm::HmacSha256)])
    });
    let replay = section.or("replay", fields.replay, ReplayProtection::default(), |text| {
        word(text, &[("sequence", ReplayProtection::Sequence), ("timestamp", ReplayProtection::Timestamp)])
    });
    let key = match (fields.key, fields.key_file) {
        (Some(_), Some(file)) => {
            let what = "the key is given twice, inline and as a file";
            section.fault("key_file", file.span(), Fault::new(what, "give key or key_file"))
        }
        (None, None) => section.missing("key", "give the shared key in hexadecimal, or its file as key_file"),
        (Some(_), None) => section.required("key", fields.key, "", |text| hexadecimal("key", text, MIN_KEY..=MAX_KEY)),
        (None, Some(file)) => match key_from_file(&directory.join(file.get_ref()), MIN_KEY..=MAX_KEY) {
            Ok(key) => Some(key),
            Err(fault) => section.fault("key_file", span_of(section, fields.key_file), fault),
        },
    };
    Some(SecurityAssociationConfig { spi: spi?, algorithm: algorithm?, key: key?, replay: replay? })
}

/// Octets in hexadecimal, so many of them; `what` they are.
pub(super) fn hexadecimal(what: &str, text: &str, length: RangeInclusive<usize>) -> Result<Vec<u8>, Fault> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let remedy = || format!("give {} to {} octets, two hexadecimal digits each", length.start(), length.end());
    let Some(digits) = digits.filter(|digits| digits.len() % 2 == 0) else {
        return Err(Fault::new(format!("the {what} is not pairs of hexadecimal digits"), remedy()));
    };
    let octets: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    if length.contains(&octets.len()) {
        Ok(octets)
    } else {
        Err(Fault::new(format!("the {what} has {} octets", octets.len()), remedy()))
    }
}

/// The key in a file that nobody else can read.
pub(super) fn key_from_file(path: &Path, length: RangeInclusive<usize>) -> Result<Vec<u8>, Fault> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        Fault::new(format!("{shown} cannot be read: {error}"), "name a file that holds the key in hexadecimal")
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Fault::new(format!("{shown} is not a file"), "name a file that holds the key in hexadecimal"));
    }
    if metadata.mode() & 0o077 != 0 {
        let what = format!("{shown} has mode {:04o}: others can read the key", metadata.mode() & 0o7777);
        return Err(Fault::new(what, format!("run chmod 600 {shown}")));
    }
    let mut text = String::new();
    file.take(MAX_KEY_FILE).read_to_string(&mut text).map_err(unreadable)?;
    hexadecimal("key", text.trim(), length)
        .map_err(|fault| Fault::new(format!("{shown}: {}", fault.what), fault.remedy))
}
