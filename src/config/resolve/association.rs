//! Shared keys, inline or from a file that nobody else can read: those of terminals and their agents (RFC 4285), and
//! those of terminals and correspondents (RFC 4449).

use super::super::document::Fault;
use super::super::published::{PublishedKeys, is_published};
use super::super::raw::Field;
use super::super::resolved::{AuthAlgorithm, PreconfiguredKeyConfig, ReplayProtection, SecurityAssociationConfig};
use super::section::{Section, in_range, span_of};
use core::net::Ipv6Addr;
use core::ops::RangeInclusive;
use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The fields of a key that a terminal and an agent share, wherever they stand.
pub(super) struct AssociationFields<'f> {
    pub(super) spi: &'f Field<i64>,
    pub(super) algorithm: &'f Field<String>,
    pub(super) key: &'f Field<String>,
    pub(super) key_file: &'f Field<String>,
    /// Where the table has that key.
    pub(super) replay: Option<&'f Field<String>>,
}

/// SPIs up to 255 are reserved (RFC 4285 §5).
const MIN_SPI: i64 = 256;
/// Octets of a key of RFC 4285.
const KEY_LEN: RangeInclusive<usize> = 16..=64;
/// Octets of Kcn (RFC 4449 §3), and of a nonce.
const NODE_KEY_LEN: RangeInclusive<usize> = 20..=64;
const NONCE_LEN: RangeInclusive<usize> = 1..=64;
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
    let algorithm = section.choice("algorithm", fields.algorithm, &ALGORITHMS, AuthAlgorithm::default());
    let replay = match fields.replay {
        Some(field) => section.choice("replay", field, &REPLAY, ReplayProtection::default()),
        None => Some(ReplayProtection::default()),
    };
    let key = key(section, fields.key, fields.key_file, KEY_LEN, directory);
    Some(SecurityAssociationConfig { spi: spi?, algorithm: algorithm?, key: key?, replay: replay? })
}

/// What a terminal and a correspondent share, wherever it stands.
pub(super) struct PreconfiguredFields<'f> {
    pub(super) key: &'f Field<String>,
    pub(super) key_file: &'f Field<String>,
    pub(super) home_nonce: &'f Field<String>,
    pub(super) care_of_nonce: &'f Field<String>,
}

const ALGORITHMS: [(&str, AuthAlgorithm); 2] =
    [("hmac-sha1", AuthAlgorithm::HmacSha1), ("hmac-sha256", AuthAlgorithm::HmacSha256)];
const REPLAY: [(&str, ReplayProtection); 2] =
    [("sequence", ReplayProtection::Sequence), ("timestamp", ReplayProtection::Timestamp)];

/// Key and nonces of this home address; the key is none of those that were seen.
pub(super) fn preconfigured_key(
    section: &Section<'_, '_>,
    home_address: Option<Ipv6Addr>,
    fields: &PreconfiguredFields<'_>,
    seen: &mut BTreeSet<Vec<u8>>,
    directory: &Path,
) -> Option<PreconfiguredKeyConfig> {
    let key = key(section, fields.key, fields.key_file, NODE_KEY_LEN, directory);
    let nonce = |name: &str, field| {
        let remedy = format!("give what both ends use, in hexadecimal, as {name} = \"…\"");
        section.required(name, field, &remedy, |text: &String| hexadecimal("nonce", text, NONCE_LEN))
    };
    let home_nonce = nonce("home_nonce", fields.home_nonce);
    let care_of_nonce = nonce("care_of_nonce", fields.care_of_nonce);
    let key = key?;
    // RFC 4449 §4: with one key for two, either could send for the other.
    if !seen.insert(key.clone()) {
        let (name, field) = given(fields.key, fields.key_file);
        let fault = Fault::new("another terminal has this key", "give each terminal a key of its own");
        return section.fault(name, span_of(section, field), fault);
    }
    let home_address = home_address?;
    Some(PreconfiguredKeyConfig { home_address, key, home_nonce: home_nonce?, care_of_nonce: care_of_nonce? })
}

/// The key of a table: `key`, or what is in the file `key_file`.
fn key(
    section: &Section<'_, '_>,
    inline: &Field<String>,
    file: &Field<String>,
    length: RangeInclusive<usize>,
    directory: &Path,
) -> Option<Vec<u8>> {
    let (name, field) = given(inline, file);
    let key = any_key(section, inline, file, length, directory)?;
    if section.source.published_keys() == PublishedKeys::Reported && is_published(&key) {
        let remedy = "make one that nobody else has, for both ends: `openssl rand -hex 20`";
        let fault = Fault::new("this key is zero, or stands in a file that is shipped: everybody has it", remedy);
        return section.fault(name, span_of(section, field), fault);
    }
    Some(key)
}

/// By which of its two keys a table gives the shared key.
fn given<'f>(inline: &'f Field<String>, file: &'f Field<String>) -> (&'static str, &'f Field<String>) {
    if inline.is_some() { ("key", inline) } else { ("key_file", file) }
}

fn any_key(
    section: &Section<'_, '_>,
    inline: &Field<String>,
    file: &Field<String>,
    length: RangeInclusive<usize>,
    directory: &Path,
) -> Option<Vec<u8>> {
    match (inline, file) {
        (Some(_), Some(file)) => {
            let what = "the key is given twice, inline and as a file";
            section.fault("key_file", file.span(), Fault::new(what, "give key or key_file"))
        }
        (None, None) => section.missing("key", "give the shared key in hexadecimal, or its file as key_file"),
        (Some(_), None) => section.required("key", inline, "", |text| hexadecimal("key", text, length)),
        (None, Some(name)) => match key_from_file(&directory.join(name.get_ref()), length) {
            Ok(key) => Some(key),
            Err(fault) => section.fault("key_file", name.span(), fault),
        },
    }
}

/// Octets in hexadecimal, so many of them; `what` they are.
fn hexadecimal(what: &str, text: &str, length: RangeInclusive<usize>) -> Result<Vec<u8>, Fault> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let remedy = || format!("give {} to {} octets, two hexadecimal digits each", length.start(), length.end());
    let Some(digits) = digits.filter(|digits| digits.len() % 2 == 0) else {
        return Err(Fault::new(format!("the {what} is not pairs of hexadecimal digits"), remedy()));
    };
    let octets: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    if !length.contains(&octets.len()) {
        return Err(Fault::new(format!("the {what} has {} octets", octets.len()), remedy()));
    }
    Ok(octets)
}

/// The key in a file that nobody else can read.
fn key_from_file(path: &Path, length: RangeInclusive<usize>) -> Result<Vec<u8>, Fault> {
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
