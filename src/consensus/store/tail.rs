//! A last write that a power cut tore.
//!
//! A disk writes a sector whole or not at all, and a sector of a growing file that was not written
//! reads as zeros. So a damaged record in the last chunk with a sector of zeros in it is part of a
//! write that never finished: nothing from there on was reported durable, and it is cut off. Damage
//! of another kind is left for the caller to refuse.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, Read, Seek, SeekFrom},
    ops::Range,
};

use raft_log::{
    RaftWalTypes, Types, WALRecord,
    chunked_wal::{self, ChunkedWal},
    codeq::{Decode, OffsetReader},
};
use tracing::warn;

const SECTOR_BYTES: u64 = 512;

/// Cuts an unfinished write off the last chunk; says whether there was one.
pub(crate) fn cut_torn<T: Types>(config: &chunked_wal::Config) -> io::Result<bool> {
    let lock = ChunkedWal::<RaftWalTypes<T>>::acquire_lock(config)?;
    let chunks = ChunkedWal::<RaftWalTypes<T>>::load_chunk_ids(config, &lock)?;
    let Some(last) = chunks.last() else {
        return Ok(false);
    };
    let path = config.chunk_path(*last);
    let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
    let damaged = first_damaged::<T>(&file)?;
    let mut record = Vec::new();
    file.seek(SeekFrom::Start(damaged.start))?;
    (&file)
        .take(damaged.end.next_multiple_of(SECTOR_BYTES) - damaged.start)
        .read_to_end(&mut record)?;
    let torn = sectors(&record, damaged.start).any(|sector| sector.iter().all(|byte| *byte == 0));
    if torn {
        let cut_bytes = file.metadata()?.len() - damaged.start;
        warn!(file = path, cut_bytes, "cut off an unfinished write");
        file.set_len(damaged.start)?;
        file.sync_all()?;
    }
    Ok(torn)
}

/// Where the first record that cannot be read stands, as far as it was read.
fn first_damaged<T: Types>(file: &File) -> io::Result<Range<u64>> {
    let length = file.metadata()?.len();
    let mut reader = OffsetReader::new(BufReader::new(file));
    let mut good_bytes = 0;
    while good_bytes < length && WALRecord::<RaftWalTypes<T>>::decode(&mut reader).is_ok() {
        good_bytes = reader.offset() as u64;
    }
    Ok(good_bytes..reader.offset() as u64)
}

/// `bytes`, which stand at `offset` of a file, divided as the disk's sectors divide them.
fn sectors(bytes: &[u8], offset: u64) -> impl Iterator<Item = &[u8]> {
    let to_boundary = (SECTOR_BYTES - offset % SECTOR_BYTES) % SECTOR_BYTES;
    let (head, tail) = bytes.split_at(bytes.len().min(to_boundary as usize));
    let head = (!head.is_empty()).then_some(head);
    head.into_iter().chain(tail.chunks(SECTOR_BYTES as usize))
}
