//! Paths of attachments.

use super::{Client, ClientError};
use crate::{AttachRequest, Attached, RetainReport, RetainRequest, RuntimeKey};

/// Every method fails with [`ClientError`]: `Refused` carries the daemon's own sentence.
impl Client {
    /// Connects a namespace under a runtime's key.
    pub fn attach(&self, request: &AttachRequest) -> Result<Attached, ClientError> {
        self.post(&["attachments"], request)
    }

    /// Ends what a runtime knows by this key. Succeeds if there is nothing.
    pub fn release(&self, key: &RuntimeKey) -> Result<(), ClientError> {
        self.done(self.send(&["attachments", "release"], key))
    }

    /// Looks whether all is as it shall be that a runtime knows by this key.
    pub fn check(&self, key: &RuntimeKey) -> Result<Attached, ClientError> {
        self.post(&["attachments", "check"], key)
    }

    /// Ends everything of a runtime's network configuration that it does not know any more.
    pub fn retain(&self, request: &RetainRequest) -> Result<RetainReport, ClientError> {
        self.post(&["attachments", "retain"], request)
    }
}
