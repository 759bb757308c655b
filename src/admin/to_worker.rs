//! The way to the worker, for threads beside it.

use super::Command;
use crate::kernel::KernelBatch;
use crossbeam_channel::{RecvTimeoutError, Sender, TrySendError, bounded};
use std::sync::Arc;
use std::time::Duration;

/// How long the worker may take to answer.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(2);
/// What is said of a worker that has ended.
pub(super) const NO_COMMANDS: &str = "the node takes no commands any more";

/// Wakes the worker where it sleeps, after a command was put into its channel.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// The way to the worker.
#[derive(Clone)]
pub struct ToWorker {
    commands: Sender<Command>,
    wake: Wake,
}

impl ToWorker {
    /// Commands go into `commands`, each followed by a call of `wake`.
    pub fn new(commands: Sender<Command>, wake: Wake) -> Self {
        ToWorker { commands, wake }
    }

    /// Gives the worker a command; `false` where it takes none any more.
    pub fn tell(&self, command: Command) -> bool {
        let told = self.commands.send_timeout(command, REPLY_TIMEOUT).is_ok();
        (self.wake)();
        told
    }

    /// Gives the worker changes of the kernel where it has room.
    ///
    /// # Errors
    /// The changes, where it has none, or takes none any more.
    pub fn offer(&self, batch: KernelBatch) -> Result<(), KernelBatch> {
        match self.commands.try_send(Command::Kernel(batch)).map_err(TrySendError::into_inner) {
            Err(Command::Kernel(batch)) => Err(batch),
            _ => {
                (self.wake)();
                Ok(())
            }
        }
    }

    /// Gives the worker a command that it answers.
    ///
    /// # Errors
    /// That there is no answer, and why.
    pub fn ask<T>(&self, command: impl FnOnce(Sender<T>) -> Command) -> Result<T, String> {
        let (reply, answer) = bounded(1);
        if !self.tell(command(reply)) {
            return Err(NO_COMMANDS.into());
        }
        answer.recv_timeout(REPLY_TIMEOUT).map_err(|error| match error {
            RecvTimeoutError::Timeout => "the node did not answer in time".into(),
            RecvTimeoutError::Disconnected => "the node has stopped".into(),
        })
    }
}
