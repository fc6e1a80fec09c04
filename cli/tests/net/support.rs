//! A daemon that only pretends, for the tests of `net`: it answers as a test says and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Longest time that a condition may take to become true.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) body: Value,
}

/// A pretended daemon on a socket of its own; gone when dropped.
pub(crate) struct Daemon {
    pub(crate) directory: tempfile::TempDir,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// What a test answers to `METHOD PATH` and body: status and body.
pub(crate) type Answer = dyn Fn(&str, &Value) -> (u16, Value) + Send + Sync;

impl Daemon {
    pub(crate) fn new(
        answer: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static,
    ) -> Self {
        Self::with_files(|_| answer)
    }

    /// One whose answers tell of files, in a directory that goes with it: the answers themselves stay with threads that
    /// nobody waits for.
    pub(crate) fn with_files<A>(make: impl FnOnce(PathBuf) -> A) -> Self
    where
        A: Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static,
    {
        let directory = tempfile::tempdir().unwrap();
        let files = directory.path().join("files");
        std::fs::create_dir(&files).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let daemon = Self {
            directory,
            requests,
        };
        daemon.listen(make(files));
        daemon
    }

    /// Listens (again) at the socket.
    pub(crate) fn listen(
        &self,
        answer: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static,
    ) {
        let _ = std::fs::remove_file(self.socket());
        let listener = UnixListener::bind(self.socket()).unwrap();
        let requests = self.requests.clone();
        let answer: Arc<Answer> = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (requests, answer) = (requests.clone(), answer.clone());
                thread::spawn(move || serve(stream.unwrap(), &requests, &*answer));
            }
        });
    }

    /// From now on nobody answers there.
    pub(crate) fn vanish(&self) {
        std::fs::remove_file(self.socket()).unwrap();
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("netd.sock")
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The bodies of the requests whose line is `line`.
    pub(crate) fn bodies(&self, line: &str) -> Vec<Value> {
        let requests = self.requests();
        let fitting = requests.into_iter().filter(|request| request.line == line);
        fitting.map(|request| request.body).collect()
    }

    /// `net` with these arguments, talking to this daemon.
    pub(crate) fn net(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_net"));
        command.env("NETD_HOST", self.socket()).args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.net(arguments).output().unwrap()
    }
}

fn serve(stream: UnixStream, requests: &Mutex<Vec<Request>>, answer: &Answer) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let line = line
            .trim()
            .strip_suffix(" HTTP/1.1")
            .unwrap()
            .replacen("/netd/v1", "", 1);
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok().filter(|n| *n > 0)?;
            if header.trim().is_empty() {
                break;
            }
            let header = header.to_ascii_lowercase();
            if let Some(number) = header.strip_prefix("content-length:") {
                length = number.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let (status, reply) = answer(&line, &body);
        requests.lock().unwrap().push(Request { line, body });
        let reply = if reply.is_null() {
            String::new()
        } else {
            reply.to_string()
        };
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n",
            reply.len()
        );
        stream.write_all((head + &reply).as_bytes()).ok()?;
    }
}

/// A refusal.
pub(crate) fn refuse(status: u16, code: &str, message: &str) -> (u16, Value) {
    (status, json!({"code": code, "message": message}))
}

/// A container as the daemon shows it, its files in `files`.
pub(crate) fn container(name: &str, files: &Path) -> Value {
    for (file, text) in [
        ("hosts", "127.0.0.1 localhost\n10.9.8.7 netd-made-this\n"),
        ("resolv.conf", "nameserver 127.0.0.11\n"),
        ("hostname", "inner\n"),
    ] {
        std::fs::write(files.join(file), text).unwrap();
    }
    json!({
        "id": "f9".repeat(32), "name": name, "hostname": "inner", "created": "2026-11-20T18:00:00Z",
        "state": "running", "ended": null, "exit_code": null, "command": [], "namespace": "private", "pid": null,
        "netns_path": null, "networks": [], "labels": {},
        "files": {
            "hosts": files.join("hosts"), "resolv_conf": files.join("resolv.conf"),
            "hostname": files.join("hostname"),
        },
    })
}

/// A daemon that takes every container, of the pid that it is registered with.
pub(crate) fn accepting() -> Daemon {
    let known: Mutex<Option<Value>> = Mutex::new(None);
    Daemon::with_files(|files| {
        move |line: &str, body: &Value| {
            let mut known = known.lock().unwrap();
            match line {
                "POST /containers" => {
                    let mut view = container("c1", &files);
                    view["pid"] = body["supervisor_pid"].clone();
                    if let Some(hostname) = body["hostname"].as_str() {
                        view["hostname"] = hostname.into();
                    }
                    *known = Some(view.clone());
                    (201, view)
                }
                "GET /containers/c1" => match &*known {
                    Some(view) => (200, view.clone()),
                    None => refuse(404, "container_not_found", "no container c1"),
                },
                line if line.ends_with("/exit") || line.starts_with("DELETE") => (204, Value::Null),
                line => refuse(404, "no_such_path", line),
            }
        }
    })
}

/// Waits until `condition` gives something.
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(
            begin.elapsed() < DEADLINE,
            "not within {DEADLINE:?}: {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Where the fake container's exit code is reported.
pub(crate) const EXIT: &str =
    "POST /containers/f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9/exit";

/// True while a process runs.
pub(crate) fn is_alive(pid: &str) -> bool {
    // A zombie has ended.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(')').unwrap().1.starts_with(" Z"))
}
