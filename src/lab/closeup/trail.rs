//! The order in which nodes passed a message on, from who sent it on which link and who was there to take it.
//!
//! Times do not tell: a capture in namespaces notes when a frame was read, and frames of several links are read together.
//! A trail is a way that goes over each of its hops once, each hop sent by who took the one before. It starts where more was
//! sent than taken, and what leads back to a node is put in where the trail passes it.

use crate::lab::observe::Station;

/// A message on one link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Hop {
    /// Who sent it.
    pub(super) sender: Station,
    /// Who took it.
    pub(super) receivers: Vec<Station>,
}

/// The trails over all of these hops, which are in order of time as far as that is known: each a list of indices.
pub(super) fn trails(hops: &[Hop]) -> Vec<Vec<usize>> {
    let mut unused: Vec<usize> = (0..hops.len()).collect();
    let mut trails = Vec::new();
    while let Some(&earliest) = unused.first() {
        let taken_by = |station: Station| unused.iter().filter(|&&hop| hops[hop].receivers.contains(&station)).count();
        let sent_by = |station: Station| unused.iter().filter(|&&hop| hops[hop].sender == station).count();
        let mut starts = unused.iter().map(|&hop| hops[hop].sender);
        let start = starts.find(|&sender| sent_by(sender) > taken_by(sender)).unwrap_or(hops[earliest].sender);
        let mut trail = walk(hops, &mut unused, &[start]);
        let mut place = 0;
        while place <= trail.len() {
            let nodes = match place.checked_sub(1) {
                None => vec![start],
                Some(before) => hops[trail[before]].receivers.clone(),
            };
            let mut rest = unused.clone();
            let detour = walk(hops, &mut rest, &nodes);
            let comes_back =
                detour.last().is_some_and(|&last| hops[last].receivers.iter().any(|end| nodes.contains(end)));
            if comes_back {
                unused = rest;
                trail.splice(place..place, detour);
            } else {
                place += 1;
            }
        }
        trails.push(trail);
    }
    trails
}

/// Goes on from nodes as long as there are hops, and uses them.
fn walk(hops: &[Hop], unused: &mut Vec<usize>, from: &[Station]) -> Vec<usize> {
    let mut trail = Vec::new();
    let mut nodes = from;
    while let Some(next) = unused.iter().position(|&hop| nodes.contains(&hops[hop].sender)) {
        let hop = unused.remove(next);
        trail.push(hop);
        nodes = &hops[hop].receivers;
    }
    trail
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The trails of hops such as `1>2`, one a word.
    fn found(hops: &str) -> String {
        let number = |text: &str| Station(text.parse().expect("a number"));
        let hops = hops.split_whitespace().map(|hop| {
            let (sender, receivers) = hop.split_once('>').expect("a hop");
            let receivers = receivers.split(',').filter(|text| !text.is_empty()).map(number).collect();
            Hop { sender: number(sender), receivers }
        });
        let hops: Vec<Hop> = hops.collect();
        let told = |trail: Vec<usize>| {
            let senders: Vec<String> = trail.iter().map(|&hop| hops[hop].sender.0.to_string()).collect();
            let end: Vec<String> =
                trail.last().map_or(vec![], |&hop| hops[hop].receivers.iter().map(|s| s.0.to_string()).collect());
            format!("{}>{}", senders.join(">"), end.join(","))
        };
        trails(&hops).into_iter().map(told).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn hops_are_put_in_order() {
        assert_eq!(found("1>2 2>3 3>4"), "1>2>3>4");
        assert_eq!(found("3>4 2>3 1>2"), "1>2>3>4");
        assert_eq!(found("1>2,3"), "1>2,3");
        assert_eq!(found("1>"), "1>");
        // To the end of a tunnel and back over the node before it.
        assert_eq!(found("1>2 2>3 3>4 4>3 3>5"), "1>2>3>4>3>5");
        assert_eq!(found("3>5 4>3 3>4 2>3 1>2"), "1>2>3>4>3>5");
        // There and back.
        assert_eq!(found("1>2 2>1"), "1>2>1");
        assert_eq!(found("9>8 1>2 2>3"), "9>8 1>2>3");
        assert_eq!(found(""), "");
    }
}
