//! Keys that everybody has, since they stand in the files that are shipped as examples.
//!
//! An example says what a key looks like by having one. Who runs a node with it lets everybody register terminals there,
//! which no packet shows, so that `drover run` and `drover check` warn of them. A lab is quiet: nobody is outside of it.

/// The keys of configs/*.toml, as they stand there.
const PUBLISHED: [&str; 3] = [
    "6a1f0c52d98e4b7730f1c26e5d84a90b",
    "93c4e7a10b5d2f68147c9eb03a56d8f2",
    "00112233445566778899aabbccddeeff00112233",
];

/// What becomes of a published key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PublishedKeys {
    /// It is a key like others.
    #[default]
    Taken,
    /// It is noted as a problem.
    Reported,
}

/// Whether this key is published, or one of zeros, which is a place that nobody has filled in.
pub(super) fn is_published(key: &[u8]) -> bool {
    if key.iter().all(|&octet| octet == 0) {
        return true;
    }
    let text: String = key.iter().map(|octet| format!("{octet:02x}")).collect();
    PUBLISHED.contains(&text.as_str())
}
