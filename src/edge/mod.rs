//! The boundary to the JavaScript shell: a handful of exported functions over shared memory, all
//! synchronous. The shell writes an input, calls, and reads the frame that it gets back before
//! the next call. A trap ends the instance; the shell then makes a new one.
#![allow(unsafe_code, unreachable_pub, reason = "exported functions and shared memory are what this room is for")]

mod call;
#[cfg(feature = "faults")]
mod faults;
mod host;

use crate::gateway::{Call, Gateway, Place, Rate, Read, Step, Streams, Waited};
use crate::route::target::without_port;
use crate::time::Instant;
use std::borrow::Cow;
use std::cell::RefCell;

thread_local! {
    static INPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static GATEWAY: RefCell<Gateway> = RefCell::new(Gateway::default());
    static ANSWER: RefCell<String> = const { RefCell::new(String::new()) };
    static FRAME: RefCell<Frame> = const { RefCell::new(Frame::EMPTY) };
}

/// What a call gives back, as 32-bit words; `shell/wasm.mjs` reads it by position.
#[repr(C)]
struct Frame {
    /// What to do next: see [`kind`].
    kind: u32,
    status: u32,
    head: u32,
    head_text: Span,
    body: Span,
    /// The environment, hostname or queue message that `kind` speaks of.
    subject: Span,
    /// What to read, now or behind the answer: 0 nothing, 1 the pointer, at `order` or beyond, 2 the
    /// snapshot of `order`, 3 the same, while an older one serves.
    read: u32,
    order: [u32; 4],
    has_etag: u32,
    etag: [u32; 2],
    /// The environment to read for.
    environment: Span,
    /// Headers beside the head.
    own: Span,
    /// Whether the request's host is to be looked up again, behind the answer.
    host_due: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    length: u32,
}

impl Span {
    const EMPTY: Self = Self { start: 0, length: 0 };

    #[allow(clippy::cast_possible_truncation, reason = "addresses have 32 bits here")]
    fn of(bytes: &[u8]) -> Self {
        Self { start: bytes.as_ptr() as u32, length: bytes.len() as u32 }
    }
}

/// Values of [`Frame::kind`].
mod kind {
    pub(super) const REPLY: u32 = 0;
    pub(super) const WAIT: u32 = 1;
    pub(super) const HOST: u32 = 2;
    pub(super) const QUEUE: u32 = 3;
    pub(super) const PASS: u32 = 4;
    pub(super) const STREAM: u32 = 5;
    pub(super) const FETCH: u32 = 6;
    pub(super) const TRAVEL: u32 = 7;
}

impl Frame {
    const EMPTY: Self = Self {
        kind: 0,
        status: 0,
        head: 0,
        head_text: Span::EMPTY,
        body: Span::EMPTY,
        subject: Span::EMPTY,
        read: 0,
        order: [0; 4],
        has_etag: 0,
        etag: [0; 2],
        environment: Span::EMPTY,
        own: Span::EMPTY,
        host_due: 0,
    };

    #[allow(clippy::cast_possible_truncation, reason = "both halves are taken")]
    fn read(&mut self, environment: &str, read: &Read) {
        let halves = |value: u64| [value as u32, (value >> 32) as u32];
        self.environment = Span::of(environment.as_bytes());
        let (what, first, second) = match *read {
            Read::Pointer => (1, 0, 0),
            Read::PointerFrom(incarnation, sequence) => (1, incarnation, sequence),
            Read::Snapshot(incarnation, version) => (2, incarnation, version),
            Read::Newer(incarnation, version) => (3, incarnation, version),
        };
        let ([a, b], [c, d]) = (halves(first), halves(second));
        (self.read, self.order) = (what, [a, b, c, d]);
    }
}

struct Edge;

impl Place for Edge {
    fn name(&self, which: usize) -> Option<String> {
        host::place(which)
    }

    fn random(&self) -> u128 {
        host::random()
    }

    fn header(&self, name: &str) -> Option<String> {
        host::header(name)
    }
}

/// An input above this many bytes gives its memory back after the call.
const LARGE: usize = 1 << 20;

/// Makes room for an input of at most `room` bytes and says where it goes.
#[unsafe(no_mangle)]
pub extern "C" fn hg_input(room: usize) -> *mut u8 {
    INPUT.with_borrow_mut(|input| {
        if input.len() < room {
            input.resize(room, 0);
        }
        input.as_mut_ptr()
    })
}

/// Says where a panic happened before the instance ends. Called once by the shell.
#[unsafe(no_mangle)]
pub extern "C" fn hg_start() {
    std::panic::set_hook(Box::new(|info| host::log(&info.to_string())));
}

/// The input as text. What the shell writes is UTF-8, and saying so is quicker than mending it.
fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Takes the first line off a text. The lines are short: looking at each byte beats a search that
/// sets out to skip words.
fn line<'t>(rest: &mut &'t str) -> &'t str {
    let end = rest.bytes().position(|byte| byte == b'\n').unwrap_or(rest.len());
    let (line, after) = rest.split_at(end);
    *rest = after.get(1..).unwrap_or_default();
    line
}

/// Answers a request of the data plane. The input holds, each on its line: method, target, scheme
/// with host and port, authorization, if-none-match, origin, cookie; then the body, whose `size` is what was
/// declared or read. `waited` says what was waited for (1 the pointer, 2 the snapshot, 4 the queue,
/// in vain, 8 and 16 pointer and snapshot of a second environment, 32 and 64 a stream, in vain: too many,
/// no answer; their sum),
/// `rate` which limit is reached (1 the token's, 2 everybody's).
#[unsafe(no_mangle)]
#[allow(clippy::cast_possible_truncation, reason = "milliseconds since 1970 have 41 bits")]
#[allow(clippy::cast_sign_loss, reason = "a size is no less than 0")]
pub extern "C" fn hg_answer(length: usize, now: f64, waited: u32, size: f64, rate: u32) -> *const u32 {
    INPUT.with_borrow(|input| {
        let text = text_of(input.get(..length).unwrap_or_default());
        let mut rest: &str = &text;
        let mut next = || line(&mut rest);
        let (method, target, base, authorization) = (next(), next(), next(), next());
        let authority = base.split_once("://").map_or(base, |(_, authority)| authority);
        let (if_none_match, origin, cookie) = (next(), next(), next());
        let queue_failed = waited & 4 != 0;
        let streams = match (waited & 32 != 0, waited & 64 != 0) {
            (true, _) => Streams::Full,
            (_, true) => Streams::Away,
            _ => Streams::Free,
        };
        let waits = |bits: u32| Waited { pointer: bits & 1 != 0, snapshot: bits & 2 != 0 };
        let rate = match rate {
            1 => Rate::TokenExceeded,
            2 => Rate::DeploymentExceeded,
            _ => Rate::Within,
        };
        let body = rest;
        let call = Call {
            method,
            target,
            base,
            authority,
            host: without_port(authority),
            authorization,
            if_none_match,
            origin,
            cookie,
            body,
            size: size as usize,
            waited: waits(waited),
            waited_elsewhere: waits(waited >> 3),
            rate,
            queue_failed,
            streams,
        };
        #[cfg(feature = "faults")]
        faults::provoke(target);
        let now = Instant::from_millis(now as i64);
        frame_of(GATEWAY.with_borrow_mut(|gateway| gateway.answer(&call, &Edge, now)))
    })
}

/// Routes a request of a routed host, whose body is not read. The input holds, each on its line: method,
/// target, host and port, `1` if it came by HTTPS, cookie; `waited` is as above.
#[unsafe(no_mangle)]
#[allow(clippy::cast_possible_truncation, reason = "milliseconds since 1970 have 41 bits")]
pub extern "C" fn hg_travel(length: usize, now: f64, waited: u32) -> *const u32 {
    INPUT.with_borrow(|input| {
        let text = text_of(input.get(..length).unwrap_or_default());
        let mut rest: &str = &text;
        let mut next = || line(&mut rest);
        let (method, target, authority, secure, cookie) = (next(), next(), next(), next(), next());
        let waited = Waited { pointer: waited & 1 != 0, snapshot: waited & 2 != 0 };
        let host = without_port(authority);
        let call = Call { method, target, authority, host, cookie, waited, ..Call::default() };
        #[cfg(feature = "faults")]
        faults::provoke(target);
        let now = Instant::from_millis(now as i64);
        frame_of(GATEWAY.with_borrow_mut(|gateway| gateway.travel(&call, !secure.is_empty(), &Edge, now)))
    })
}

/// Says in the frame what to do next.
fn frame_of(step: Step) -> *const u32 {
    GATEWAY.with_borrow_mut(|gateway| {
        FRAME.with_borrow_mut(|frame| {
            ANSWER.with_borrow_mut(|kept| {
                *frame = Frame::EMPTY;
                kept.clear();
                let read = match step {
                    Step::Wait(environment, read) => {
                        frame.kind = kind::WAIT;
                        Some((environment, read))
                    }
                    Step::Reply => {
                        frame.kind = kind::REPLY;
                        gateway.take_background()
                    }
                    Step::Queue => {
                        frame.kind = kind::QUEUE;
                        frame.subject = Span::of(gateway.output.message.as_bytes());
                        gateway.take_background()
                    }
                    Step::Stream => {
                        frame.kind = kind::STREAM;
                        frame.subject = Span::of(gateway.output.message.as_bytes());
                        gateway.take_background()
                    }
                    Step::Host(host) => {
                        frame.kind = kind::HOST;
                        kept.push_str(&host);
                        frame.subject = Span::of(kept.as_bytes());
                        None
                    }
                    Step::Fetch => {
                        frame.kind = kind::FETCH;
                        frame.subject = Span::of(gateway.output.message.as_bytes());
                        gateway.take_background()
                    }
                    Step::Pass => {
                        frame.kind = kind::PASS;
                        None
                    }
                    Step::Travel => {
                        frame.kind = kind::TRAVEL;
                        None
                    }
                };
                frame.host_due = u32::from(gateway.take_host_due());
                if let Some((environment, read)) = read {
                    kept.push_str(&environment);
                    frame.read(kept, &read);
                }
                output(frame, &gateway.output);
                std::ptr::from_ref(frame).cast()
            })
        })
    })
}

#[allow(clippy::cast_possible_truncation, reason = "both halves are taken")]
fn output(frame: &mut Frame, output: &crate::gateway::Output) {
    frame.status = u32::from(output.status);
    frame.head = output.head;
    frame.head_text = Span::of(output.head_text().as_bytes());
    frame.own = Span::of(output.own_text().as_bytes());
    frame.body = Span::of(&output.body);
    if let Some(etag) = output.etag {
        frame.has_etag = 1;
        frame.etag = [etag as u32, (etag >> 32) as u32];
    }
}

/// Runs an operation over the input, which is text; what comes back is the frame's body.
#[unsafe(no_mangle)]
#[allow(clippy::cast_possible_truncation, reason = "milliseconds since 1970 have 41 bits")]
pub extern "C" fn hg_call(operation: u32, length: usize, now: f64) -> *const u32 {
    let now = Instant::from_millis(now as i64);
    let answer = INPUT.with_borrow_mut(|input| {
        let text = String::from_utf8_lossy(input.get(..length).unwrap_or_default());
        let answer = GATEWAY.with_borrow_mut(|gateway| call::run(operation, &text, now, gateway));
        if input.len() > LARGE {
            *input = Vec::new();
        }
        answer
    });
    ANSWER.with_borrow_mut(|kept| {
        *kept = answer;
        FRAME.with_borrow_mut(|frame| {
            *frame = Frame { body: Span::of(kept.as_bytes()), ..Frame::EMPTY };
            std::ptr::from_ref(frame).cast()
        })
    })
}
