//! Multicast (RFC 7761 §4.2, RFC 4007 §5): the RPF check, a copy for every branch but the one that it came by, none of the
//! site's groups out of its border, and the node's own copy.

use super::output::To;
use super::{Walk, hop};
use crate::job::Job;
use crate::octets;
use core::net::Ipv6Addr;
use stack::tables::{Accept, MrouteKey};

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

impl Walk<'_> {
    pub(super) fn group(&mut self, mut job: Job) {
        let (source, group) = (job.source(), job.destination());
        let scope = octets::scope(group).expect("a group");
        let is_heard = !job.is_own
            && job.port.is_some_and(|port| group == ALL_NODES || self.model.groups.contains(&(port, group)));
        if scope <= 2 {
            return match job.port {
                Some(port) if job.is_own => self.output(job, port, To::Group(group)),
                _ if is_heard => self.local(job),
                _ => self.end("drop-multicast-not-heard"),
            };
        }
        let found = [source, Ipv6Addr::UNSPECIFIED]
            .map(|source| MrouteKey { source, group })
            .into_iter()
            .find_map(|key| Some((key, self.model.mroutes.get(&key)?.0)));
        let Some((key, mroute)) = found else {
            if is_heard {
                return self.local(job);
            }
            if !octets::is_link_local(source) {
                self.outcome.misses.push((job.port.filter(|_| !job.is_own), source, group));
            }
            return self.end("drop-multicast-no-route");
        };
        self.outcome.hits.push(key);
        let is_accepted = match mroute.accept {
            Accept::Local | Accept::RendezvousPoint => job.is_own,
            Accept::Port(port) => !job.is_own && job.port == Some(port.0),
        };
        let is_branch = |port: &u8| {
            let came_by = !job.is_own && job.port == Some(*port);
            !(came_by || scope <= 5 && self.model.shape.is_border(*port))
        };
        let branches: Vec<u8> = mroute.forward.iter().map(|port| port.0).filter(is_branch).collect();
        let lack = match () {
            () if !is_accepted => Some("drop-multicast-wrong-port"),
            () if branches.is_empty() => Some("drop-multicast-no-branch"),
            () if !job.is_own && job.packet[7] <= 1 => Some("drop-multicast-hop-limit"),
            () => None,
        };
        if is_heard {
            self.local(job.clone());
        }
        match lack {
            Some(_) if is_heard => return,
            Some(lack) => return self.end(lack),
            None => {}
        }
        if !job.is_own {
            hop(&mut job.packet);
        }
        for port in branches {
            self.output(job.clone(), port, To::Group(group));
        }
    }
}
