//! Families of generic netlink (linux/genetlink.h): found by name, asked, listened to.

use super::netlink::{Attributes, Request, Socket};
use std::io;

/// Octets of `struct genlmsghdr`.
const HEADER: usize = 4;

const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const CTRL_ATTR_MCAST_GROUPS: u16 = 7;
const CTRL_ATTR_MCAST_GRP_NAME: u16 = 1;
const CTRL_ATTR_MCAST_GRP_ID: u16 = 2;

/// What the kernel says of a family.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Family {
    id: Option<u16>,
    /// Name and number of each multicast group.
    groups: Vec<(Vec<u8>, u32)>,
}

impl Family {
    /// The family of this name.
    ///
    /// # Errors
    /// ENOENT where the kernel has none, EBADMSG where what it says makes no sense.
    pub(super) fn find(socket: &Socket, name: &str) -> io::Result<Family> {
        let mut text = name.as_bytes().to_vec();
        text.push(0);
        let request = request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY).attribute(CTRL_ATTR_FAMILY_NAME, &text);
        Ok(Family::parse(attributes(&socket.ask(request)?)))
    }

    fn parse<'a>(attributes: impl Iterator<Item = (u16, &'a [u8])>) -> Family {
        let mut family = Family::default();
        for (kind, value) in attributes {
            match kind {
                CTRL_ATTR_FAMILY_ID => family.id = value.try_into().ok().map(u16::from_ne_bytes),
                CTRL_ATTR_MCAST_GROUPS => {
                    family.groups.extend(Attributes(value).filter_map(|(_, group)| parse_group(group)))
                }
                _ => {}
            }
        }
        family
    }

    /// A request of this family.
    ///
    /// # Errors
    /// EBADMSG where the kernel has not said its number.
    pub(super) fn request(&self, command: u8) -> io::Result<Request> {
        Ok(request(self.id.ok_or_else(senseless)?, command))
    }

    /// The number of its multicast group of this name.
    ///
    /// # Errors
    /// EBADMSG where it has none.
    pub(super) fn group(&self, name: &str) -> io::Result<u32> {
        let found = self.groups.iter().find(|(group, _)| group == name.as_bytes());
        found.map(|&(_, number)| number).ok_or_else(senseless)
    }
}

fn parse_group(group: &[u8]) -> Option<(Vec<u8>, u32)> {
    let of = |wanted| Attributes(group).find(|&(kind, _)| kind == wanted).map(|(_, value)| value);
    let name = of(CTRL_ATTR_MCAST_GRP_NAME)?.split(|&octet| octet == 0).next()?;
    Some((name.to_vec(), u32::from_ne_bytes(of(CTRL_ATTR_MCAST_GRP_ID)?.try_into().ok()?)))
}

fn senseless() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADMSG)
}

fn request(family: u16, command: u8) -> Request {
    Request::new(family, 0, &[command, 1, 0, 0])
}

/// The attributes in the payloads of an answer.
pub(super) fn attributes(answer: &[Vec<u8>]) -> impl Iterator<Item = (u16, &[u8])> {
    answer.iter().flat_map(|payload| Attributes(payload.get(HEADER..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_read_from_attributes() {
        let attribute = |kind: u16, value: &[u8]| {
            let mut bytes = [((4 + value.len()) as u16).to_ne_bytes(), kind.to_ne_bytes()].concat();
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let group = |place: u16, name: &[u8], number: &[u8]| {
            let parts = [attribute(CTRL_ATTR_MCAST_GRP_ID, number), attribute(CTRL_ATTR_MCAST_GRP_NAME, name)];
            attribute(place, &parts.concat())
        };
        let groups = [
            group(1, b"other\0", &7u32.to_ne_bytes()),
            group(2, b"cut", &[0; 3]),
            group(3, b"monitor\0", &9u32.to_ne_bytes()),
        ];
        let whole = [(CTRL_ATTR_FAMILY_ID, &21u16.to_ne_bytes()[..]), (CTRL_ATTR_MCAST_GROUPS, &groups.concat())];
        let family = Family::parse(whole.into_iter());
        assert_eq!((family.id, family.group("monitor").ok(), family.group("other").ok()), (Some(21), Some(9), Some(7)));
        for missing in ["cut", "monit", "monitor2"] {
            assert_eq!(family.group(missing).unwrap_err().raw_os_error(), Some(libc::EBADMSG), "{missing}");
        }
        let cut = groups.concat();
        for length in 0..cut.len() {
            Family::parse([(CTRL_ATTR_MCAST_GROUPS, &cut[..length])].into_iter());
        }
        assert!(Family::default().request(1).is_err());
    }

    #[test]
    fn the_control_family_finds_itself() {
        let socket = Socket::open_generic().unwrap();
        assert_eq!(Family::find(&socket, "nlctrl").unwrap().id, Some(GENL_ID_CTRL));
        let missing = Family::find(&socket, "nosuchfamily").unwrap_err();
        assert_eq!(missing.raw_os_error(), Some(libc::ENOENT));
    }
}
