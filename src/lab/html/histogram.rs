//! How long movements interrupted the packets: how many for how long, by kind, order and mode.

use super::View;
use super::scale::{Scale, label, number, step};
use crate::lab::report::order;
use maud::{Markup, html};

const WIDTH: f64 = 900.0;
const LEFT: f64 = 290.0;
const RIGHT: f64 = WIDTH - 16.0;
const ROW: f64 = 62.0;
const BAR: f64 = 34.0;
/// Bars of a row at the most.
const BARS: u32 = 30;

/// The movements of one kind, order and mode.
#[derive(PartialEq, Debug)]
struct Group {
    name: String,
    mode: Option<String>,
    /// Microseconds, in order.
    interruptions: Vec<u64>,
}

impl Group {
    /// All that have a movement, those of one kind and order side by side.
    fn all(views: &[View<'_>]) -> Vec<Group> {
        let mut groups = Vec::new();
        for kind in ["intra-site", "inter-site", "home"] {
            for make_first in [true, false] {
                for view in views {
                    let alike =
                        view.report.handovers.iter().filter(|h| h.kind == kind && h.make_before_break == make_first);
                    let mut interruptions: Vec<u64> = alike.map(|handover| handover.interruption_us).collect();
                    interruptions.sort_unstable();
                    let name = format!("{kind}, {}", order(make_first));
                    groups.push(Group { name, mode: view.mode.map(str::to_owned), interruptions });
                }
            }
        }
        groups.retain(|group| !group.interruptions.is_empty());
        groups
    }

    /// How many in each of equal parts.
    fn counts(&self, width_us: f64) -> Vec<u64> {
        let mut counts = vec![0; BARS as usize + 1];
        for &interruption in &self.interruptions {
            let bar = (interruption as f64 / width_us) as usize;
            counts[bar.min(BARS as usize)] += 1;
        }
        counts
    }
}

/// All movements of all runs.
pub(super) fn histogram(views: &[View<'_>]) -> Markup {
    let groups = Group::all(views);
    let longest = groups.iter().filter_map(|group| group.interruptions.last().copied()).max().unwrap_or(0) as f64;
    // Half a bar more: the longest has one of its own.
    let width = step(longest.max(1000.0), BARS - 1);
    let bars = (longest / width).floor() + 1.0;
    let time = Scale::new(0.0, width * bars / 1e3, (LEFT, RIGHT));
    let most = groups.iter().flat_map(|group| group.counts(width)).max().unwrap_or(1).max(1) as f64;
    let bottom = 8.0 + groups.len() as f64 * ROW;
    html! {
        div.scroll {
            svg.fit.broad viewBox={ "0 0 " (number(WIDTH)) " " (number(bottom + 40.0)) } role="img" aria-label="interruptions of all movements" {
                @for tick in time.ticks(10) {
                    @let x = number(time.at(tick));
                    path class="grid" d={ "M" (x) " 8V" (number(bottom)) } {}
                    text class="small mid" x=(x) y=(number(bottom + 17.0)) { (label(tick)) }
                }
                text class="small mid" x=(number((LEFT + RIGHT) / 2.0)) y=(number(bottom + 34.0)) { "interruption, ms, in steps of " (label(width / 1e3)) }
                @for (row, group) in groups.iter().enumerate() {
                    @let floor = 8.0 + (row + 1) as f64 * ROW;
                    path class="axis" d={ "M" (number(LEFT)) " " (number(floor)) "H" (number(RIGHT)) } {}
                    text class="name" x="8" y=(number(floor - 30.0)) {
                        (group.name)
                        @if let Some(mode) = &group.mode { ", " (super::layout::shortened(mode)) }
                    }
                    text class="small" x="8" y=(number(floor - 14.0)) { (summary(group)) }
                    @for (bar, &count) in group.counts(width).iter().enumerate().filter(|(_, count)| **count > 0) {
                        @let from = bar as f64 * width / 1e3;
                        @let (x1, x2) = (time.at(from), time.at(from + width / 1e3));
                        @let height = (count as f64 / most * BAR).max(2.0);
                        rect class="bar" x=(number(x1 + 1.0)) y=(number(floor - height)) width=(number((x2 - x1 - 2.0).max(1.5))) height=(number(height)) {
                            title { (count) " of " (group.interruptions.len()) " from " (label(from)) " to " (label(from + width / 1e3)) " ms" }
                        }
                        text class="small mid" x=(number((x1 + x2) / 2.0)) y=(number(floor - height - 4.0)) { (count) }
                    }
                }
            }
        }
    }
}

fn summary(group: &Group) -> String {
    let all = &group.interruptions;
    let millis = |micros: u64| micros as f64 / 1e3;
    let middle = all.get(all.len().saturating_sub(1) / 2).copied().unwrap_or(0);
    let longest = all.last().copied().unwrap_or(0);
    let movements = if all.len() == 1 { "movement" } else { "movements" };
    format!("{} {movements}, p50 {:.3}, max {:.3} ms", all.len(), millis(middle), millis(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(interruptions: &[u64]) -> Group {
        Group { name: "home, make first".to_owned(), mode: None, interruptions: interruptions.to_vec() }
    }

    #[test]
    fn every_movement_is_in_a_bar() {
        let group = group(&[0, 999, 1000, 54_000, 1_000_000]);
        let counts = group.counts(1000.0);
        assert_eq!(counts.iter().sum::<u64>(), 5);
        assert_eq!((counts[0], counts[1], counts[BARS as usize]), (2, 1, 2));
    }

    #[test]
    fn the_middle_is_that_of_the_comparison() {
        assert_eq!(summary(&group(&[1, 3, 5])), "3 movements, p50 0.003, max 0.005 ms");
        assert_eq!(summary(&group(&[1, 3, 5, 7])), "4 movements, p50 0.003, max 0.007 ms");
        assert_eq!(summary(&group(&[8])), "1 movement, p50 0.008, max 0.008 ms");
    }
}
