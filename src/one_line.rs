//! An error for people: one line.

/// What failed and why: the causes in turn, without those that the line names already.
pub(crate) fn in_one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::ListenerError;
    use std::io::{Error, ErrorKind};

    #[test]
    fn no_cause_is_said_twice() {
        let denied = || Error::from(ErrorKind::PermissionDenied);
        let refused = ListenerError::Io { path: "/x/y".into(), source: denied() };
        assert_eq!(
            in_one_line(&anyhow::Error::new(refused).context("admin.socket")),
            format!(
                "admin.socket: /x/y: the socket cannot be made: {}; make its directory writable for this process",
                denied()
            )
        );
        assert_eq!(in_one_line(&anyhow::Error::new(denied()).context("cannot")), format!("cannot: {}", denied()));
    }
}
