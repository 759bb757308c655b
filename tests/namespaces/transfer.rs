//! The TCP connections of an iperf3 transfer, as a capture has them: one for control, one for the data, neither broken
//! off.
//!
//! When its time is over the client says so on the control connection, with one octet. The server then closes the
//! connection of the data, whether or not it has read all that has come; where it has not, its kernel says so by a reset
//! (RFC 1122 §4.2.2.13), and answers what comes afterwards by one too. Nothing else may reset either of them.

use crate::captures::{Frame, Segment};
use crate::labs::Run;

/// Source and destination.
type Ports = (u16, u16);

/// The two connections were there from before the first movement until after the last one, on the link next to the
/// sending program.
pub(crate) fn assert_connected(run: &Run, link: &str) {
    let on_link: Vec<(&Frame, Segment)> =
        run.captures[link].iter().filter_map(|frame| Some((frame, frame.segment?))).collect();
    let segments: Vec<Segment> = on_link.iter().map(|(_, segment)| *segment).collect();
    let (control, data) = connections(&segments).unwrap_or_else(|opened| panic!("opened on {link}: {opened:?}"));

    let last_move = run.moves().last().expect("there are movements").at;
    let sent = on_link.iter().filter(|(_, segment)| segment.ports() == data && segment.payload_len > 0);
    let last_sent = sent.map(|(frame, _)| frame.at).max().expect("there are data");
    assert!(last_sent > last_move, "data go on after the last movement");
    let broken_off = broken_off(&segments, control, data);
    assert_eq!(broken_off.map(|index| on_link[index]), None, "a connection is broken off on {link}");
}

/// The connection for control, which is opened first, and that for the data; all that are opened where it is not these.
fn connections(segments: &[Segment]) -> Result<(Ports, Ports), Vec<Ports>> {
    let mut opened: Vec<Ports> = Vec::new();
    for segment in segments.iter().filter(|segment| segment.opens_connection()) {
        // The kernel may ask again for what it has asked for.
        if !opened.contains(&segment.ports()) {
            opened.push(segment.ports());
        }
    }
    if let [control, data] = opened[..] { Ok((control, data)) } else { Err(opened) }
}

/// The first reset that is not the server's answer to the end of the transfer.
fn broken_off(segments: &[Segment], control: Ports, data: Ports) -> Option<usize> {
    // Of all that the client says there, its states alone are of one octet, and this is the first.
    let over = segments.iter().position(|segment| segment.ports() == control && segment.payload_len == 1);
    let is_due = |index: usize| over.is_some_and(|over| index > over) && segments[index].ports() == (data.1, data.0);
    (0..segments.len()).find(|&index| segments[index].resets_connection() && !is_due(index))
}

#[test]
fn the_server_alone_resets_the_data_and_that_at_the_end() {
    const SYN: u16 = 0x02;
    const RST: u16 = 0x04;
    const ACK: u16 = 0x10;
    let segment = |(source, destination), flags, payload_len| Segment { source, destination, flags, payload_len };
    let (control, data) = ((40_000, 5003), (40_001, 5003));
    let back = |(client, server): Ports| (server, client);
    let opening = [
        segment(control, SYN, 0),
        segment(back(control), SYN | ACK, 0),
        segment(control, ACK, 37),
        segment(control, SYN, 0),
        segment(back(control), ACK, 1),
        segment(data, SYN, 0),
        segment(data, ACK, 1400),
    ];
    assert_eq!(connections(&opening), Ok((control, data)));
    assert_eq!(connections(&opening[..5]), Err(vec![control]), "there are no data");
    let third = [&opening[..], &[segment((40_002, 5003), SYN, 0)]].concat();
    assert_eq!(connections(&third), Err(vec![control, data, (40_002, 5003)]), "it was opened again");

    let with = |rest: &[Segment]| broken_off(&[&opening, rest].concat(), control, data);
    let over = segment(control, ACK, 1);
    let reset = segment(back(data), RST | ACK, 0);
    assert_eq!(with(&[over]), None);
    assert_eq!(with(&[over, reset, segment(data, ACK, 1400), segment(back(data), RST, 0)]), None);
    assert_eq!(with(&[reset, over]), Some(7), "before the end");
    assert_eq!(with(&[reset]), Some(7), "without an end");
    assert_eq!(with(&[over, segment(data, RST, 0)]), Some(8), "by the client");
    assert_eq!(with(&[over, segment(back(control), RST, 0)]), Some(8), "the control connection");
}
