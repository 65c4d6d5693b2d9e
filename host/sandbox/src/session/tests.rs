//! What the host bears from a worker that is no longer ours.

use super::*;
use crate::protocol::Assignment;
use keepwell_model::limits::Limits;
use keepwell_model::words::Refusal;

struct Answers(u32);

impl Broker for Answers {
    fn told(&mut self, _: Told) -> Result<(), crate::protocol::Stop> {
        Ok(())
    }
    fn ask(&mut self, _: Ask) -> Answer {
        self.0 += 1;
        Answer::Memory(Err(Refusal::io("x".repeat(1 << 20))))
    }
}

/// Answers are large and asking is cheap: one answer at a time is all that waits in our memory.
#[test]
fn who_asks_again_without_reading_is_ended() {
    let mut assignment = Assignment::describe(Limits::default(), false);
    assignment.metrics = true;
    let mut broker = Answers(0);
    let mut session = Session {
        recount: Recount::new(&assignment),
        broker: &mut broker,
        walls: None,
        usage: Usage::default(),
        began: Instant::now(),
    };
    let (ours, theirs) = Channel::pair().unwrap();
    let mut channel = Channel::new(ours, None, Instant::now() + Duration::from_secs(60));
    session.told(Told::Ready(Walls::default())).unwrap();
    session.asked(&mut channel, Ask::Memory).unwrap();
    let again = session.asked(&mut channel, Ask::Memory).unwrap_err();
    let Outcome::Died { detail } = again else {
        panic!("{again:?}")
    };
    assert!(detail.contains("before it read the answer"), "{detail}");
    // One that reads goes on.
    let reader = std::thread::spawn(move || {
        let mut read = 0;
        let mut buffer = vec![0; 64 << 10];
        while read < 1 << 20 {
            read += rustix::io::read(&theirs, &mut buffer).unwrap();
        }
        theirs
    });
    while !channel.is_sent() {
        channel.await_close(Duration::from_millis(20));
    }
    let _theirs = reader.join().unwrap();
    session.asked(&mut channel, Ask::Memory).unwrap();
    assert_eq!(broker.0, 2);
}
