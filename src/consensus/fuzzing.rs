//! What fuzzing feeds with bytes: what this layer decodes, without the sockets and files around it.

use bytes::BytesMut;
use raft_log::codeq::Decode;
use serde::de::DeserializeOwned;
use tokio_util::codec::Decoder;

use super::{
    store::record::StoredPayload,
    transport::message::{
        Call, Hello, MAX_FRAME_BYTES, MAX_HELLO_BYTES, Reply, Request, Welcome, codec, decode,
    },
    types::TypeConfig,
};

/// Reads the payload of an entry as it stands in the log's files.
pub fn decode_stored(bytes: &[u8]) {
    let _ = StoredPayload::decode(bytes);
}

/// Reads frames as they come in on the peer port, and as a peer answers.
pub fn decode_frames(bytes: &[u8]) {
    let mut incoming = BytesMut::from(bytes);
    let mut codec = codec(MAX_HELLO_BYTES);
    while let Ok(Some(frame)) = codec.decode(&mut incoming) {
        codec.set_max_frame_length(MAX_FRAME_BYTES);
        as_message::<Hello>(&frame);
        as_message::<Welcome>(&frame);
        as_message::<Call<Request>>(&frame);
        as_message::<Call<Reply>>(&frame);
        as_message::<openraft::raft::AppendEntriesRequest<TypeConfig>>(&frame);
        as_message::<openraft::raft::StreamAppendResult<TypeConfig>>(&frame);
    }
}

fn as_message<T: DeserializeOwned>(frame: &[u8]) {
    let _ = decode::<T>(frame);
}
