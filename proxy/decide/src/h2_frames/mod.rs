//! What an HTTP/2 client does with frames, watched as the bytes pass by: floods of frames that carry no request, and what
//! the `h2` crate lets through.
//!
//! Only the nine bytes before each frame are looked at (RFC 9113 section 4.1), and field blocks of trailers. A request costs
//! a handful of comparisons; the clock is asked only when a budget is spent.

mod budget;
mod trailers;

use budget::Budget;
pub use budget::Refill;
use smallvec::SmallVec;
use trailers::{Trailers, names_pseudo_field};
use weir_schema::config::checked::ClientH2;

/// Bytes of the preface (RFC 9113 section 3.4); the `h2` crate compares them.
const PREFACE_BYTES: u32 = 24;
/// Control frames that one piece of an answer earns back: window updates and pings that answer it.
const CONTROL_PER_PIECE: u32 = 4;
/// Resets that one answer earns back.
const RESETS_PER_ANSWER: u32 = 1;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;

const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameFault {
    /// Too many frames that carry no request: SETTINGS, PING, PRIORITY, WINDOW_UPDATE, CONTINUATION, empty DATA, unknown ones.
    ControlFlood,
    /// The first frame is not SETTINGS (RFC 9113 section 3.4).
    NoSettings,
    /// Too many RST_STREAM frames.
    ResetFlood,
    /// A field block, or a frame other than DATA, was begun and did not end in time. Timing is the caller's part.
    SlowHead,
}

/// Watches what one client sends.
#[derive(Debug)]
pub struct FrameWatch {
    head: [u8; 9],
    head_bytes: usize,
    /// Bytes of the frame, or of the preface, that have not come yet.
    payload_left: u32,
    settled: bool,
    /// A DATA frame is coming in.
    in_data: bool,
    /// A field block was begun and not ended.
    in_block: bool,
    /// The highest stream that a HEADERS frame has opened.
    opened: u32,
    trailers: Option<Trailers>,
    malformed: SmallVec<[u32; 4]>,
    control: Budget,
    resets: Budget,
}

impl FrameWatch {
    /// A connection that begins now.
    pub fn new(limits: &ClientH2, now_ns: u64) -> Self {
        Self {
            head: [0; 9],
            head_bytes: 0,
            payload_left: PREFACE_BYTES,
            settled: false,
            in_data: false,
            in_block: false,
            opened: 0,
            trailers: None,
            malformed: SmallVec::new(),
            control: Budget::new(
                limits.control_frames_max,
                limits.control_frames_per_s,
                CONTROL_PER_PIECE,
                now_ns,
            ),
            resets: Budget::new(limits.resets_max, limits.resets_per_s, RESETS_PER_ANSWER, now_ns),
        }
    }

    /// Sees the next bytes; `refill` tells the time and what the client has earned so far.
    ///
    /// # Errors
    /// Why the connection has to end. What follows must not be shown any more.
    pub fn observe(&mut self, mut bytes: &[u8], refill: impl Fn() -> Refill) -> Result<(), FrameFault> {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let count = bytes.len().min(self.payload_left as usize);
                let (payload, rest) = bytes.split_at(count);
                // `count` is at most `payload_left`.
                self.payload_left -= count as u32;
                bytes = rest;
                self.see_payload(payload);
                continue;
            }
            let count = bytes.len().min(self.head.len() - self.head_bytes);
            let (piece, rest) = bytes.split_at(count);
            for (place, byte) in self.head.iter_mut().skip(self.head_bytes).zip(piece) {
                *place = *byte;
            }
            self.head_bytes += count;
            bytes = rest;
            if self.head_bytes == self.head.len() {
                self.head_bytes = 0;
                self.see_head(&refill)?;
            }
        }
        Ok(())
    }

    /// Streams whose trailers name a pseudo field (RFC 9113 section 8.1), since this was last asked.
    pub fn take_malformed(&mut self) -> SmallVec<[u32; 4]> {
        std::mem::take(&mut self.malformed)
    }

    /// Whether the client owes the rest of a field block, or of a frame other than DATA.
    pub fn owes_head(&self) -> bool {
        self.in_block || self.head_bytes > 0 || (self.payload_left > 0 && !self.in_data)
    }

    fn see_head(&mut self, refill: &impl Fn() -> Refill) -> Result<(), FrameFault> {
        let [a, b, c, kind, flags, d, e, f, g] = self.head;
        let length = u32::from_be_bytes([0, a, b, c]);
        let stream = u32::from_be_bytes([d, e, f, g]) & 0x7fff_ffff;
        self.payload_left = length;
        self.in_data = kind == DATA;
        if matches!(kind, HEADERS | CONTINUATION) {
            self.in_block = flags & END_HEADERS == 0;
        }
        if !self.settled {
            self.settled = true;
            if kind != SETTINGS || flags & ACK != 0 {
                return Err(FrameFault::NoSettings);
            }
        }
        let pays = match kind {
            DATA => length == 0 && flags & END_STREAM == 0,
            HEADERS => {
                self.begin_block(stream, flags, length);
                false
            }
            RST_STREAM => {
                return if self.resets.spend(refill, |refill| refill.answers) {
                    Ok(())
                } else {
                    Err(FrameFault::ResetFlood)
                };
            }
            CONTINUATION => {
                if let Some(trailers) = &mut self.trailers {
                    trailers.ends |= flags & END_HEADERS != 0;
                    self.end_block_if_whole();
                }
                true
            }
            _ => true,
        };
        if pays && !self.control.spend(refill, |refill| refill.pieces) {
            return Err(FrameFault::ControlFlood);
        }
        Ok(())
    }

    fn begin_block(&mut self, stream: u32, flags: u8, length: u32) {
        if stream > self.opened {
            self.opened = stream;
            self.trailers = None;
        } else {
            self.trailers = Some(Trailers::new(stream, flags, length));
        }
        self.end_block_if_whole();
    }

    fn see_payload(&mut self, payload: &[u8]) {
        if let Some(trailers) = &mut self.trailers {
            trailers.push(payload);
            self.end_block_if_whole();
        }
    }

    fn end_block_if_whole(&mut self) {
        if self.payload_left > 0 {
            return;
        }
        if let Some(trailers) = self.trailers.take_if(|trailers| trailers.ends) {
            let stream = trailers.stream;
            if trailers.block().is_none_or(|block| names_pseudo_field(&block)) {
                self.malformed.push(stream);
            }
        }
    }
}

#[cfg(test)]
mod tests;
