//! Multicast (RFC 7761 §4.2, RFC 4007 §5): the RPF check, a copy for every branch but the one that it came by, none of the
//! site's groups out of its border, and the node's own copy.

use super::output::To;
use super::{Walk, hop};
use crate::job::Job;
use crate::octets;
use core::net::Ipv6Addr;
use stack::machine::{Notice, PortId};
use stack::tables::{Accept, Mroute, MrouteKey, Watch};

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

impl Walk<'_> {
    pub(super) fn group(&mut self, job: Job) {
        let (source, group) = (job.source(), job.destination());
        let scope = octets::scope(group).expect("a group");
        let came_by = job.port.filter(|_| !job.is_own && !job.is_out_of_register);
        let is_heard = came_by.is_some_and(|port| group == ALL_NODES || self.model.groups.contains(&(port, group)));
        if scope <= 2 {
            return match job.port {
                Some(port) if job.is_own => self.output(job, port, To::Group(group)),
                _ if is_heard => self.local(job),
                _ => self.end("drop-multicast-not-heard"),
            };
        }
        // RFC 4291 §2.5.6.
        if came_by.is_some() && octets::is_link_local(source) {
            return if is_heard { self.local(job) } else { self.end("drop-multicast-link-local") };
        }
        let port = came_by.map(PortId);
        let found = [source, Ipv6Addr::UNSPECIFIED]
            .map(|source| MrouteKey { source, group })
            .into_iter()
            .find_map(|key| Some((key, self.model.mroutes.get(&key)?.0)));
        let Some((key, mroute)) = found else {
            if job.is_out_of_register {
                return self.end("drop-register-no-route");
            }
            if is_heard {
                return self.local(job);
            }
            self.outcome.may_tell.push(Notice::MulticastMiss { port, source, group });
            return self.end("drop-multicast-no-route");
        };
        self.outcome.hits.push(key);
        let is_accepted = match mroute.accept {
            Accept::Local => job.is_own,
            Accept::RendezvousPoint => came_by.is_none(),
            Accept::Port(accepted) => port == Some(accepted),
        };
        if is_accepted {
            let seen = Notice::MulticastSeen { port, source, group };
            match mroute.watch {
                Watch::Nothing => {}
                Watch::NextPacket => self.outcome.awaited.push((key, seen)),
                Watch::Sources => self.outcome.may_tell.push(seen),
            }
        } else {
            self.outcome.may_tell.push(Notice::MulticastWrongPort { port, source, group });
        }
        let branches = self.branches(&job, &mroute);
        let has_branch = !branches.is_empty() || mroute.register.is_some_and(|_| !job.is_out_of_register);
        let lack = match () {
            () if !is_accepted => Some("drop-multicast-wrong-port"),
            () if !has_branch && !mroute.hold => Some("drop-multicast-no-branch"),
            () if !job.is_own && job.packet[7] <= 1 => Some("drop-multicast-hop-limit"),
            () => None,
        };
        if is_heard {
            self.local(job.clone());
        }
        match lack {
            Some(_) if is_heard => return,
            Some(lack) => return self.end(lack),
            None if !has_branch => return self.outcome.holds.push((key, job)),
            None => {}
        }
        self.replicate(job, &branches, &mroute);
    }

    /// The ports that an accepted packet leaves by.
    pub(super) fn branches(&self, job: &Job, route: &Mroute) -> Vec<u8> {
        let came_by = job.port.filter(|_| !job.is_own && !job.is_out_of_register);
        let scope = octets::scope(job.destination()).expect("a group");
        let is_branch = |port: &u8| came_by != Some(*port) && !(scope <= 5 && self.model.shape.is_border(*port));
        route.forward.iter().map(|port| port.0).filter(is_branch).collect()
    }

    /// Sends an accepted packet by its branches.
    pub(super) fn replicate(&mut self, mut job: Job, branches: &[u8], route: &Mroute) {
        let register = route.register.filter(|_| !job.is_out_of_register);
        let group = job.destination();
        if !job.is_own {
            hop(&mut job.packet);
        }
        job.is_out_of_register = false;
        for &port in branches {
            self.output(job.clone(), port, To::Group(group));
        }
        if let Some(tunnel) = register {
            self.register(job, tunnel);
        }
    }
}
