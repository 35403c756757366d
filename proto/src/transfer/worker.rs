//! The worker: encodes repair symbols ahead of need, in a thread of its own, one block at a time, so that
//! the link never waits for a block to be encoded. For whoever may start threads; a [`Sender`] never does.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use super::{BlockStore, EncodeJob, Encoded, SendError, Sender};

/// The near end of a worker, for a sender with [`encode_elsewhere`](super::SenderConfig::encode_elsewhere).
#[derive(Debug)]
pub struct Worker {
    jobs: SyncSender<EncodeJob>,
    done: Receiver<Encoded>,
    busy: bool,
}

impl Worker {
    /// Starts the thread; it ends with the worker.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start() -> io::Result<Self> {
        let (jobs, todo) = sync_channel::<EncodeJob>(1);
        let (out, done) = sync_channel(1);
        thread::Builder::new().name("worker".to_owned()).spawn(move || {
            for job in todo {
                if out.send(job.run()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { jobs, done, busy: false })
    }

    /// Hands over what is done, and gives the thread something new to do. Should the thread have died, the
    /// sender encodes by itself what it needs.
    ///
    /// # Errors
    /// Those of [`Sender::poll_encode`].
    pub fn run<S: BlockStore>(
        &mut self,
        sender: &mut Sender,
        store: &mut S,
    ) -> Result<(), SendError<S::Error>> {
        if self.busy {
            match self.done.try_recv() {
                Ok(encoded) => sender.encoded(encoded),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return Ok(()),
            }
        }
        self.busy = sender.poll_encode(store)?.is_some_and(|job| self.jobs.try_send(job).is_ok());
        Ok(())
    }
}
