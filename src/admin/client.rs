//! The client side of the admin socket: one request, one answer.

use super::protocol::{Answer, Request};
use serde_json::Value;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Octets of an answer at the most: a full table of a million entries.
const MAX_ANSWER_LEN: u64 = 512 << 20;
/// How long the node may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error(
        "no node listens at {0}: {1}; start `drover run` with that socket in [admin], or name another with --socket"
    )]
    Connect(PathBuf, #[source] std::io::Error),
    /// The node went away or did not answer in time.
    #[error("the node at {0} did not answer: {1}")]
    Exchange(PathBuf, #[source] std::io::Error),
    /// The answer makes no sense.
    #[error("the node at {0} answered something else: {1}")]
    Answer(PathBuf, String),
    /// The node refused.
    #[error("{0}")]
    Refused(String),
}

/// What a node answers.
#[derive(Clone, PartialEq, Debug)]
pub struct Shown {
    /// What was asked for.
    pub value: Value,
    /// Rows of it that are beyond the limit.
    pub more: u64,
}

/// Sends `request` to the node that listens at `socket` and returns its answer; of a table the rows up to the limit.
///
/// # Errors
/// See [`ClientError`].
pub fn request(socket: &Path, request: &Request) -> Result<Value, ClientError> {
    ask(socket, request).map(|shown| shown.value)
}

/// The same, with how much there is beyond the limit.
///
/// # Errors
/// See [`ClientError`].
pub fn ask(socket: &Path, request: &Request) -> Result<Shown, ClientError> {
    let place = || socket.to_owned();
    let mut stream = UnixStream::connect(socket).map_err(|error| ClientError::Connect(place(), error))?;
    let mut line = Vec::new();
    let exchange = |stream: &mut UnixStream, line: &mut Vec<u8>| {
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        stream.write_all(&request.emit())?;
        BufReader::new(stream.take(MAX_ANSWER_LEN)).read_until(b'\n', line)?;
        if line.last() == Some(&b'\n') { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    };
    exchange(&mut stream, &mut line).map_err(|error| ClientError::Exchange(place(), error))?;
    match Answer::parse(&line).map_err(|why| ClientError::Answer(place(), why))? {
        Answer::Ok(value) => Ok(Shown { value, more: 0 }),
        Answer::Part { rows, more } => Ok(Shown { value: rows, more }),
        Answer::Error(why) => Err(ClientError::Refused(why)),
    }
}
