//! Answers to what is no standard query: another opcode, malformed, EDNS of another version. Always an error, never
//! data. Rare, so clarity goes before speed: hickory-server decodes and encodes here.

use hickory_proto::op::{Edns, Header, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, BinEncoder};
use hickory_server::zone_handler::{MessageResponseBuilder, Queries};

use crate::question::OUR_UDP_BYTES;

/// Writes the error that `packet` gets into `out`. Nothing is said to a packet without a whole header, nor to a
/// response: answering those would let two servers talk for ever.
pub(crate) fn answer(packet: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut decoder = BinDecoder::new(packet);
    let header = Header::read(&mut decoder).ok()?;
    if header.metadata.message_type == MessageType::Response {
        return None;
    }
    let count = usize::from(header.counts.queries == 1);
    // A question that cannot be read is not echoed; reading none of them always works.
    let queries = Queries::read(&mut decoder, count)
        .or_else(|_| Queries::read(&mut decoder, 0))
        .ok()?;
    let message = Message::from_vec(packet).ok();
    let is_one_question = message
        .as_ref()
        .is_some_and(|message| message.queries.len() == 1);
    let edns = message.and_then(|message| message.edns);
    let code = match (header.metadata.op_code, &edns) {
        (OpCode::Query, Some(edns)) if edns.version() > 0 => ResponseCode::BADVERS,
        // Well formed with records beside the question: a transfer of changes (RFC 1995), say.
        (OpCode::Query, _) if is_one_question => ResponseCode::NotImp,
        (OpCode::Query, _) => ResponseCode::FormErr,
        _ => ResponseCode::NotImp,
    };
    let mut ours = Edns::new();
    ours.set_max_payload(OUR_UDP_BYTES);
    let builder = MessageResponseBuilder::new(&queries, edns.as_ref().map(|_| &ours));
    let mut response = builder.error_msg(&header.metadata, code);
    response.metadata_mut().recursion_available = true;
    out.clear();
    response.destructive_emit(&mut BinEncoder::new(out)).ok()?;
    Some(())
}
