//! A table in parts: how much of it a worker looks at and shows between two turns.

use crate::admin::{Page, Part, Position};
use core::net::Ipv6Addr;
use serde_json::Value;

/// Entries that are looked at in one part.
const ENTRIES_A_PART: usize = 1024;
/// Rows that are made in one part, which cost far more.
const ROWS_A_PART: usize = 16;

/// The page that is being made.
pub(super) struct Pager<'a> {
    part: &'a Part,
    entries: usize,
    rows: Vec<Value>,
    more: u64,
    next: Option<Position>,
}

impl<'a> Pager<'a> {
    pub(super) fn new(part: &'a Part) -> Self {
        Pager { part, entries: 0, rows: Vec::new(), more: 0, next: None }
    }

    /// Whether the entry at this place is still of this part; the next one begins with it otherwise.
    pub(super) fn goes_on(&mut self, at: Position) -> bool {
        if self.next.is_none() && (self.entries >= ENTRIES_A_PART || self.rows.len() >= ROWS_A_PART) {
            self.next = Some(at);
        }
        self.entries += 1;
        self.next.is_none()
    }

    /// A row about this group: made where it is wanted, counted where there are enough.
    pub(super) fn offer(&mut self, group: Ipv6Addr, row: impl FnOnce() -> Value) {
        if self.part.includes(group) {
            self.offer_row(row);
        }
    }

    /// A row about no group.
    pub(super) fn offer_row(&mut self, row: impl FnOnce() -> Value) {
        if self.rows.len() < self.part.rows {
            self.rows.push(row());
        } else {
            self.more += 1;
        }
    }

    pub(super) fn finish(self) -> Page {
        Page { value: self.rows.into(), more: self.more, next: self.next }
    }
}
