//! What the service manager that started this process is told: the protocol of sd_notify(3), a datagram a message to the
//! Unix socket that `NOTIFY_SOCKET` names, `NAME=value` a line.
//!
//! Told are READY, STOPPING, STATUS and WATCHDOG. Descriptors are not handed over, and a manager outside of this machine
//! (`vsock:`) is not spoken to.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a message may wait for room with the manager. It is sent by threads that have other things to do.
const PATIENCE: Duration = Duration::from_millis(500);

/// Why the service manager cannot be told anything.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The variable names no socket that there can be.
    #[error(
        "NOTIFY_SOCKET is \"{0}\": give the absolute path of a Unix socket, or an abstract one as @NAME, or unset it"
    )]
    Address(String),
    /// A variable is not a number as it should be.
    #[error("{name} is \"{value}\": give a whole number above 0, or unset it")]
    Number {
        /// The variable.
        name: &'static str,
        /// What is in it.
        value: String,
    },
    /// There is no socket to be had.
    #[error("no socket to tell the service manager by: {0}")]
    Socket(#[from] io::Error),
}

/// The way to the service manager.
#[derive(Debug)]
pub struct Notifier {
    socket: UnixDatagram,
    manager: SocketAddr,
    /// Whether a line has said that it cannot be told.
    complained: AtomicBool,
}

impl Notifier {
    /// To the manager that `NOTIFY_SOCKET` names; `None` where it names none.
    ///
    /// # Errors
    /// See [`NotifyError`].
    pub fn from_environment() -> Result<Option<Self>, NotifyError> {
        std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()).map(|name| Notifier::new(&name)).transpose()
    }

    /// To the manager at this address: an absolute path, or an abstract name behind `@`.
    ///
    /// # Errors
    /// See [`NotifyError`].
    pub fn new(address: &OsStr) -> Result<Self, NotifyError> {
        let manager = match address.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(address).ok(),
            [b'@', name @ ..] if !name.is_empty() => SocketAddr::from_abstract_name(name).ok(),
            _ => None,
        };
        let manager = manager.ok_or_else(|| NotifyError::Address(address.to_string_lossy().into_owned()))?;
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Notifier { socket, manager, complained: AtomicBool::new(false) })
    }

    /// The node is up, and this is what it is.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", in_a_line(status)));
    }

    /// The node has begun to end in order.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=leaving groups and neighbours");
    }

    /// What people are to see of the node.
    pub fn status(&self, status: &str) {
        self.send(&format!("STATUS={}", in_a_line(status)));
    }

    /// All is well. Without this for the time of [`watchdog_time`] the manager ends the process.
    pub fn watchdog(&self) {
        self.send("WATCHDOG=1");
    }

    /// A message that does not arrive is told of once, until one has arrived again.
    fn send(&self, message: &str) {
        match self.socket.send_to_addr(message.as_bytes(), &self.manager) {
            Ok(_) => self.complained.store(false, Ordering::Relaxed),
            Err(error) if !self.complained.swap(true, Ordering::Relaxed) => {
                super::complain(&format!("the service manager cannot be told {message:?} by NOTIFY_SOCKET: {error}"));
            }
            Err(_) => {}
        }
    }
}

fn in_a_line(text: &str) -> String {
    text.replace('\n', " ")
}

/// The time within which the manager wants to hear [`Notifier::watchdog`] again (`WATCHDOG_USEC`); `None` where it does not.
///
/// # Errors
/// [`NotifyError::Number`]
pub fn watchdog_time() -> Result<Option<Duration>, NotifyError> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    watchdog_time_of(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"))
}

fn watchdog_time_of(time: Option<OsString>, process: Option<OsString>) -> Result<Option<Duration>, NotifyError> {
    let number = |name, value: OsString| {
        let parsed = value.to_str().and_then(|text| text.parse::<u64>().ok()).filter(|&number| number > 0);
        parsed.ok_or_else(|| NotifyError::Number { name, value: value.to_string_lossy().into_owned() })
    };
    // That of a process which has started this one, and which is expected to tell the manager itself.
    if let Some(process) = process
        && number("WATCHDOG_PID", process)? != u64::from(std::process::id())
    {
        return Ok(None);
    }
    time.map(|time| number("WATCHDOG_USEC", time).map(Duration::from_micros)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(manager: &UnixDatagram) -> String {
        let mut octets = [0; 4096];
        let length = manager.recv(&mut octets).unwrap();
        String::from_utf8(octets[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_manager_at_a_path_and_one_at_an_abstract_name_are_told() {
        let name = format!("drover-notify-{}", std::process::id());
        let path = std::env::temp_dir().join(&name);
        let _ = std::fs::remove_file(&path);
        let at_path = UnixDatagram::bind(&path).unwrap();
        let abstract_address = SocketAddr::from_abstract_name(&name).unwrap();
        let at_name = UnixDatagram::bind_addr(&abstract_address).unwrap();
        for (address, manager) in [(path.clone().into_os_string(), at_path), (format!("@{name}").into(), at_name)] {
            let notifier = Notifier::new(&address).unwrap();
            notifier.ready("core: router\nports a b");
            assert_eq!(received(&manager), "READY=1\nSTATUS=core: router ports a b", "a message has no third line");
            notifier.watchdog();
            assert_eq!(received(&manager), "WATCHDOG=1");
            notifier.status("well");
            assert_eq!(received(&manager), "STATUS=well");
            notifier.stopping();
            assert!(received(&manager).starts_with("STOPPING=1\nSTATUS="));
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn addresses_that_nobody_can_be_at_are_refused() {
        for address in ["", "@", "run/notify", "vsock:2:1234", &format!("/{}", "x".repeat(200))] {
            let refused = Notifier::new(OsStr::new(address)).unwrap_err().to_string();
            assert!(refused.starts_with("NOTIFY_SOCKET is ") && refused.contains("unset it"), "{refused}");
        }
    }

    #[test]
    fn who_is_watched_and_for_how_long() {
        let own = std::process::id().to_string();
        let time = |time: Option<&str>, process: Option<&str>| {
            watchdog_time_of(time.map(Into::into), process.map(Into::into)).map_err(|error| error.to_string())
        };
        assert_eq!(time(None, None), Ok(None));
        assert_eq!(time(Some("30000000"), None), Ok(Some(Duration::from_secs(30))));
        assert_eq!(time(Some("2500"), Some(&own)), Ok(Some(Duration::from_micros(2500))));
        assert_eq!(time(Some("2500"), Some("1")), Ok(None), "another process is");
        for wrong in ["0", "-1", "soon", "1.5", "99999999999999999999"] {
            let refused = time(Some(wrong), None).unwrap_err();
            assert_eq!(refused, format!("WATCHDOG_USEC is \"{wrong}\": give a whole number above 0, or unset it"));
        }
        assert!(time(Some("1"), Some("me")).unwrap_err().starts_with("WATCHDOG_PID is \"me\""));
    }
}
