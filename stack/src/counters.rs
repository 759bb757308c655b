//! How a machine counts: a struct of numbers, each with the name that operators see.

/// Defines a struct of `u64` counters that starts at zero, and its walk by name in the order in which they stand.
///
/// ```
/// stack::counters! {
///     /// What a machine counts.
///     Counters {
///         /// Packets received.
///         rx = "rx",
///         /// Packets that nobody wanted.
///         drop_unwanted = "drop-unwanted",
///     }
/// }
/// let counters = Counters { rx: 3, ..Counters::default() };
/// assert_eq!(counters.iter().collect::<Vec<_>>(), [("rx", 3), ("drop-unwanted", 0)]);
/// assert_eq!(Counters::DESCRIPTIONS[0], ("rx", " Packets received."));
/// ```
#[macro_export]
macro_rules! counters {
    ($(#[$outer:meta])* $type:ident { $($(#[doc = $doc:literal])+ $field:ident = $name:literal,)+ }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct $type {
            $($(#[doc = $doc])+ pub $field: u64,)+
        }

        impl $type {
            /// Name of each, and what it counts: each line as it stands in the code, with the space in front of it.
            pub const DESCRIPTIONS: &[(&'static str, &'static str)] = &[$(($name, concat!($($doc),+)),)+];

            /// Name and value of each.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$(($name, self.$field),)+].into_iter()
            }
        }
    };
}
