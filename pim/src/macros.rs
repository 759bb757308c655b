//! The RFC's macros as predicates: what the machines ask about interfaces (RFC 7761 §4.3.2, §4.3.3).

use crate::config::{InterfaceConfig, JoinSuppression, LinkKind};
use crate::interface::Interface;
use crate::neighbor::Neighbor;
use crate::wire::LanPruneDelay;
use stack::time::Duration;

impl Interface {
    /// I_am_DR(I) := DR(I) == me
    pub(crate) fn i_am_dr(&self) -> bool {
        self.designated_router == self.config.link_local
    }

    /// Whether a prune needs no waiting and no join of others is listened for: at most one neighbour can be asked for
    /// the same source.
    pub(crate) fn has_single_neighbor(&self) -> bool {
        self.config.link == LinkKind::PointToPoint || self.neighbors.len() <= 1
    }

    /// lan_delay_enabled(I) := every neighbour sends LAN Prune Delay
    pub(crate) fn lan_delay_enabled(&self) -> bool {
        self.neighbors.values().all(|neighbor| neighbor.lan_prune_delay.is_some())
    }

    /// Effective_Propagation_Delay(I) := the largest of all where lan_delay_enabled(I), else the default
    pub(crate) fn effective_propagation_delay(&self) -> Duration {
        self.largest(self.config.propagation_delay, InterfaceConfig::PROPAGATION_DELAY_DEFAULT, |delay| {
            delay.propagation_delay_ms
        })
    }

    /// Effective_Override_Interval(I) := the largest of all where lan_delay_enabled(I), else the default
    pub(crate) fn effective_override_interval(&self) -> Duration {
        self.largest(self.config.override_interval, InterfaceConfig::OVERRIDE_DEFAULT, |delay| {
            delay.override_interval_ms
        })
    }

    /// J/P_Override_Interval(I) := Effective_Propagation_Delay(I) + Effective_Override_Interval(I)
    pub(crate) fn join_prune_override_interval(&self) -> Duration {
        self.effective_propagation_delay() + self.effective_override_interval()
    }

    /// Suppression_Enabled(I) := not (lan_delay_enabled(I) and every router on the link supports tracking)
    pub(crate) fn suppression_enabled(&self) -> bool {
        let supports = |neighbor: &Neighbor| neighbor.lan_prune_delay.is_some_and(|delay| delay.tracking_support);
        self.config.join_suppression == JoinSuppression::Enabled || !self.neighbors.values().all(supports)
    }

    fn largest(&self, own: Duration, default: Duration, field: impl Fn(&LanPruneDelay) -> u16) -> Duration {
        if !self.lan_delay_enabled() {
            return default;
        }
        let delays = self.neighbors.values().filter_map(|neighbor| neighbor.lan_prune_delay.as_ref());
        delays.map(|delay| Duration::from_millis(u64::from(field(delay)))).fold(own, Ord::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Hello;
    use core::net::Ipv6Addr;
    use stack::machine::PortId;
    use stack::time::Instant;

    fn interface(neighbors: &[Option<(bool, u16, u16)>]) -> Interface {
        let own = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xff);
        let config = InterfaceConfig {
            propagation_delay: Duration::from_millis(50),
            override_interval: Duration::from_millis(100),
            join_suppression: JoinSuppression::Disabled,
            ..InterfaceConfig::new(PortId(0), own, 1500)
        };
        let mut interface = Interface::new(config, None);
        for (index, delay) in neighbors.iter().enumerate() {
            let address = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, index as u16 + 1);
            let lan_prune_delay = delay.map(|(tracking_support, propagation_delay_ms, override_interval_ms)| {
                LanPruneDelay { tracking_support, propagation_delay_ms, override_interval_ms }
            });
            let hello = Hello { lan_prune_delay, ..Hello::default() };
            interface.neighbors.insert(address, Neighbor::new(address, &hello, Instant::ORIGIN));
        }
        interface
    }

    #[test]
    fn lan_prune_delay_election() {
        let millis = |interface: &Interface| interface.join_prune_override_interval().as_millis();
        assert_eq!(millis(&interface(&[])), 150);
        assert_eq!(millis(&interface(&[Some((false, 10, 200))])), 250);
        assert_eq!(millis(&interface(&[Some((false, 70, 20)), Some((true, 10, 300))])), 370);
        assert_eq!(millis(&interface(&[Some((false, 70, 20)), None])), 3000);
    }

    #[test]
    fn suppression_ends_only_where_all_agree() {
        assert!(!interface(&[Some((true, 1, 1)), Some((true, 1, 1))]).suppression_enabled());
        assert!(interface(&[Some((true, 1, 1)), Some((false, 1, 1))]).suppression_enabled());
        assert!(interface(&[None]).suppression_enabled());
        let mut own = interface(&[Some((true, 1, 1))]);
        own.config.join_suppression = JoinSuppression::Enabled;
        assert!(own.suppression_enabled());
    }
}
