//! The TCP loop of one sandbox: a task per connection, a bounded number of them, each with limited patience, so that
//! clients which say nothing or read nothing keep nobody waiting (CVE-2024-8418).

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use crate::answer::{Scope, Step, Transport};
use crate::reply::{self, Code};
use crate::resolver::Sandbox;
use crate::udp::PAUSE_AFTER_ERROR;
use crate::view::{Forwarding, Upstreams};

/// Longest query in bytes. The protocol allows 65,535; nobody asks that much, and each connection may hold one.
const QUERY_MAX_BYTES: u16 = 4096;

/// Answers until the task is aborted, which ends the connections too.
pub(crate) async fn serve(sandbox: Arc<Sandbox>, listener: TcpListener) {
    let limit = sandbox.common.options.connections_per_sandbox.max(1);
    let mut tasks = JoinSet::new();
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a DNS connection; trying again");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                continue;
            }
        };
        while tasks.try_join_next().is_some() {}
        open.retain(|task| !task.is_finished());
        if open.len() >= limit
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
            sandbox.common.counters.connections_evicted.add_one();
        }
        open.push_back(tasks.spawn(converse(Arc::clone(&sandbox), stream)));
    }
}

/// Answers one query after the other until the client ends, errs or is silent for too long.
async fn converse(sandbox: Arc<Sandbox>, mut stream: TcpStream) {
    let patience = sandbox.common.options.tcp_patience;
    loop {
        let Ok(Ok(query)) = timeout(patience, read_query(&mut stream)).await else {
            return;
        };
        let Some(answer) = answer(&sandbox, &query).await else {
            return;
        };
        if !write_answer(&mut stream, answer, patience).await {
            return;
        }
    }
}

/// Reads one query behind its length (RFC 1035 section 4.2.2).
async fn read_query(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    if length > QUERY_MAX_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut query = vec![0; usize::from(length)];
    stream.read_exact(&mut query).await?;
    Ok(query)
}

/// Length and answer in one write: a segment for each would meet delayed acknowledgements.
async fn write_answer(stream: &mut TcpStream, answer: Vec<u8>, patience: Duration) -> bool {
    let Ok(length) = u16::try_from(answer.len()) else {
        return false;
    };
    let framed = [&length.to_be_bytes()[..], &answer].concat();
    matches!(
        timeout(patience, stream.write_all(&framed)).await,
        Ok(Ok(()))
    )
}

async fn answer(sandbox: &Sandbox, query: &[u8]) -> Option<Vec<u8>> {
    let common = &sandbox.common;
    let mut out = Vec::new();
    let (step, upstreams) = answer_at_once(sandbox, query, &mut out);
    match (step, upstreams) {
        (Step::Reply, _) => Some(out),
        (Step::Forward(question), Some(upstreams)) => {
            if let Ok(_permit) = sandbox.forwards.try_acquire() {
                common
                    .forwarder
                    .answer(&question, &upstreams, Transport::Tcp, &mut out)
                    .await;
            } else {
                common.counters.refused_for_limits.add_one();
                reply::empty(&mut out, &question, Code::ServFail);
            }
            Some(out)
        }
        _ => None,
    }
}

/// The part that does not wait, and may therefore hold the snapshot.
fn answer_at_once(sandbox: &Sandbox, query: &[u8], out: &mut Vec<u8>) -> (Step, Option<Upstreams>) {
    let names = sandbox.common.directory.snapshot();
    let view = sandbox.view.load();
    let scope = Scope {
        names: &names,
        view: &view,
        counters: &sandbox.common.counters,
    };
    let step = scope.answer(query, Transport::Tcp, out);
    let upstreams = match &view.forwarding {
        Forwarding::To(upstreams) if matches!(step, Step::Forward(_)) => Some(upstreams.clone()),
        _ => None,
    };
    (step, upstreams)
}
