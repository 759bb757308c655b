//! What following the kernel has counted.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $field:ident = $name:literal,)+) => {
        /// Counters that one thread writes and others read.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub(super) $field: Counter,)+
            /// Routes that the worker has been given and that are there now.
            pub(super) routes: Counter,
        }

        impl Counters {
            /// Name of each, and what it counts: each line as it stands in the code, with the space in front of it.
            pub const DESCRIPTIONS: &[(&'static str, &'static str)] = &[$(($name, concat!($($doc),+)),)+];

            /// All by name.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$(($name, self.$field.value())),+].into_iter()
            }

            /// How many routes of the kernel the worker has.
            pub fn routes(&self) -> u64 {
                self.routes.value()
            }
        }
    };
}

counters! {
    /// Changes given to the worker.
    changes = "changes",
    /// Messages of the kernel.
    messages = "messages",
    /// Messages that make no sense.
    unreadable = "unreadable",
    /// Times that the kernel had more to tell than there was room for.
    overruns = "overruns",
    /// Times that all was asked for.
    dumps = "dumps",
    /// Questions that the kernel has refused.
    refused_dumps = "refused-dumps",
    /// Times that the worker had no room for a change, which was tried again.
    full = "worker-full",
    /// Next hops by interfaces that are no port's.
    ignored_interface = "ignored-other-interface",
    /// Routes of protocols that are not followed.
    ignored_protocol = "ignored-protocol",
    /// Routes of other tables.
    ignored_table = "ignored-table",
    /// Routes by source, with an encapsulation, and of other kinds than lead somewhere or nowhere.
    ignored_kind = "ignored-kind",
    /// Routes by a next hop object that the kernel does not spell out.
    ignored_object = "ignored-next-hop-object",
    /// Routes that there was no room for.
    refused_routes = "refused-routes",
    /// Addresses that there was no room for.
    refused_addresses = "refused-addresses",
}

/// A number that counts up, or says how many there are.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
