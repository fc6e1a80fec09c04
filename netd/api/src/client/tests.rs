//! The client against a server that answers as it is told, byte for byte.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::sync::mpsc;
use std::thread;

use super::*;
use crate::ErrorCode;

/// A server that gives the n-th connection the n-th answer and closes, and tells what it was asked.
struct Canned {
    directory: tempfile::TempDir,
    requests: mpsc::Receiver<String>,
    closed: mpsc::Receiver<()>,
}

impl Canned {
    fn new(answers: Vec<Vec<u8>>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("s")).unwrap();
        let (sender, requests) = mpsc::channel();
        let (end, closed) = mpsc::channel();
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                let mut byte = [0];
                while !complete(&request) && stream.read(&mut byte).unwrap() == 1 {
                    request.push(byte[0]);
                }
                sender.send(String::from_utf8(request).unwrap()).unwrap();
                stream.write_all(&answer).unwrap();
                drop(stream);
                // Most tests do not ask.
                let _ = end.send(());
            }
        });
        Self {
            directory,
            requests,
            closed,
        }
    }

    fn client(&self) -> Client {
        Client::new(&self.directory.path().join("s"))
    }

    fn request(&self) -> String {
        self.requests.recv_timeout(Duration::from_secs(5)).unwrap()
    }

    /// Waits until a connection is closed.
    fn closed(&self) {
        self.closed.recv_timeout(Duration::from_secs(5)).unwrap();
    }
}

fn complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .filter_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        })
        .next();
    body.len() >= length.unwrap_or(0)
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[test]
fn an_answer_is_read_and_the_path_is_asked_for() {
    let server = Canned::new(vec![answer("200 OK", r#"{"version":"1.2.3","api":1}"#)]);
    let version = server.client().version().unwrap();
    assert_eq!((version.version.as_str(), version.api), ("1.2.3", 1));
    let request = server.request();
    assert!(
        request.starts_with("GET /netd/v1/version HTTP/1.1\r\n"),
        "{request}"
    );
}

#[test]
fn a_name_with_odd_characters_stays_one_segment() {
    let server = Canned::new(vec![answer("204 No Content", "").clone()]);
    server.client().remove_network("../a b?c#d/é").unwrap();
    let request = server.request();
    assert!(
        request.starts_with("DELETE /netd/v1/networks/..%2Fa%20b%3Fc%23d%2F%C3%A9 HTTP/1.1\r\n"),
        "{request}"
    );
}

#[test]
fn a_body_goes_out_as_json_with_its_length() {
    let server = Canned::new(vec![b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()]);
    let stop = StopRequest { timeout_seconds: 7 };
    server.client().stop("web", &stop).unwrap();
    let request = server.request();
    assert!(request.starts_with("POST /netd/v1/containers/web/stop HTTP/1.1\r\n"));
    assert!(
        request.contains("content-type: application/json\r\n"),
        "{request}"
    );
    assert!(
        request.ends_with("\r\n\r\n{\"timeout_seconds\":7}"),
        "{request}"
    );
}

#[test]
fn a_refusal_keeps_its_status_code_and_sentence() {
    let body = r#"{"code":"network_in_use","message":"network n is in use by web"}"#;
    let server = Canned::new(vec![answer("409 Conflict", body)]);
    let error = server.client().remove_network("n").unwrap_err();
    assert_eq!(error.to_string(), "network n is in use by web");
    assert!(!error.is_unreachable());
    let ClientError::Refused { status, body } = error else {
        panic!("{error}")
    };
    assert_eq!((status, body.code), (409, ErrorCode::NetworkInUse));
}

#[test]
fn a_code_from_the_future_is_still_an_error_with_a_sentence() {
    let body = r#"{"code":"moon_in_the_way","message":"wait"}"#;
    let server = Canned::new(vec![answer("409 Conflict", body)]);
    let error = server.client().networks().unwrap_err();
    assert!(matches!(error, ClientError::Refused { body, .. } if body.code == ErrorCode::Unknown));
}

#[test]
fn what_is_not_netd_is_told_so() {
    for reply in [
        answer("502 Bad Gateway", "<html>"),
        answer("200 OK", "<html>"),
        answer("200 OK", r#"{"version":1}"#),
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(),
    ] {
        let server = Canned::new(vec![reply.clone()]);
        let error = server.client().version().unwrap_err();
        let shown = String::from_utf8_lossy(&reply);
        assert!(
            matches!(error, ClientError::Protocol { .. }),
            "{shown}: {error:?}"
        );
    }
}

#[test]
fn a_broken_off_answer_is_never_taken_for_a_whole_one() {
    for reply in [
        Vec::new(),
        b"HTTP/1.1 200 OK\r\ncontent-le".to_vec(),
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[".to_vec(),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[]\r\n".to_vec(),
    ] {
        let server = Canned::new(vec![reply.clone()]);
        let error = server.client().networks().unwrap_err();
        let shown = String::from_utf8_lossy(&reply);
        assert!(
            matches!(error, ClientError::Lost { .. }),
            "{shown}: {error:?}"
        );
        assert!(error.is_unreachable());
    }
}

#[test]
fn no_daemon_names_the_socket_and_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("none.sock");
    let error = Client::new(&socket).networks().unwrap_err();
    assert!(matches!(error, ClientError::NoDaemon { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(socket.to_str().unwrap()), "{text}");
    assert!(
        text.contains("start it with `netd`") && text.contains("NETD_HOST"),
        "{text}"
    );

    drop(UnixListener::bind(&socket).unwrap());
    let error = Client::new(&socket).networks().unwrap_err();
    assert!(matches!(error, ClientError::NoDaemon { .. }), "{error:?}");
}

#[test]
fn a_silent_daemon_is_given_up_after_the_limit() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let _listener = UnixListener::bind(&socket).unwrap();
    let client = Client::new(&socket).with_timeout(Duration::from_millis(50));
    let error = client.version().unwrap_err();
    assert!(matches!(error, ClientError::Lost { .. }), "{error:?}");
}

#[test]
fn a_kept_connection_that_the_daemon_closed_is_made_anew() {
    let version = answer("200 OK", r#"{"version":"1","api":1}"#);
    let server = Canned::new(vec![version.clone(), version]);
    let client = server.client();
    client.version().unwrap();
    server.request();
    server.closed();
    client.version().unwrap();
}

#[test]
fn events_come_one_by_one_and_a_cut_is_the_last_item() {
    let event =
        r#"{"time":"t","kind":"network","action":"create","id":"1","name":"n","attributes":{}}"#;
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let (first, second) = event.split_at(20);
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let whole = format!(
        "{head}{}{}",
        chunk(first),
        chunk(&format!("{second}\n\n{event}\n"))
    );
    let server = Canned::new(vec![
        format!("{whole}0\r\n\r\n").into_bytes(),
        whole.into_bytes(),
    ]);

    let ended: Vec<_> = server.client().events().unwrap().collect();
    assert_eq!(ended.len(), 2);
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");

    let cut: Vec<_> = server.client().events().unwrap().collect();
    assert_eq!(cut.len(), 3);
    assert!(matches!(cut[2], Err(ClientError::Lost { .. })), "{cut:?}");
}

#[test]
fn an_address_is_a_path_with_or_without_its_scheme() {
    assert_eq!(parse_host("/run/a").unwrap(), Path::new("/run/a"));
    assert_eq!(parse_host("unix:///run/a").unwrap(), Path::new("/run/a"));
    assert_eq!(parse_host("a.sock").unwrap(), Path::new("a.sock"));
    for bad in ["", "unix://", "tcp://localhost:1", "http://x"] {
        assert!(
            matches!(parse_host(bad), Err(ClientError::BadHost { .. })),
            "{bad}"
        );
    }
}
