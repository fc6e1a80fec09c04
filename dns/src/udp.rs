//! The UDP loop of one sandbox. Names of the networks are answered inline; what is forwarded waits in a task of its
//! own, a bounded number of them.
//!
//! The loop holds no buffer while it waits: a thousand idle sandboxes cost a thousand small tasks.

use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::net::UdpSocket;

use crate::answer::{Scope, Step, Transport};
use crate::batch;
use crate::question::Question;
use crate::reply::{self, Code};
use crate::resolver::Sandbox;
use crate::view::{Forwarding, Upstreams};

/// Pause after an error of the socket itself, so that a lasting one does not take a whole core.
pub(crate) const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// Answers until the task is aborted.
pub(crate) async fn serve(sandbox: Arc<Sandbox>, socket: UdpSocket) {
    let socket = Arc::new(socket);
    loop {
        let outcome = match socket.readable().await {
            Ok(()) => answer_waiting(&sandbox, &socket),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => tokio::task::yield_now().await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                tracing::warn!(%error, "cannot receive DNS queries; trying again");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}

/// Answers what is in the socket's queue, one batch at most.
fn answer_waiting(sandbox: &Arc<Sandbox>, socket: &Arc<UdpSocket>) -> io::Result<()> {
    let mut out = Vec::with_capacity(usize::from(crate::question::PLAIN_UDP_BYTES));
    let names = sandbox.common.directory.snapshot();
    let view = sandbox.view.load();
    let scope = Scope {
        names: &names,
        view: &view,
        counters: &sandbox.common.counters,
    };
    batch::answer_waiting(socket, |packet, client, answers| {
        match scope.answer(packet, Transport::Udp, &mut out) {
            Step::Reply => answers.push(&out, client),
            Step::Ignore => {}
            Step::Forward(question) => {
                if let Forwarding::To(upstreams) = &view.forwarding {
                    let client = SocketAddrV4::from(client).into();
                    forward(sandbox, socket, upstreams.clone(), (question, client));
                }
            }
        }
    })
}

/// Sends an answer, or drops it where the client does not read: it will ask again, and others are waiting.
fn send(socket: &UdpSocket, answer: &[u8], client: SocketAddr) {
    if let Err(error) = socket.try_send_to(answer, client) {
        tracing::debug!(%error, %client, "a DNS answer was not sent");
    }
}

fn forward(
    sandbox: &Sandbox,
    socket: &Arc<UdpSocket>,
    upstreams: Upstreams,
    (question, client): (Question<'static>, SocketAddr),
) {
    let common = &sandbox.common;
    let mut out = Vec::new();
    let Ok(permit) = Arc::clone(&sandbox.forwards).try_acquire_owned() else {
        common.counters.refused_for_limits.add_one();
        reply::empty(&mut out, &question, Code::ServFail);
        return send(socket, &out, client);
    };
    let forwarder = Arc::clone(&common.forwarder);
    // Weak, so that a waiting query does not keep the socket of a stopped sandbox open.
    let socket: Weak<UdpSocket> = Arc::downgrade(socket);
    tokio::spawn(async move {
        forwarder
            .answer(&question, &upstreams, Transport::Udp, &mut out)
            .await;
        if let Some(socket) = socket.upgrade() {
            send(&socket, &out, client);
        }
        drop(permit);
    });
}
