//! HTTP as no client speaks it: bytes as they are, on a Unix socket of a machine. Must not know what the answers should be.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::wait::PATIENCE;
use crate::{Machine, OrFail};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status of HTTP; 0 if there is none.
    pub status: u16,
    /// The line of the status and the headers, in lower case.
    pub head: String,
    /// The body as it came.
    pub body: String,
}

impl Machine {
    /// Sends bytes to a socket inside, and reads until the other side hangs up.
    ///
    /// # Panics
    /// When nothing listens.
    #[track_caller]
    pub fn raw_http(&self, socket: &str, bytes: &[u8]) -> Answer {
        let mut stream = UnixStream::connect(self.path(socket)).or_fail("connect to the socket");
        let patience = Some(PATIENCE * 2);
        stream.set_read_timeout(patience).or_fail("set a timeout");
        stream.set_write_timeout(patience).or_fail("set a timeout");
        // Who has read enough may hang up in the midst of it.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut words = head.split_whitespace();
        let status = words.nth(1).and_then(|code| code.parse().ok());
        Answer {
            status: status.unwrap_or(0),
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }
}
