//! `drover show`.

use super::table::render;
use super::{DONE, client_failed};
use crate::admin::{self, Request, Topic};
use std::io::{self, Write};
use std::path::Path;

/// Asks the node at `socket` for `topic` and prints the answer.
pub(super) fn show(topic: Topic, json: bool, socket: &Path) -> u8 {
    let value = match admin::request(socket, &Request::Show(topic)) {
        Ok(value) => value,
        Err(error) => return client_failed(&error),
    };
    let text = if json { format!("{value:#}\n") } else { render(&value) };
    // A reader that has seen enough (`| head`) is no error.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    DONE
}
