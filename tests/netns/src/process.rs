//! Running programs: what they said, how they ended, how long it took; and those that stay in the background.
//!
//! Must not know what the programs are for.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::OrFail;

/// How long a program may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the output may stay open after the program has ended.
const OUTPUT_PATIENCE: Duration = Duration::from_secs(3);

/// A program that ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The command line as a person would type it.
    pub line: String,
    /// Exit status; 128 + signal number when a signal ended it.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
}

impl Ran {
    /// True if it exited with 0.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.code == 0
    }

    /// Itself, if it succeeded.
    ///
    /// # Panics
    /// With all it said, if not.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.code == 0, "expected success of\n{self}");
        self
    }

    /// Itself, if it exited with `code`.
    ///
    /// # Panics
    /// With all it said, if not, or if it failed without a word.
    #[track_caller]
    pub fn fails(self, code: i32) -> Self {
        assert!(self.code == code, "expected exit status {code} of\n{self}");
        assert!(
            !self.stderr.trim().is_empty(),
            "expected a message on stderr of\n{self}"
        );
        self
    }

    /// Itself, if its complaint contains each of `needles`, in any case.
    ///
    /// # Panics
    /// With all it said, if not.
    #[track_caller]
    pub fn names(self, needles: &[&str]) -> Self {
        let said = self.stderr.to_lowercase();
        for needle in needles {
            assert!(
                said.contains(&needle.to_lowercase()),
                "expected {needle:?} in the message of\n{self}"
            );
        }
        self
    }

    /// What it printed, without blanks around.
    #[must_use]
    pub fn text(&self) -> &str {
        self.stdout.trim()
    }

    /// What it printed, as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("expected JSON ({error}) of\n{self}"),
        }
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "    $ {}", self.line)?;
        writeln!(f, "    exit status {} after {:?}", self.code, self.took)?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            for line in text.lines() {
                writeln!(f, "    {name}: {line}")?;
            }
        }
        Ok(())
    }
}

fn collect(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let mut all = Vec::new();
        let _ = from.read_to_end(&mut all);
        let _ = tell.send(all);
    });
    told
}

/// Runs `command` to its end, with `input` on its standard input.
///
/// # Panics
/// When it cannot be started, does not end in a minute, or leaves a child that holds its output open.
#[track_caller]
pub fn run(mut command: Command, line: String, input: &[u8]) -> Ran {
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .or_fail(&format!("start {line}"));
    let mut stdin = child.stdin.take().or_fail("standard input");
    let input = input.to_vec();
    // A program that ends without reading its input is judged by its exit status.
    std::thread::spawn(move || drop(stdin.write_all(&input)));
    let stdout = collect(child.stdout.take().or_fail("standard output"));
    let stderr = collect(child.stderr.take().or_fail("standard error"));
    let status = loop {
        if let Some(status) = child.try_wait().or_fail(&format!("wait for {line}")) {
            break status;
        }
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("{line} did not end within {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let took = start.elapsed();
    let text = |from: Receiver<Vec<u8>>, name: &str| match from.recv_timeout(OUTPUT_PATIENCE) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => panic!("{line} ended, but something that it started holds its {name} open"),
    };
    Ran {
        code: exit_code(status),
        stdout: text(stdout, "stdout"),
        stderr: text(stderr, "stderr"),
        line,
        took,
    }
}

fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// A program that stays in the background of a machine. Dropping it leaves it running; the machine's end ends it.
#[derive(Debug)]
pub struct Background {
    /// Process id inside the machine.
    pub pid: u32,
    pub(crate) child: std::process::Child,
    pub(crate) line: String,
}

impl Background {
    /// Waits until it ended by itself, and gives its exit status.
    ///
    /// # Panics
    /// When it does not end within `patience`.
    #[track_caller]
    pub fn ends_within(&mut self, patience: Duration) -> i32 {
        let what = format!("the end of {}", self.line);
        crate::within(patience, &what, || {
            self.child
                .try_wait()
                .or_fail("wait for a child")
                .map(exit_code)
        })
    }

    /// True while it runs.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}
