//! The thread that takes frames for the console.
//!
//! It never waits for the console: frames that find the channel full are dropped and counted, and the count goes with
//! the next batch that has room. What waits is so bounded, whatever crosses the wire.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::event::{CaptureNews, Event};
use crate::capture::{self, Batch, CaptureError, Source, Wanted};

/// How long to wait for frames before looking whether they are still wanted.
const PATIENCE: Duration = Duration::from_millis(250);

/// Takes frames for as long as this capture is the one that is wanted.
pub(super) fn run(
    sender: &mpsc::Sender<Event>,
    frames: &mpsc::Sender<Event>,
    mut place: Wanted,
    generation: u64,
    wanted: &AtomicU64,
) {
    let tell = |news| sender.blocking_send(Event::Capture { generation, news }).is_ok();
    if place.interface.is_empty() {
        let all = capture::interfaces();
        let Some(interface) = capture::default_interface(&all) else {
            tell(CaptureNews::Failed("this network namespace has no interface".to_owned()));
            return;
        };
        place.interface.clone_from(&interface.name);
    }
    let name = place.interface.clone();
    let passed_on = capture::open(place).and_then(|mut source| {
        if tell(CaptureNews::Started(name)) { pass_on(&mut *source, frames, generation, wanted) } else { Ok(()) }
    });
    if let Err(error) = passed_on {
        tell(CaptureNews::Failed(error.to_string()));
    }
}

/// Passes frames on until they are not wanted any more, or nobody takes them.
fn pass_on(
    source: &mut dyn Source,
    frames: &mpsc::Sender<Event>,
    generation: u64,
    wanted: &AtomicU64,
) -> Result<(), CaptureError> {
    // What did not reach the console, to be told with the next batch that does.
    let mut missed = Batch::default();
    while wanted.load(Ordering::Relaxed) == generation {
        let mut batch = source.next(PATIENCE)?;
        batch.dropped += missed.dropped;
        batch.link = batch.link.or(missed.link);
        missed = Batch::default();
        if batch.is_empty() {
            continue;
        }
        match frames.try_send(Event::Frames { generation, batch }) {
            Ok(()) => {}
            Err(TrySendError::Full(Event::Frames { batch, .. })) => {
                missed.dropped = batch.dropped + batch.frames.len() as u64;
                missed.link = batch.link;
            }
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io;

    use super::*;
    use crate::capture::{Frame, LinkState};
    use crate::packet::LinkType;

    /// Gives batches in turn, does something before each, and ends.
    struct Script<F>(VecDeque<Batch>, F);

    impl<F: FnMut(usize) + Send> Source for Script<F> {
        fn next(&mut self, _: Duration) -> Result<Batch, CaptureError> {
            (self.1)(self.0.len());
            let error = || io::Error::from(io::ErrorKind::NotConnected);
            self.0.pop_front().ok_or_else(|| CaptureError::Refused {
                interface: "eth0".into(),
                operation: "waiting for frames",
                error: error(),
            })
        }

        fn interface(&self) -> &'static str {
            "eth0"
        }
    }

    fn batch(frames: usize, dropped: u64, link: Option<LinkState>) -> Batch {
        let frame = Frame {
            at_ns: 1,
            interface: "eth0".into(),
            link: LinkType::Ethernet,
            direction: None,
            wire_length: 14,
            bytes: vec![0; 14].into(),
        };
        Batch { frames: vec![frame; frames], dropped, link }
    }

    /// The batches that come through when `before` happens before each of those that are left.
    fn pass(batches: Vec<Batch>, room: usize, drain_when_left: usize) -> Vec<Batch> {
        let (frames, mut channel) = mpsc::channel(room);
        let mut came = Vec::new();
        let mut drain = || {
            while let Ok(Event::Frames { batch, generation: 3 }) = channel.try_recv() {
                came.push(batch);
            }
        };
        let before = |left| {
            if left == drain_when_left {
                drain();
            }
        };
        let result = pass_on(&mut Script(batches.into(), before), &frames, 3, &AtomicU64::new(3));
        assert!(result.is_err(), "the end of the capture is told");
        drain();
        came
    }

    #[test]
    fn a_console_that_is_slow_misses_frames_and_hears_how_many() {
        let batches = vec![batch(2, 0, None), batch(3, 4, None), batch(5, 0, None), batch(1, 0, None)];
        let came = pass(batches, 1, 1);
        assert_eq!(came, [batch(2, 0, None), batch(1, 3 + 4 + 5, None)]);
    }

    #[test]
    fn what_was_missed_is_told_also_when_no_more_frames_come() {
        let came = pass(vec![batch(2, 0, None), batch(3, 0, None), Batch::default()], 1, 1);
        assert_eq!(came, [batch(2, 0, None), batch(0, 3, None)]);
    }

    #[test]
    fn what_became_of_the_link_is_never_missed() {
        let (down, up) = (Some(LinkState::Down), Some(LinkState::Up));
        let came = pass(vec![batch(2, 0, None), batch(1, 0, down), batch(1, 0, None)], 1, 1);
        assert_eq!(came, [batch(2, 0, None), batch(1, 1, down)]);
        let came = pass(vec![batch(2, 0, None), batch(0, 0, down), batch(0, 0, up)], 1, 1);
        assert_eq!(came, [batch(2, 0, None), batch(0, 0, up)]);
    }

    #[test]
    fn a_capture_that_is_not_wanted_any_more_ends() {
        let (frames, _channel) = mpsc::channel(1);
        let mut source = Script(vec![batch(1, 0, None)].into(), |_| {});
        assert!(pass_on(&mut source, &frames, 3, &AtomicU64::new(4)).is_ok());
        assert_eq!(source.0.len(), 1, "it was not even asked");
    }
}
