//! Sequence numbers of a terminal's tunnel (RFC 2890 §2.2): which packet came before.
//!
//! The window is as wide behind the highest number as it looks ahead of it. A number further away, on either side, counts
//! only when others follow it in unbroken order: a sender that lost its state is heard again after a few packets, as is
//! the true one after a long silence, and a single packet with a wrong number moves nothing.

/// Sequence numbers that the window remembers, and by which it moves at once.
pub(crate) const WINDOW: u32 = 1024;
/// Consecutive numbers from outside the window after which the sender is taken to have started anew there.
const RESTART_AFTER: u32 = 3;

/// What a sequence number turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sequence {
    /// Not seen before.
    New,
    /// Not seen before, and the first one of new numbers far from the old ones.
    Restart,
    /// Seen before.
    Duplicate,
    /// Too far away to know.
    Far,
}

/// The last [`WINDOW`] sequence numbers of a tunnel, one bit each: set where the packet came.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    bits: [u64; WINDOW as usize / 64],
    highest: Option<u32>,
    /// The last number from outside the window, and how many came in a row.
    outside: Option<(u32, u32)>,
}

impl Window {
    pub(crate) const EMPTY: Window = Window { bits: [0; WINDOW as usize / 64], highest: None, outside: None };

    /// Takes a number in.
    pub(crate) fn take(&mut self, sequence: u32) -> Sequence {
        let Some(highest) = self.highest else {
            self.restart(sequence);
            return Sequence::Restart;
        };
        let ahead = sequence.wrapping_sub(highest);
        let behind = highest.wrapping_sub(sequence);
        if ahead.min(behind) >= WINDOW {
            return self.take_from_outside(sequence);
        }
        if ahead == 0 {
            return Sequence::Duplicate;
        }
        if ahead < WINDOW {
            for passed in 1..=ahead {
                self.clear(highest.wrapping_add(passed));
            }
            self.highest = Some(sequence);
        }
        if self.is_set(sequence) {
            return Sequence::Duplicate;
        }
        self.outside = None;
        self.set(sequence);
        Sequence::New
    }

    fn take_from_outside(&mut self, sequence: u32) -> Sequence {
        let row = match self.outside {
            // The other link's copy of it.
            Some((last, row)) if sequence == last => row,
            Some((last, row)) if sequence == last.wrapping_add(1) => row + 1,
            _ => 1,
        };
        if row > RESTART_AFTER {
            self.restart(sequence);
            return Sequence::Restart;
        }
        self.outside = Some((sequence, row));
        Sequence::Far
    }

    fn restart(&mut self, sequence: u32) {
        *self = Window::EMPTY;
        self.highest = Some(sequence);
        self.set(sequence);
    }

    fn place(sequence: u32) -> (usize, u64) {
        let bit = sequence % WINDOW;
        ((bit / 64) as usize, 1 << (bit % 64))
    }

    fn is_set(&self, sequence: u32) -> bool {
        let (word, bit) = Self::place(sequence);
        self.bits[word] & bit != 0
    }

    fn set(&mut self, sequence: u32) {
        let (word, bit) = Self::place(sequence);
        self.bits[word] |= bit;
    }

    fn clear(&mut self, sequence: u32) {
        let (word, bit) = Self::place(sequence);
        self.bits[word] &= !bit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn taken(window: &mut Window, numbers: impl IntoIterator<Item = u32>) -> Vec<Sequence> {
        numbers.into_iter().map(|number| window.take(number)).collect()
    }

    #[test]
    fn window_knows_new_duplicate_and_far() {
        let mut window = Window::EMPTY;
        assert_eq!(window.take(u32::MAX - 1), Sequence::Restart);
        assert_eq!(window.take(1), Sequence::New, "across the wrap");
        assert_eq!(window.take(0), Sequence::New, "late, but first");
        assert_eq!(window.take(0), Sequence::Duplicate);
        assert_eq!(window.take(u32::MAX - 1), Sequence::Duplicate);
        assert_eq!(window.take(WINDOW), Sequence::New);
        assert_eq!(window.take(WINDOW - WINDOW + 2), Sequence::New);
        assert_eq!(window.take(0), Sequence::Far);
    }

    #[test]
    fn a_sender_that_starts_anew_is_heard() {
        use Sequence::{Duplicate, Far, New, Restart};
        let mut window = Window::EMPTY;
        window.take(1_000_000);
        assert_eq!(taken(&mut window, 0..6), [Far, Far, Far, Restart, New, New]);
        assert_eq!(window.take(4), Duplicate);
    }

    #[test]
    fn the_sender_is_heard_again_after_a_long_silence_by_two_links() {
        use Sequence::{Duplicate, Far, New, Restart};
        let mut window = Window::EMPTY;
        window.take(7);
        let both = (5000..5005).flat_map(|number| [number, number]);
        let expected = [Far, Far, Far, Far, Far, Far, Restart, Duplicate, New, Duplicate];
        assert_eq!(taken(&mut window, both), expected);
    }

    #[test]
    fn a_wrong_number_moves_nothing() {
        let mut window = Window::EMPTY;
        window.take(0);
        for number in 1..200 {
            for wrong in [number + WINDOW, number + (1 << 20), number.wrapping_sub(WINDOW + 5), number ^ 1 << 31] {
                assert_eq!(window.take(wrong), Sequence::Far, "{wrong}");
            }
            assert_eq!(window.take(number), Sequence::New, "{number}");
            assert_eq!(window.take(number), Sequence::Duplicate, "{number}");
        }
    }

    #[test]
    fn window_equals_a_set_of_numbers() {
        let mut window = Window::EMPTY;
        let mut seen = BTreeSet::new();
        let (mut state, mut highest) = (7u64, 0u32);
        for step in 0..20_000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let jitter = (state >> 40) as u32 % 400;
            let sequence = (step + 400) - jitter;
            let expected = if step == 0 {
                seen.insert(sequence);
                Sequence::Restart
            } else if highest >= sequence + WINDOW {
                Sequence::Far
            } else if seen.insert(sequence) {
                Sequence::New
            } else {
                Sequence::Duplicate
            };
            highest = highest.max(sequence);
            assert_eq!(window.take(sequence), expected, "{sequence}");
        }
    }
}
