//! One table while it is read: turns raw fields into values, and notes what is wrong with each under its full path.
//!
//! Every reader returns `None` where it has noted a problem. A table reads all its fields first and puts them together
//! with `?` at the end, so that all that is wrong with it is said in one pass.

use super::super::document::{Fault, Source};
use super::super::raw::{Field, RawWordOrPrefixes};
use core::fmt::Display;
use core::net::Ipv6Addr;
use core::ops::{Range, RangeInclusive};
use core::time::Duration;
use stack::addr::{Eui64, Prefix, is_routable_unicast};
use toml::Spanned;

/// A table of the configuration and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Section<'s, 'a> {
    pub(crate) source: &'s Source<'a>,
    pub(crate) path: String,
    pub(crate) span: Range<usize>,
}

impl<'s, 'a> Section<'s, 'a> {
    pub(crate) fn new(source: &'s Source<'a>, path: impl Into<String>, span: Range<usize>) -> Self {
        Section { source, path: path.into(), span }
    }

    /// The table at `key` inside this one.
    pub(crate) fn inner(&self, key: impl Display, span: Range<usize>) -> Section<'s, 'a> {
        Section { source: self.source, path: self.child(key), span }
    }

    pub(crate) fn child(&self, key: impl Display) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }

    /// Notes a problem with `key`, which stands at `span`.
    pub(crate) fn fault<T>(&self, key: impl Display, span: Range<usize>, fault: Fault) -> Option<T> {
        self.source.report(span, self.child(key), fault);
        None
    }

    /// Notes a problem with the table as a whole.
    pub(crate) fn fault_here<T>(&self, fault: Fault) -> Option<T> {
        self.source.report(self.span.clone(), self.path.clone(), fault);
        None
    }

    /// Notes that `key` is missing.
    pub(crate) fn missing<T>(&self, key: &str, remedy: &str) -> Option<T> {
        self.fault(key, self.span.clone(), Fault::new("this key is missing", remedy))
    }

    /// A field that may be absent.
    pub(crate) fn optional<T, U>(
        &self,
        key: &str,
        field: &Field<T>,
        read: impl FnOnce(&T) -> Result<U, Fault>,
    ) -> Option<Option<U>> {
        match field {
            None => Some(None),
            Some(value) => match read(value.get_ref()) {
                Ok(value) => Some(Some(value)),
                Err(fault) => self.fault(key, value.span(), fault),
            },
        }
    }

    /// A field that has to be there; `remedy` says what to write.
    pub(crate) fn required<T, U>(
        &self,
        key: &str,
        field: &Field<T>,
        remedy: &str,
        read: impl FnOnce(&T) -> Result<U, Fault>,
    ) -> Option<U> {
        match self.optional(key, field, read)? {
            Some(value) => Some(value),
            None => self.missing(key, remedy),
        }
    }

    /// A field with a default.
    pub(crate) fn or<T, U>(
        &self,
        key: &str,
        field: &Field<T>,
        default: U,
        read: impl FnOnce(&T) -> Result<U, Fault>,
    ) -> Option<U> {
        Some(self.optional(key, field, read)?.unwrap_or(default))
    }

    /// A list of values, each with a path of its own.
    pub(crate) fn list<T, U>(
        &self,
        key: &str,
        values: &[Spanned<T>],
        mut read: impl FnMut(&T) -> Result<U, Fault>,
    ) -> Option<Vec<U>> {
        let mut all = Some(Vec::new());
        for (index, value) in values.iter().enumerate() {
            match (read(value.get_ref()), &mut all) {
                (Ok(value), Some(all)) => all.push(value),
                (Ok(_), None) => {}
                (Err(fault), _) => all = self.fault(format_args!("{key}[{index}]"), value.span(), fault),
            }
        }
        all
    }

    /// One of these words, or a list of prefixes, of which `of_prefixes` is made.
    pub(crate) fn word_or_prefixes<T, const N: usize>(
        &self,
        key: &str,
        raw: &Spanned<RawWordOrPrefixes>,
        words: [(&str, T); N],
        of_prefixes: impl FnOnce(Vec<Prefix>) -> T,
        read: impl Fn(&str) -> Result<Prefix, Fault>,
        remedy: &str,
    ) -> Option<T> {
        match raw.get_ref() {
            RawWordOrPrefixes::Word(word) => match words.into_iter().find(|(name, _)| name == word) {
                Some((_, value)) => Some(value),
                None => self.fault(key, raw.span(), Fault::new(format!("\"{word}\" is not known"), remedy)),
            },
            RawWordOrPrefixes::Prefixes(prefixes) => {
                let prefixes: Vec<_> = prefixes.iter().map(|text| Spanned::new(raw.span(), text.clone())).collect();
                self.list(key, &prefixes, |text: &String| read(text)).map(of_prefixes)
            }
        }
    }

    /// A list of tables, each a section of its own.
    pub(crate) fn tables<T, U>(
        &self,
        key: &str,
        tables: &[Spanned<T>],
        read: impl FnMut(&Section<'s, 'a>, &T) -> Option<U>,
    ) -> Option<Vec<U>> {
        let mut read = read;
        let mut all = Some(Vec::new());
        for (index, table) in tables.iter().enumerate() {
            let section = self.inner(format_args!("{key}[{index}]"), table.span());
            match (read(&section, table.get_ref()), &mut all) {
                (Some(value), Some(all)) => all.push(value),
                (None, _) => all = None,
                (Some(_), None) => {}
            }
        }
        all
    }

    /// A number within bounds.
    pub(crate) fn number<N: TryFrom<i64>>(
        &self,
        key: &str,
        field: &Field<i64>,
        range: RangeInclusive<i64>,
        default: N,
    ) -> Option<N> {
        self.or(key, field, default, |&value| in_range(value, range))
    }

    /// A time in whole milliseconds within bounds.
    pub(crate) fn millis(
        &self,
        key: &str,
        field: &Field<i64>,
        range: RangeInclusive<i64>,
        default: u64,
    ) -> Option<Duration> {
        self.number(key, field, range, default).map(Duration::from_millis)
    }

    /// A time in whole seconds within bounds.
    pub(crate) fn secs(
        &self,
        key: &str,
        field: &Field<i64>,
        range: RangeInclusive<i64>,
        default: u64,
    ) -> Option<Duration> {
        self.number(key, field, range, default).map(Duration::from_secs)
    }
}

/// Where a field stands; where its table stands, if it is absent.
pub(crate) fn span_of<T>(section: &Section<'_, '_>, field: &Field<T>) -> Range<usize> {
    field.as_ref().map_or(section.span.clone(), Spanned::span)
}

/// A switch with a default.
pub(crate) fn flag(field: &Field<bool>, default: bool) -> bool {
    field.as_ref().map_or(default, |value| *value.get_ref())
}

/// A number within bounds.
pub(crate) fn in_range<N: TryFrom<i64>>(value: i64, range: RangeInclusive<i64>) -> Result<N, Fault> {
    let (low, high) = (*range.start(), *range.end());
    let fault = || {
        let size = if value < low { "too small" } else { "too large" };
        Fault::new(format!("{value} is {size}"), format!("give {low} to {high}"))
    };
    if range.contains(&value) { N::try_from(value).map_err(|_| fault()) } else { Err(fault()) }
}

/// One of a few words.
pub(crate) fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, Fault> {
    words.iter().find(|(word, _)| *word == text).map(|&(_, value)| value).ok_or_else(|| {
        let words: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        Fault::new(format!("\"{text}\" is not known"), format!("give {}", words.join(" or ")))
    })
}

/// A name of a node, port or link.
pub(crate) fn name(text: &str) -> Result<String, Fault> {
    if is_name(text) {
        Ok(text.to_owned())
    } else {
        let remedy = format!("give 1 to {MAX_NAME} letters, digits, - _ or .");
        Err(Fault::new(format!("\"{text}\" is no name"), remedy))
    }
}

/// Whether a node, port or link can have this name.
pub(crate) fn is_name(text: &str) -> bool {
    let letters = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    letters && (1..=MAX_NAME).contains(&text.len()) && !text.starts_with('-')
}

/// Letters of a name.
const MAX_NAME: usize = 32;
/// Letters of an interface's name (IFNAMSIZ less the end mark).
const MAX_INTERFACE_NAME: usize = 15;

/// The name of a network interface.
pub(crate) fn interface(text: &str) -> Result<String, Fault> {
    let fits = (1..=MAX_INTERFACE_NAME).contains(&text.len()) && text != "." && text != "..";
    if fits && !text.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control()) {
        Ok(text.to_owned())
    } else {
        let what = format!("\"{text}\" is no interface name");
        Err(Fault::new(what, format!("give 1 to {MAX_INTERFACE_NAME} letters, as `ip link` shows them")))
    }
}

/// Any IPv6 address.
pub(crate) fn address(text: &str) -> Result<Ipv6Addr, Fault> {
    text.parse().map_err(|_| {
        let remedy = if text.contains('/') { "leave the prefix length out" } else { "write it as in 2001:db8::1" };
        Fault::new(format!("\"{text}\" is not an IPv6 address"), remedy)
    })
}

/// A unicast address that is good beyond its link.
pub(crate) fn routable(text: &str) -> Result<Ipv6Addr, Fault> {
    let address = address(text)?;
    if is_routable_unicast(address) {
        Ok(address)
    } else {
        Err(Fault::new(format!("{address} is not a routable unicast address"), "give one as 2001:db8::1"))
    }
}

/// A prefix.
pub(crate) fn prefix(text: &str) -> Result<Prefix, Fault> {
    use stack::addr::PrefixParseError::{Address, HostBits, Shape};
    text.parse().map_err(|error| {
        let what = format!("\"{text}\" is not a prefix");
        match error {
            Shape | Address => Fault::new(what, "write it as in 2001:db8:1::/64"),
            HostBits(prefix) => Fault::new(format!("{what}: bits are set behind its length"), format!("give {prefix}")),
        }
    })
}

/// A unicast prefix.
pub(crate) fn unicast_prefix(text: &str) -> Result<Prefix, Fault> {
    let prefix = prefix(text)?;
    if prefix.address().is_multicast() {
        Err(Fault::new(format!("{prefix} is a multicast prefix"), "give a unicast one as 2001:db8:1::/64"))
    } else {
        Ok(prefix)
    }
}

/// A multicast prefix.
pub(crate) fn multicast_prefix(text: &str) -> Result<Prefix, Fault> {
    let prefix = prefix(text)?;
    if prefix.address().is_multicast() && prefix.length() >= 8 {
        Ok(prefix)
    } else {
        Err(Fault::new(format!("{prefix} is not a multicast prefix"), "give one as ff35::/64"))
    }
}

/// An EUI-64.
pub(crate) fn eui64(text: &str) -> Result<Eui64, Fault> {
    match text.parse() {
        Ok(Eui64(0)) => Err(Fault::new("the EUI-64 is zero", "give the one of the terminal's radio")),
        Ok(eui64) => Ok(eui64),
        Err(_) => Err(Fault::new(format!("\"{text}\" is not an EUI-64"), "write it as in 02-00-5e-ff-fe-10-00-01")),
    }
}
