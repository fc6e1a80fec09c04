//! DNS servers that do as a test wants, good or evil. Their packets are written by hickory, not by our own code.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Edns, Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, SOA};
use hickory_proto::rr::{Name, RData, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

type Reply = dyn Fn(&Message, Over) -> Vec<Vec<u8>> + Send + Sync;

/// How the query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Udp,
    Tcp,
}

/// A server on loopback; ends with the test's runtime.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<AtomicUsize>,
    queries: Arc<Mutex<Vec<Message>>>,
}

impl Upstream {
    /// A server at 127.0.1.`n` port 53 that sends what `reply` makes of each query: any number of packets.
    pub(crate) async fn start(
        n: u8,
        reply: impl Fn(&Message, Over) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let address = SocketAddr::from(([127, 0, 1, n], 53));
        let udp = UdpSocket::bind(address).await.unwrap();
        let tcp = TcpListener::bind(address).await.unwrap();
        let upstream = Self {
            address,
            seen: Arc::default(),
            queries: Arc::default(),
        };
        let reply: Arc<Reply> = Arc::new(reply);
        tokio::spawn(serve_udp(udp, upstream.noting(Arc::clone(&reply))));
        tokio::spawn(serve_tcp(tcp, upstream.noting(reply)));
        upstream
    }

    /// A server that has an A record for every name, TTL 100.
    pub(crate) async fn good(n: u8) -> Self {
        Self::start(n, move |query, _| vec![packet(&with_a(query, 100, n))]).await
    }

    /// A server that never says anything.
    pub(crate) async fn silent(n: u8) -> Self {
        Self::start(n, |_, _| Vec::new()).await
    }

    fn noting(&self, reply: Arc<Reply>) -> Arc<Reply> {
        let (seen, queries) = (Arc::clone(&self.seen), Arc::clone(&self.queries));
        Arc::new(move |query: &Message, over| {
            seen.fetch_add(1, Ordering::SeqCst);
            queries.lock().unwrap().push(query.clone());
            reply(query, over)
        })
    }

    /// How many queries came.
    pub(crate) fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }

    /// The queries that came.
    pub(crate) fn queries(&self) -> Vec<Message> {
        self.queries.lock().unwrap().clone()
    }
}

async fn serve_udp(socket: UdpSocket, reply: Arc<Reply>) {
    let mut buffer = vec![0; 4096];
    loop {
        let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
        let query = Message::from_vec(&buffer[..length]).expect("we send well-formed queries");
        for packet in reply(&query, Over::Udp) {
            socket.send_to(&packet, client).await.unwrap();
        }
    }
}

async fn serve_tcp(listener: TcpListener, reply: Arc<Reply>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut query = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut query).await.unwrap();
        for packet in reply(&Message::from_vec(&query).unwrap(), Over::Tcp) {
            stream
                .write_u16(u16::try_from(packet.len()).unwrap())
                .await
                .unwrap();
            stream.write_all(&packet).await.unwrap();
        }
    }
}

/// An empty answer with this code.
pub(crate) fn with_code(query: &Message, code: ResponseCode) -> Message {
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.response_code = code;
    answer.metadata.recursion_desired = query.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.add_queries(query.queries.iter().cloned());
    if query.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        answer.set_edns(edns);
    }
    answer
}

/// An answer with one A record, 203.0.113.`last`.
pub(crate) fn with_a(query: &Message, ttl_s: u32, last: u8) -> Message {
    let mut answer = with_code(query, ResponseCode::NoError);
    let name = query.queries[0].name().clone();
    answer.add_answer(Record::from_rdata(
        name,
        ttl_s,
        RData::A(A::new(203, 0, 113, last)),
    ));
    answer
}

/// A denial whose SOA lets it be kept for `minimum_s`.
pub(crate) fn denial(query: &Message, minimum_s: u32) -> Message {
    let mut answer = with_code(query, ResponseCode::NXDomain);
    let zone = Name::from_ascii("test.").unwrap();
    let soa = SOA::new(zone.clone(), zone.clone(), 1, 2, 3, 4, minimum_s);
    answer.add_authority(Record::from_rdata(zone, 900, RData::SOA(soa)));
    answer
}

/// Its bytes.
pub(crate) fn packet(message: &Message) -> Vec<u8> {
    message.to_vec().unwrap()
}
