//! Ways to roots. Many entries have the same one, and there are few.

use crate::rpf::{RouteMetric, RpfInfo};
use stack::machine::PortId;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where a root is, and what the route there is worth.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Way {
    pub(crate) rpf: RpfInfo,
    pub(crate) metric: RouteMetric,
}

/// The ways that entries have, each once.
#[derive(Debug, Default)]
pub(super) struct Ways(BTreeSet<Arc<Way>>);

impl Ways {
    pub(super) fn take(&mut self, way: Way) -> Arc<Way> {
        if let Some(known) = self.0.get(&way) {
            return known.clone();
        }
        let way = Arc::new(way);
        self.0.insert(way.clone());
        way
    }

    /// An entry has it no longer.
    pub(super) fn give_back(&mut self, way: Arc<Way>) {
        // Beside this one, that of the set.
        if Arc::strong_count(&way) == 2 {
            self.0.remove(&way);
        }
    }

    /// Whether any entry's leads over this port.
    pub(super) fn has(&self, port: PortId) -> bool {
        self.0.iter().any(|way| way.rpf.interface() == Some(port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_there_while_somebody_has_it() {
        let mut ways = Ways::default();
        let way = |port| Way { rpf: RpfInfo::OnLink(PortId(port)), metric: RouteMetric::default() };
        let (first, second, other) = (ways.take(way(1)), ways.take(way(1)), ways.take(way(2)));
        assert!(Arc::ptr_eq(&first, &second) && !Arc::ptr_eq(&first, &other));
        ways.give_back(first);
        assert!(ways.has(PortId(1)) && ways.has(PortId(2)) && !ways.has(PortId(3)));
        ways.give_back(second);
        assert!(!ways.has(PortId(1)) && ways.has(PortId(2)));
    }
}
