//! `drover drain`.

use super::{DONE, REFUSED, Socket, client_failed, say};
use crate::admin::{self, ClientError, Request};
use crate::node::{Remaining, Service};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often a node is asked what it still carries.
const PERIOD: Duration = Duration::from_millis(250);

/// Drains a node, or has it serve again; 0 where that was done and, where somebody waits, nothing is carried any more.
pub(super) fn drain(socket: Socket, resume: bool, wait: Option<u64>) -> u8 {
    let (path, service) = (socket.path(), if resume { Service::Resume } else { Service::Drain });
    let until = wait.map(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
    loop {
        let remaining = match ask(&path, service) {
            Ok(remaining) => remaining,
            Err(error) => return client_failed(&error),
        };
        let Remaining { bindings, groups } = remaining;
        let word = if resume { "serving" } else { "draining" };
        let line = format!("{word}: {bindings} bindings, {groups} groups of terminals\n");
        match until {
            None => return say(&line, DONE),
            Some(_) if remaining.is_nothing() => return say(&line, DONE),
            // What cannot be reckoned is never reached.
            Some(until) if until.is_some_and(|until| Instant::now() >= until) => return say(&line, REFUSED),
            Some(_) => std::thread::sleep(PERIOD),
        }
    }
}

fn ask(path: &Path, service: Service) -> Result<Remaining, ClientError> {
    let value = admin::request(path, &Request::Drain(service))?;
    serde_json::from_value(value).map_err(|error| ClientError::Answer(path.to_owned(), error.to_string()))
}
