//! Counters of the machines of this crate.

/// A struct of counters and its walk by name.
macro_rules! counters {
    ($struct_doc:literal: $($(#[$doc:meta])* $field:ident => $name:literal,)+) => {
        #[doc = $struct_doc]
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
        pub struct Counters {
            $($(#[$doc])* pub $field: u64,)+
        }

        impl Counters {
            /// Names and values, in a fixed order.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$(($name, self.$field)),+].into_iter()
            }
        }
    };
}

pub(crate) use counters;
