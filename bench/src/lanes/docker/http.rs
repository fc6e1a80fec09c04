//! As much of HTTP/1.1 (RFC 9112) as Docker's interface needs, on one connection that is kept.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: BufReader<UnixStream>,
}

impl Connection {
    /// Connects to a Unix socket.
    pub(super) fn open(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("connect to {}", socket.display()))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Sends JSON, or nothing, and gives the answer; a status of 400 or more is an error.
    pub(super) fn json(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let bytes = body.map(Value::to_string).unwrap_or_default();
        let answer = self.send((method, path), "application/json", bytes.as_bytes())?;
        Ok(serde_json::from_slice(&answer).unwrap_or(Value::Null))
    }

    /// Sends a body of any kind.
    pub(super) fn send(
        &mut self,
        (method, path): (&str, &str),
        kind: &str,
        body: &[u8],
    ) -> Result<Vec<u8>> {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: docker\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        );
        // In one piece: two small writes would wait for each other on some transports.
        let whole = [head.as_bytes(), body].concat();
        self.stream
            .get_mut()
            .write_all(&whole)
            .context("send a request")?;
        let (status, answer) = self.answer()?;
        let text = || String::from_utf8_lossy(&answer).trim().to_owned();
        ensure!(status < 400, "{method} {path}: status {status}: {}", text());
        Ok(answer)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let length = self.stream.read_line(&mut line).context("read an answer")?;
        ensure!(length > 0, "the connection was closed");
        Ok(line.trim_end().to_owned())
    }

    fn answer(&mut self) -> Result<(u16, Vec<u8>)> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.with_context(|| format!("no status in {first:?}"))?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':') {
                None => break,
                Some(("content-length", value)) => length = value.trim().parse()?,
                Some(("transfer-encoding", value)) => chunked = value.contains("chunked"),
                Some(_) => {}
            }
        }
        let body = match chunked {
            true => self.chunks()?,
            false => self.bytes(length)?,
        };
        Ok((status, body))
    }

    fn bytes(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut body = vec![0; length];
        self.stream
            .read_exact(&mut body)
            .context("read an answer")?;
        Ok(body)
    }

    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let Ok(length) = usize::from_str_radix(line.trim(), 16) else {
                bail!("no length of a chunk: {line:?}");
            };
            body.extend(self.bytes(length)?);
            self.line()?;
            if length == 0 {
                return Ok(body);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn answered(text: &'static str) -> Result<Value> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
        });
        let answer = Connection::open(&path).unwrap().json("GET", "/x", None);
        server.join().unwrap();
        answer
    }

    #[test]
    fn answers_of_both_forms_are_read() {
        let whole = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}";
        assert_eq!(answered(whole).unwrap()["a"], 1);
        let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":2}\r\n0\r\n\r\n";
        assert_eq!(answered(chunks).unwrap()["a"], 2);
        let empty = "HTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(answered(empty).unwrap(), Value::Null);
    }

    #[test]
    fn a_refusal_is_an_error_with_its_words() {
        let text = "HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\n\r\nno such ";
        let error = answered(text).unwrap_err().to_string();
        assert!(
            error.contains("404") && error.contains("no such"),
            "{error}"
        );
        assert!(answered("").is_err());
    }
}
